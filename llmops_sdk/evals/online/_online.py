"""Run the evaluators of `[[evaluators]]` on the stored traces."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk._util._public import public
from llmops_sdk.config import EvaluatorSettings, Settings, current
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._blocking import run_blocking
from llmops_sdk.evals._types import Case, ScoreResult
from llmops_sdk.evals.identity._digest import canonical
from llmops_sdk.evals.online._candidates import Candidate, candidates, experiment_id, spent_today
from llmops_sdk.evals.running._plan import PlannedScorer
from llmops_sdk.evals.running._prepare import planned_scorers
from llmops_sdk.evals.running._scoring import run_scorer, score_result
from llmops_sdk.evals.running._spending import Spending
from llmops_sdk.evals.running._threads import ThreadCalls
from llmops_sdk.resilience.budgets import budget as budget_of
from llmops_sdk.resilience.budgets._scopes import enter_scope
from llmops_sdk.store._online_lock import online_lock
from llmops_sdk.store._record_writer import ExperimentScoreRecord, RecordWriter, open_record_writer
from llmops_sdk.tracing import score as put_score

__all__ = ["OnlineResult", "aevaluate_online", "evaluate_online"]


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineResult:
    """What one run of an evaluator did.

    Attributes:
        evaluator: Its name.
        scored: Spans that got a score.
        failed: Spans whose score failed; a later run tries them again, `attempts` times in all.
        skipped: Spans to which the scorer does not apply; they are not tried again.
        cost: USD of its calls to models in this run.
        stopped: `budget` or `max_traces` where spans are left for a later run, `running` where another process scores
            this store at the moment, or None.
    """

    evaluator: str
    scored: int
    failed: int
    skipped: int
    cost: float
    stopped: str | None


async def aevaluate_online(
    evaluators: Iterable[EvaluatorSettings] | None = None,
    *,
    since: float | None = None,
    concurrency: int = 8,
    timeout: float | None = 120.0,
    path: Path | None = None,
) -> list[OnlineResult]:
    """Score the stored traces that the evaluators have not scored yet.

    Run it as often as you like: a span that has its score is left alone, also after an interruption. The scores are in
    the view `scores`, with the source `evaluator:NAME`; failures and costs are in `experiment_scores`, with the
    experiment `online/NAME`. Spans of evaluators and of experiments are never scored.

    Args:
        evaluators: The evaluators; by default those of `[[evaluators]]`.
        since: Only spans that began at this time or later, in seconds since the epoch.
        concurrency: How many spans are scored at once.
        timeout: Seconds for one score, or None.
        path: The store's folder; the configured one by default.

    Returns:
        One result for each evaluator, in their order.

    Raises:
        ConfigError: There is no evaluator, a scorer is not known, or the store is off.
        QueryError: A condition `where` is not valid SQL.
        StoreError: The store cannot be read or written.
    """
    settings = current()
    chosen = list(settings.evaluators if evaluators is None else evaluators)
    if not chosen:
        raise ConfigError("there are no evaluators: add a table [[evaluators]] to llmops.toml", key="evaluators")
    if concurrency < 1:
        raise ConfigError(f"concurrency is {concurrency}: give at least 1", key="concurrency", value=concurrency)
    if path is not None:
        settings = settings.model_copy(update={"store": settings.store.model_copy(update={"path": path})})
    # All scorers first: a wrong name must not show after an hour of judging.
    planned = [(one, _scorer_of(one, settings)) for one in chosen]
    writer = open_record_writer(settings)
    if writer is None:
        raise ConfigError("the store is off: online evaluation reads and writes it", key="store.enabled")
    since_ns = None if since is None else int(since * 1e9)
    try:
        with online_lock(settings.store.path.absolute()) as alone:
            if not alone:
                # It would score, and pay for, the same spans.
                return [_result(one.name, stopped="running") for one in chosen]
            return [
                await _Evaluation(one, scorer, writer, timeout, path).run(since_ns, concurrency)
                for one, scorer in planned
            ]
    finally:
        writer.close()


def _result(evaluator: str, *, stopped: str | None) -> OnlineResult:
    return OnlineResult(evaluator=evaluator, scored=0, failed=0, skipped=0, cost=0.0, stopped=stopped)


def evaluate_online(
    evaluators: Iterable[EvaluatorSettings] | None = None,
    *,
    since: float | None = None,
    concurrency: int = 8,
    timeout: float | None = 120.0,
    path: Path | None = None,
) -> list[OnlineResult]:
    """Score the stored traces that the evaluators have not scored yet; `aevaluate_online` for synchronous code.

    Args:
        evaluators: The evaluators; by default those of `[[evaluators]]`.
        since: Only spans that began at this time or later, in seconds since the epoch.
        concurrency: How many spans are scored at once.
        timeout: Seconds for one score, or None.
        path: The store's folder; the configured one by default.

    Returns:
        One result for each evaluator, in their order.

    Raises:
        ConfigError: There is no evaluator, a scorer is not known, or the store is off.
        QueryError: A condition `where` is not valid SQL.
        StoreError: The store cannot be read or written.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.config import EvaluatorSettings
        >>> from llmops_sdk.evals import evaluate_online
        >>> @llmops.trace
        ... def answer(question: str) -> str:
        ...     return "42"
        >>> _ = answer("What is six times seven?")
        >>> short = EvaluatorSettings(name="short", scorer="max_length:100", sample=1.0)
        >>> [evaluate_online([short])[0].scored for _ in range(2)]
        [1, 0]
    """
    return run_blocking(
        lambda: aevaluate_online(evaluators, since=since, concurrency=concurrency, timeout=timeout, path=path)
    )


def _scorer_of(evaluator: EvaluatorSettings, settings: Settings) -> PlannedScorer:
    from llmops_sdk.evals.cases._import_names import import_name, is_import_name

    scorer: Any = evaluator.scorer
    key = f"evaluators.{evaluator.name}.scorer"
    if is_import_name(scorer) and scorer.partition(":")[0] not in ("judge", "regex", "contains"):
        scorer = import_name(scorer, key=key)
    try:
        return planned_scorers([scorer], settings)[0]
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}", key=key, value=evaluator.scorer) from error


class _Evaluation:
    """One run of one evaluator."""

    def __init__(
        self, evaluator: EvaluatorSettings, scorer: PlannedScorer, writer: RecordWriter, timeout: float | None,
        path: Path | None,
    ) -> None:  # fmt: skip
        self._evaluator = evaluator
        self._scorer = scorer
        self._writer = writer
        self._timeout = timeout
        self._path = path
        self._counts = {"ok": 0, "failed": 0, "skipped": 0}
        self._cost = 0.0
        self._stopped: str | None = None

    async def run(self, since_ns: int | None, concurrency: int) -> OnlineResult:
        limit = self._evaluator.max_traces
        found = candidates(self._evaluator, since_ns=since_ns, limit=limit + 1, path=self._path)
        if len(found) > limit:
            self._stopped = "max_traces"
        budget = self._evaluator.budget_usd
        left = None if budget is None else budget - spent_today(self._evaluator, now=time.time(), path=self._path)
        self._spending = Spending(left)
        self._context = contextvars.copy_context()
        if left is not None and left > 0:
            # The hard bound: a call whose estimate does not fit is refused before it is sent.
            self._context.run(enter_scope, budget_of(limit_usd=left, window="total", unknown_cost=1e-12))
        self._threads = ThreadCalls(asyncio.get_running_loop())
        waiting = iter(found[:limit])
        try:
            await asyncio.gather(*(self._work(waiting) for _ in range(min(concurrency, max(len(found), 1)))))
        finally:
            self._threads.close()
        return OnlineResult(
            evaluator=self._evaluator.name, scored=self._counts["ok"], failed=self._counts["failed"],
            skipped=self._counts["skipped"], cost=self._cost, stopped=self._stopped,
        )  # fmt: skip

    async def _work(self, waiting: Any) -> None:
        for candidate in waiting:
            if self._stopped == "budget":
                return
            while not self._spending.allows():
                if not self._spending.in_flight:
                    self._stopped = "budget"
                    return
                await asyncio.sleep(0.01)  # the cost of those in flight decides
            self._spending.start()
            cost = None
            try:
                cost = await self._score(candidate)
            finally:
                self._spending.end(cost)

    async def _score(self, candidate: Candidate) -> float:
        case = Case(
            item_id=candidate.item_id, input=_loaded(candidate.input), output=_loaded(candidate.output),
            metadata=candidate.metadata, trace_id=candidate.trace_id,
        )  # fmt: skip
        attributes = {"llmops.evaluator": self._evaluator.name, "llmops.eval.trace_id": candidate.trace_id}
        scope = await run_scorer(
            self._scorer, case, threads=self._threads, context=self._context, attributes=attributes,
            timeout=self._timeout,
        )  # fmt: skip
        result = score_result(self._scorer, scope)
        if result.status == "not_run":
            self._stopped = "budget"
            return 0.0
        self._spending.add(result.cost)
        self._cost += result.cost or 0.0
        self._counts[result.status if result.status in ("ok", "skipped") else "failed"] += 1
        value = result.label if result.value is None else result.value
        if result.status == "ok" and value is not None:
            put_score(
                self._scorer.name, value, trace_id=candidate.trace_id, span_id=candidate.span_id, label=result.label,
                comment=result.comment, source=f"evaluator:{self._evaluator.name}",
            )  # fmt: skip
        # After the score: a run that is killed between the two scores the span again, to the same effect.
        self._writer.write(self._row(candidate, result))
        return result.cost or 0.0

    def _row(self, candidate: Candidate, result: ScoreResult) -> ExperimentScoreRecord:
        return ExperimentScoreRecord(
            experiment_id=experiment_id(self._evaluator), item_id=candidate.item_id, repeat=candidate.attempts,
            scorer=self._scorer.name, scorer_key=None, status=result.status, value=result.value, label=result.label,
            comment=result.comment, passed=result.passed,
            metadata=canonical(dict(result.metadata)) if result.metadata else None, error_type=result.error_type,
            error=result.error, cost=result.cost, trace_id=candidate.trace_id, source_trace_id=candidate.trace_id,
            scorer_trace_id=result.trace_id, served=None, reused=False, time_ns=time.time_ns(),
        )  # fmt: skip


def _loaded(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
