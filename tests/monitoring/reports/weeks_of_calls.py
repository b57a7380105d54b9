"""Stores of calls at fixed times, written by the real sink and the real writer of rows."""

from __future__ import annotations

import functools
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import llmops_sdk as llmops
from llmops_sdk.monitoring import Report, report
from llmops_sdk.store import StoreSink
from llmops_sdk.store._record_writer import AlertRecord, CanaryRunRecord, DriftCheckRecord, RecordWriter
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import LossRecord, RecordedSpan, ScoreRecord, Stamp

UNTIL = datetime.fromisoformat("2026-11-29")
SINCE = UNTIL - timedelta(days=7)
PREVIOUS = SINCE - timedelta(days=7)
HOSTILE = "\u202e<script>alert(1)</script>&\"'|`\x00\x1b[31m\n](x) @all <!channel> \ud800" + "z" * 10_000
PROMPT = "my secret question"


def nanoseconds(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp() * 1e6) * 1_000


class Calls:
    """Makes spans of calls with ids in order."""

    def __init__(self, seed: int = 7) -> None:
        self.random = random.Random(seed)
        self.made: list[Any] = []
        self._ids = 0

    def add(self, time: datetime, *, ms: float = 100.0, error: str | None = None, cost: float | None = 0.01,
            model: str = "gpt", user: str | None = "u1", prompt: str | None = "answer", cache: str | None = None,
            trace: int | None = None, kind: str = "llm", events: Any = None, **attributes: Any) -> int:  # fmt: skip
        """Add a call; return its trace's id."""
        self._ids += 1
        trace = trace or self._ids
        used: dict[str, Any] = {sc.REQUEST_MODEL: model, sc.RESPONSE_MODEL: model, sc.INPUT_TOKENS: 10,
                                sc.OUTPUT_TOKENS: 5, sc.INPUT_MESSAGES: b'[{"role":"user"}]', **attributes}  # fmt: skip
        used |= {} if cost is None else {sc.COST: cost}
        used |= {sc.CACHE: cache, sc.SAVED_COST: 0.02} if cache else {}
        self.made.append(RecordedSpan(
            name=f"chat {model[:20]}", kind=kind, trace_id=trace, span_id=self._ids,
            parent_id=0 if trace == self._ids else trace, start_ns=nanoseconds(time), duration_ns=int(ms * 1e6),
            status="error" if error else "ok", error_type=error, input=f'"{PROMPT}"'.encode(), output=b'"an answer"',
            attributes=used, events=events, resource={"service.name": "tests"},
            stamp=Stamp(user_id=user, prompt_name=prompt, prompt_version="1"),
        ))  # fmt: skip
        return trace

    def score(self, trace: int, name: str, value: float, time: datetime = UNTIL) -> None:
        """Score a trace."""
        self.made.append(ScoreRecord(trace_id=f"{trace:032x}", span_id=None, name=name, value=value, label=None,
                                     comment=None, source="judge", time_ns=nanoseconds(time)))  # fmt: skip

    def lose(self, what: str, reason: str, count: int, time: datetime) -> None:
        """Write a loss."""
        self.made.append(LossRecord(time_ns=nanoseconds(time), what=what, reason=reason, count=count, bytes=7))

    def write(self, path: Path) -> None:
        """Write everything into a store."""
        sink = StoreSink(path, compaction="manual", retention_days=None)
        sink.write(self.made)
        sink.close(1.0)


def verdict(guard: str, action: str, time: datetime) -> tuple[str, int, dict[str, Any]]:
    """Return the event of a guard's verdict."""
    return sc.EVENT_GUARD_VERDICT, nanoseconds(time), {"guard": guard, "rail": "input", "action": action, "reason": "r",
                                                       "duration_ms": 1.0}  # fmt: skip


def two_weeks() -> Calls:
    """Return a week of 400 calls, and one of 600 that are slower, fail more often, and cost more."""
    calls = Calls()
    chance = calls.random
    for begin, number, failing, scale in ((PREVIOUS, 400, 0.05, 1.0), (SINCE, 600, 0.15, 1.6)):
        for place in range(number):
            time = begin + timedelta(seconds=place * 7 * 86_400 / number, microseconds=chance.randrange(1000))
            failed = chance.random() < failing
            guard = [verdict("cards", "redact" if place % 2 else "pass", time)] if place % 10 == 0 else None
            trace = calls.add(
                time, ms=scale * chance.lognormvariate(5, 0.5), user=f"user-{int(chance.paretovariate(0.9)) % 60}",
                error=("TimeoutError" if begin == PREVIOUS or place % 3 else "QuotaError") if failed else None,
                cost=None if place % 20 == 0 else round(scale * chance.uniform(0.001, 0.02), 6), events=guard,
                model=chance.choice(["gpt", "claude"]), cache="exact" if place % 8 == 0 else None,
            )  # fmt: skip
            if place % 4 == 0:
                calls.score(trace, "helpful", chance.random())
    for number in range(5):
        noon = SINCE + timedelta(hours=12, minutes=number)
        calls.add(noon, cost=99.0, **{sc.SIMULATED: True})
        calls.add(noon, cost=99.0, **{"llmops.canary": "pulse"})
        root = calls.add(noon, cost=99.0, kind="evaluator")
        calls.add(noon, cost=99.0, trace=root)
        root = calls.add(noon, cost=99.0, kind="chain", **{"llmops.eval.experiment_id": "x"})
        calls.add(noon, cost=99.0, trace=root)
    calls.lose("span", "queue_full", 3, SINCE + timedelta(days=1))
    calls.lose("span", "queue_full", 4, SINCE + timedelta(days=2))
    calls.lose("span", "queue_full", 100, PREVIOUS)
    return calls


def alert(state: str, time: datetime, **more: Any) -> AlertRecord:
    """Return a row of an alert."""
    values: dict[str, Any] = {
        "alert_id": "a1", "rule": "spend", "kind": "threshold", "state": state, "previous": "pending",
        "severity": "page", "labels": b'{"model":"gpt","user_id":"ada"}', "value": 7.0, "threshold": 5.0,
        "events": 10.0, "bad": None, "reason": "cost of ada is 7 USD, above 5 USD", "example_trace_ids": ["ab" * 16],
        "details": None, "firing_ns": nanoseconds(SINCE + timedelta(days=3)), "time_ns": nanoseconds(time),
    }  # fmt: skip
    return AlertRecord(**values | more)


def check(signal: str, status: str, time: datetime, **more: Any) -> DriftCheckRecord:
    """Return a row of a check for drift."""
    values: dict[str, Any] = {
        "check_id": f"c{time:%d%H}", "kind": "data", "name": "", "signal": signal, "slice": None, "status": status,
        "cause": None, "effect": 0.5, "effect_low": 0.4, "effect_high": 0.6, "p_value": 0.001,
        "adjusted_p_value": 0.01, "e_value": None, "reference_n": 900, "current_n": 300, "effective_n": 250.0,
        "reference_start_ns": None, "reference_end_ns": None, "current_start_ns": None, "current_end_ns": None,
        "reason": f"{signal} rose", "example_trace_ids": ["cd" * 16], "details": None, "time_ns": nanoseconds(time),
    }  # fmt: skip
    return DriftCheckRecord(**values | more)


def answer(time: datetime, **more: Any) -> CanaryRunRecord:
    """Return a row of a canary's run."""
    values: dict[str, Any] = {
        "canary": "pulse", "kind": "identity", "run_id": f"r{time:%d}", "item_id": "i", "repeat": 0,
        "request_model": "gpt", "model": "gpt-1", "fingerprint": None, "answer": "7", "score": None, "status": "ok",
        "error_type": None, "cost": 0.25, "duration_ms": 1.0, "trace_id": None, "time_ns": nanoseconds(time),
    }  # fmt: skip
    return CanaryRunRecord(**values | more)


def write_rows(path: Path, *rows: Any) -> None:
    """Write rows of alerts, drift and canaries."""
    settings = llmops.configure(store={"path": path})
    writer = RecordWriter(settings)
    writer.write(*rows)
    writer.close()


@functools.cache
def plain_report(path: Path) -> Report:
    """Report on the latest week of a store that does not change, with the defaults."""
    return report(SINCE, UNTIL, path=path)


def week_report(path: Path, **options: Any) -> Report:
    """Report on the latest week of a store."""
    return report(SINCE, UNTIL, path=path, **options)
