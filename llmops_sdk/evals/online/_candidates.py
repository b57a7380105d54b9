"""Find the spans that an evaluator has still to score, and what it has spent today."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops_sdk.config import EvaluatorSettings
from llmops_sdk.errors import QueryError
from llmops_sdk.store import query
from llmops_sdk.store._own_traces import OWN_ROOT

__all__ = ["Candidate", "candidates", "experiment_id", "spent_today", "where_clause"]

# The sample depends on the evaluator and the trace alone, so every run takes the same traces, and it is independent of
# samplers, which look at the trace's id itself.
_DRAW = "('0x' || substr(md5($id || s.trace_id), 1, 8))::UBIGINT / 4294967296.0 < $sample"
_CANDIDATES = """
WITH tried AS (
  SELECT item_id, count(*) AS attempts, bool_or(status IN ('ok', 'skipped')) AS done
  FROM experiment_scores WHERE experiment_id = $id GROUP BY item_id
)
SELECT s.trace_id, s.span_id, s.name, s.input, s.output, s.attributes, s.session_id, s.user_id,
  coalesce(t.attempts, 0) AS attempts
FROM spans s LEFT JOIN tried t ON t.item_id = s.trace_id || '/' || s.span_id
WHERE {conditions} AND {draw} AND NOT coalesce(t.done, false) AND coalesce(t.attempts, 0) < $attempts
ORDER BY s.start_time, s.span_id LIMIT $limit
"""
# The outputs of experiments and canaries have their scores already, and an evaluator must not score itself.
_ALWAYS: tuple[str, ...] = (
    "s.status = 'ok'",
    "s.output IS NOT NULL",
    "s.kind <> 'evaluator'",
    f"s.trace_id NOT IN (SELECT trace_id FROM spans WHERE {OWN_ROOT})",  # noqa: S608 - constants
)
_ALONE = "SELECT span_id FROM spans WHERE (\n{where}\n) LIMIT 0"
_SPENT = "SELECT coalesce(sum(cost), 0) FROM experiment_scores WHERE experiment_id = $id AND time >= $midnight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A span to score.

    Attributes:
        trace_id, span_id: Where it is.
        name: The span's name.
        input, output: Its content as JSON text, or None.
        metadata: The attributes, session and user.
        attempts: How often its score has failed.
    """

    trace_id: str
    span_id: str
    name: str
    input: str | None
    output: str | None
    metadata: dict[str, Any]
    attempts: int

    @property
    def item_id(self) -> str:
        """Return the id of its rows."""
        return f"{self.trace_id}/{self.span_id}"


def experiment_id(evaluator: EvaluatorSettings) -> str:
    """Return the id under which the rows of an evaluator are."""
    return f"online/{evaluator.name}"


def where_clause(evaluator: EvaluatorSettings) -> tuple[str, dict[str, Any]]:
    """Return the conditions of an evaluator on the view `spans` with the alias `s`, and their values."""
    values: dict[str, Any] = {}
    conditions = list(_ALWAYS)
    if evaluator.span is None:
        conditions.append("s.parent_span_id IS NULL")
    else:
        conditions.append("s.name = $span")
        values["span"] = evaluator.span
    if evaluator.where is not None:
        # The configuration's own SQL, over the views alone. The line breaks keep a comment at its end from the rest.
        conditions.append(f"s.span_id IN (SELECT span_id FROM spans WHERE (\n{evaluator.where}\n))")  # noqa: S608
    return " AND ".join(conditions), values


def candidates(evaluator: EvaluatorSettings, *, since_ns: int | None, limit: int, path: Path | None) -> list[Candidate]:
    """Return the oldest spans of the sample that have no score yet.

    Args:
        evaluator: The evaluator.
        since_ns: Only spans that began at this time or later, in nanoseconds since the epoch.
        limit: The most spans.
        path: The store's folder, or None for the configured one.

    Raises:
        QueryError: The condition `where` is not valid SQL.
        StoreError: The store cannot be read.
    """
    conditions, values = where_clause(evaluator)
    if since_ns is not None:
        conditions += " AND s.start_ns >= $since"
        values["since"] = since_ns
    values |= {
        "id": experiment_id(evaluator), "sample": evaluator.sample, "attempts": evaluator.attempts, "limit": limit,
    }  # fmt: skip
    try:
        if evaluator.where is not None:
            # By itself first: one with its own closing brackets must not get out of the others' AND.
            query(_ALONE.format(where=evaluator.where), path=path)
        rows = query(_CANDIDATES.format(conditions=conditions, draw=_DRAW), values, path=path)
    except QueryError as error:
        raise QueryError(f"evaluators.{evaluator.name}.where: {error}", sql=error.sql) from error
    return [
        Candidate(
            trace_id=trace_id, span_id=span_id, name=name, input=given, output=output,
            metadata={"attributes": attributes, "session_id": session, "user_id": user}, attempts=attempts,
        )
        for trace_id, span_id, name, given, output, attributes, session, user, attempts in rows
    ]  # fmt: skip


def spent_today(evaluator: EvaluatorSettings, *, now: float, path: Path | None) -> float:
    """Return the USD that an evaluator's calls to models have cost since midnight in UTC.

    Args:
        evaluator: The evaluator.
        now: Seconds since the epoch.
        path: The store's folder, or None for the configured one.
    """
    from datetime import UTC, datetime

    midnight = datetime.fromtimestamp(math.floor(now / 86_400) * 86_400, UTC).replace(tzinfo=None)
    rows = query(_SPENT, {"id": experiment_id(evaluator), "midnight": midnight}, path=path).rows()
    return float(rows[0][0])
