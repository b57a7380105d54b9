"""Read the runs of a canary from the store, and write what a check found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from llmops_sdk.drift._report import DriftReport, Feature
from llmops_sdk.store import query
from llmops_sdk.store._record_writer import DriftCheckRecord, RecordWriter

__all__ = ["Run", "Segment", "read_segments", "write_report"]

_ROWS = """
SELECT run_id, item_id, coalesce(configuration, ''), model, answer, score, status, trace_id,
  min(time) OVER (PARTITION BY run_id) AS begun
FROM canary_runs WHERE canary = $name AND kind = $kind AND status <> 'not_run'
  AND time <= make_timestamp($now) AND ($since IS NULL OR time >= make_timestamp($since))
ORDER BY begun, run_id, item_id, repeat LIMIT 1000000
"""
_FUTURE = "SELECT count(*) FROM canary_runs WHERE canary = $name AND time > make_timestamp($now)"
_CLOCK_SKEW_US = 60_000_000


@dataclass(slots=True)
class Run:
    """The answers of one run. Its time is that of its first answer: a run over midnight belongs to one day."""

    run_id: str
    begun: datetime
    configuration: str
    rows: list[dict[str, Any]]


@dataclass(slots=True)
class Segment:
    """Runs, one after the other, under the same configuration of ours."""

    configuration: str
    runs: list[Run]


def read_segments(name: str, kind: str, *, since: float | None, path: Path | None) -> tuple[list[Segment], int]:
    """Return the runs of a canary by configuration, the oldest first, and the number of rows from the future.

    Args:
        name: The canary.
        kind: "identity" or "quality".
        since: Only rows from this time on, in seconds since the epoch.
        path: The store's folder, or None for the configured one.
    """
    now = time.time_ns() // 1000 + _CLOCK_SKEW_US
    values = {"name": name, "kind": kind, "now": now, "since": None if since is None else int(since * 1e6)}
    runs: dict[str, Run] = {}
    for run_id, item, configuration, model, answer, score, status, trace_id, begun in query(_ROWS, values, path=path):
        run = runs.setdefault(run_id, Run(run_id, begun, configuration, []))
        run.rows.append({
            "item_id": item, "prompt": item, "model": model, "answer": answer, "score": score, "status": status,
            "trace_id": trace_id, "day": begun,
        })  # fmt: skip
    segments: list[Segment] = []
    for run in runs.values():
        if not segments or segments[-1].configuration != run.configuration:
            segments.append(Segment(run.configuration, []))
        segments[-1].runs.append(run)
    future = query(_FUTURE, {"name": name, "now": now}, path=path).rows()[0][0]
    return segments, int(future)


def write_report(writer: RecordWriter, report: DriftReport) -> DriftReport:
    """Write a row for each feature, and return the report with the id of the check.

    Args:
        writer: Writes the rows.
        report: The report.
    """
    check_id = uuid4().hex
    writer.write(*(_record(check_id, report, one) for one in report.features))
    return replace(report, check_id=check_id)


def _record(check_id: str, report: DriftReport, feature: Feature) -> DriftCheckRecord:
    interval = feature.interval
    return DriftCheckRecord(
        check_id=check_id, kind=report.kind, name=report.name, signal=feature.signal,
        slice=orjson.dumps(dict(feature.slice)) if feature.slice else None, status=feature.status,
        cause=feature.cause, effect=feature.effect, effect_low=None if interval is None else interval.low,
        effect_high=None if interval is None else interval.high, p_value=feature.p_value,
        adjusted_p_value=feature.adjusted_p_value, e_value=feature.e_value, reference_n=feature.reference_n,
        current_n=feature.current_n, effective_n=feature.effective_n, reference_start_ns=None, reference_end_ns=None,
        current_start_ns=None, current_end_ns=None, reason=feature.reason,
        example_trace_ids=_trace_ids(feature.examples),
        details=orjson.dumps(dict(feature.details), default=str, option=orjson.OPT_NON_STR_KEYS),
        time_ns=time.time_ns(),
    )  # fmt: skip


def _trace_ids(examples: Sequence[str]) -> tuple[str, ...]:
    return tuple(one for one in examples if len(one) == 32 and all(c in "0123456789abcdef" for c in one))
