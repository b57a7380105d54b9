"""Make the calls of one run of a canary, within its budget of the day, and write a row for each."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from llmops_sdk._util._public import public
from llmops_sdk.client import chat
from llmops_sdk.config import CanarySettings
from llmops_sdk.drift.canaries._plan import CanaryItem, Plan, Scorer
from llmops_sdk.errors import BudgetExceededError, ConfigError, LLMOpsError
from llmops_sdk.resilience.budgets import budget as budget_of
from llmops_sdk.store import query
from llmops_sdk.store._own_traces import CANARY_TAG
from llmops_sdk.store._record_writer import CanaryRunRecord, RecordWriter
from llmops_sdk.tracing import context, span

__all__ = ["CanaryRun", "run_plan", "spent_today"]

_LONGEST_ANSWER = 200
_HOPELESS = 20
_SPENT = "SELECT coalesce(sum(cost), 0) FROM canary_runs WHERE canary = $name AND time >= make_timestamp($midnight)"
_DAY_US = 86_400_000_000


@public("llmops_sdk.drift")
@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRun:
    """What one run of a canary did.

    Attributes:
        canary: Its name.
        run_id: The run, in the view `canary_runs`; "" where nothing was asked.
        answered: Calls with an answer.
        failed: Calls that failed, after their retries.
        not_run: Calls that were not made, because the run was stopped.
        cost: USD of the calls with a known price.
        stopped: "budget" where it stopped the run, "errors" where the first 20 calls all failed, or None.
        error_types: The classes of the errors, the most frequent first.
    """

    canary: str
    run_id: str = ""
    answered: int = 0
    failed: int = 0
    not_run: int = 0
    cost: float = 0.0
    stopped: str | None = None
    error_types: tuple[str, ...] = ()


def spent_today(name: str, *, path: Path | None) -> float:
    """Return the USD that the calls of a canary have cost since midnight in UTC.

    Args:
        name: The canary.
        path: The store's folder, or None for the configured one.
    """
    midnight = time.time_ns() // 1000 // _DAY_US * _DAY_US
    return float(query(_SPENT, {"name": name, "midnight": midnight}, path=path).rows()[0][0])


@dataclass(slots=True)
class _Progress:
    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "error": 0, "not_run": 0})
    errors: Counter[str] = field(default_factory=Counter[str])
    cost: float = 0.0
    stopped: str | None = None

    def add(self, row: CanaryRunRecord) -> None:
        with self.lock:
            self.counts[row.status] += 1
            self.cost += row.cost or 0.0
            if row.error_type is not None:
                self.errors[row.error_type] += 1
            if self.stopped is None and row.status == "not_run":
                self.stopped = "budget"
            if self.stopped is None and not self.counts["ok"] and self.counts["error"] >= _HOPELESS:
                # A wrong key, or an outage: each further call would fail after all of its retries.
                self.stopped = "errors"


def run_plan(
    canary: CanarySettings, plan: Plan, writer: RecordWriter, *, left: float | None, scorer: Scorer | None,
    concurrency: int,
) -> CanaryRun:  # fmt: skip
    """Make the calls of a run, and write their rows.

    Args:
        canary: The canary.
        plan: What to ask.
        writer: Writes the rows.
        left: USD that the calls may cost, or None for no bound.
        scorer: Scores an output, for a quality canary.
        concurrency: How many calls are made at once.

    Raises:
        ConfigError: The model cannot be called as it is configured.
    """
    run_id, progress = uuid4().hex, _Progress()
    # All prompts once, then all again: a run that the budget stops has asked all of them about equally often.
    work = [(item, repeat) for repeat in range(plan.repeats) for item in plan.items]

    def ask(item: CanaryItem, repeat: int) -> None:
        if progress.stopped is not None:
            row = _row(canary, plan, run_id, item, repeat, status="not_run")
        else:
            row = _ask(canary, plan, run_id, item, repeat, scorer)
        writer.write(row)
        progress.add(row)

    with ExitStack() as scopes:
        if left is not None:
            # The hard bound: a call whose estimate does not fit is refused before it is sent.
            scopes.enter_context(budget_of(limit_usd=max(left, 1e-12), window="total", unknown_cost=1e-12))
        scopes.enter_context(context(tags=(CANARY_TAG,)))
        pool = scopes.enter_context(ThreadPoolExecutor(concurrency, thread_name_prefix="llmops-canary"))
        jobs = [pool.submit(contextvars.copy_context().run, ask, item, repeat) for item, repeat in work]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counts = progress.counts
    return CanaryRun(
        canary=canary.name, run_id=run_id, answered=counts["ok"], failed=counts["error"], not_run=counts["not_run"],
        cost=progress.cost, stopped=progress.stopped,
        error_types=tuple(name for name, _ in progress.errors.most_common()),
    )  # fmt: skip


def _ask(
    canary: CanarySettings, plan: Plan, run_id: str, item: CanaryItem, repeat: int, scorer: Scorer | None
) -> CanaryRunRecord:
    begun = time.monotonic()
    found: dict[str, Any] = {}
    status, error_type = "ok", None
    with span(f"canary {canary.name}", attributes={CANARY_TAG: canary.name}) as root:
        found["trace_id"] = root.trace_id
        try:
            response = chat(_prompt(item.prompt), **plan.options)
        except BudgetExceededError:
            status = "not_run"
        except ConfigError:
            raise  # every call would fail in the same way
        except LLMOpsError as error:
            status, error_type = "error", type(error).__name__
        else:
            found |= {
                "model": f"{response.provider}/{response.model}", "cost": response.cost,
                "fingerprint": _fingerprint(response.raw),
            }  # fmt: skip
            if response.attempts and response.attempts[-1].reason == "fallback":
                # Another model's answer says nothing about this one.
                status, error_type = "error", "FallbackAnswered"
            elif scorer is None:
                found["answer"] = response.text[:_LONGEST_ANSWER]
            else:
                found["score"] = float(scorer(response.text, item.expected))
    return _row(
        canary, plan, run_id, item, repeat, status=status, error_type=error_type,
        duration_ms=(time.monotonic() - begun) * 1000, **found,
    )  # fmt: skip


def _prompt(given: Any) -> Any:
    """Return an item's input as a prompt: text and lists of messages as they are, other values as JSON."""
    if isinstance(given, str | list):
        return given  # pyright: ignore[reportUnknownVariableType]
    import orjson

    return orjson.dumps(given).decode()


def _fingerprint(raw: object) -> str | None:
    value = getattr(raw, "system_fingerprint", None)
    return value[:200] if isinstance(value, str) else None


def _row(
    canary: CanarySettings, plan: Plan, run_id: str, item: CanaryItem, repeat: int, *, status: str, **found: Any
) -> CanaryRunRecord:
    empty: Sequence[str] = (
        "model", "fingerprint", "answer", "score", "error_type", "cost", "duration_ms", "trace_id",
    )  # fmt: skip
    return CanaryRunRecord(
        canary=canary.name, kind=canary.kind, run_id=run_id, item_id=item.id, repeat=repeat,
        request_model=canary.model or "", configuration=plan.configuration, status=status, time_ns=time.time_ns(),
        **{name: found.get(name) for name in empty},
    )  # fmt: skip
