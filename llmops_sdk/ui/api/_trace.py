"""One trace: the light columns of all its spans, in drawing order. The content of a span is another answer."""
# ruff: noqa: S608 - constants

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._latest import TraceKey
from llmops_sdk.ui._answers import SAFE_INTEGER, Answer, JsonRows, cut
from llmops_sdk.ui._asked import Asked, NotFoundError, with_values
from llmops_sdk.ui.api._traces import line_of
from llmops_sdk.ui.api._tree import Node, place

__all__ = ["trace", "trace_id_of"]

_CALLS = "model, input_tokens, output_tokens, cost, saved_cost, cache, attempts, ttft_ms, finish_reason"
# An id may occur twice: a sender repeats a span, or a program makes its ids badly.
_TURN = "row_number() OVER (PARTITION BY span_id, start_ns, kind ORDER BY duration_ms, name) AS turn"
_SPANS = f"""SELECT s.* EXCLUDE (turn), {_CALLS} FROM
    (SELECT span_id, parent_span_id, name, kind, start_ns, duration_ms, status, status_message, error_type, simulated,
            weight, {_TURN} FROM spans WHERE trace_id = $trace AND {{when}}) AS s LEFT JOIN
    (SELECT span_id, start_ns, kind, {_CALLS}, {_TURN} FROM llm_calls WHERE trace_id = $trace AND {{when}}) AS c
    USING (span_id, start_ns, kind, turn) ORDER BY start_ns, span_id, turn"""
_VERDICTS = """SELECT span_id, guard, rail, action, count(*) AS count FROM guard_verdicts WHERE trace_id = $trace
    GROUP BY ALL ORDER BY ALL"""
_SCORES = """SELECT span_id, name, value, label, comment, source, time, target FROM scores
    WHERE trace_id = $trace OR span_id IN (SELECT span_id FROM spans WHERE trace_id = $trace AND {when})
    ORDER BY time, name"""
_LOSSES = """SELECT what, reason, sum(count)::BIGINT AS count, sum(bytes)::BIGINT AS bytes FROM losses
    WHERE time >= $start AND time <= $end GROUP BY ALL ORDER BY count DESC LIMIT 20"""
_PERIOD = """SELECT count(*) AS spans, count(start_ns) AS timed, min(start_ns) AS first, max(start_ns) AS last,
    make_timestamp(min(start_ns) // 1000) AS start,
    make_timestamp(max(start_ns + duration_ms * 1e6)::BIGINT // 1000 + 1000000) AS end
    FROM spans WHERE trace_id = $trace"""
_MAX_SPANS = 100_000


def trace(asked: Asked) -> Answer:
    """Return one trace: its summary, all its spans, its scores, and what the store lost while it ran."""
    trace_id = trace_id_of(asked)
    params = {"trace": trace_id}
    [period] = asked.rows(_PERIOD, params)
    if not period["spans"]:
        raise NotFoundError(f"the store has no trace {trace_id}")
    # Constants, which DuckDB compares with the statistics of the files. A foreign line may have no start.
    is_timed = period["timed"] == period["spans"]
    when = f"start_ns BETWEEN {period['first']:d} AND {period['last']:d}" if is_timed else "true"
    found = asked.rows(f"{_SPANS.format(when=when)} LIMIT {_MAX_SPANS + 1}", params)
    verdicts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in asked.rows(_VERDICTS, params):
        verdicts[row.pop("span_id")].append(row)
    notes = [f"only the first {_MAX_SPANS:,} spans are shown"] if len(found) > _MAX_SPANS else []
    summary = line_of(asked, TraceKey(period["first"] if is_timed else -1, trace_id))
    losses = asked.rows(_LOSSES, period) if period["start"] is not None else []
    if losses:
        notes.append("losses are those of the whole store while this trace ran, in all its processes")
    data = {
        "summary": summary,
        "spans": _drawn(found[:_MAX_SPANS], verdicts),
        "scores": asked.rows(_SCORES.format(when=when), params),
        "losses": losses,
    }
    return Answer(data, with_values(_SPANS.format(when=when), params), f"llmops show {trace_id}", notes=notes)


def trace_id_of(asked: Asked, name: str = "trace") -> str:
    """Return the trace's id in the path.

    Raises:
        UsageError: It is no id.
    """
    text = asked.path[name]
    if not re.fullmatch(r"[0-9A-Za-z_.:-]{1,200}", text):
        raise UsageError("this is not the id of a trace")
    return text


def _drawn(found: Sequence[dict[str, Any]], verdicts: dict[str, list[dict[str, Any]]]) -> JsonRows:
    """Return the spans in drawing order."""
    nodes = [
        Node(
            row["span_id"] or "",
            row["parent_span_id"] or None,
            row["start_ns"] or 0,
            min(max(round((row["duration_ms"] or 0) * 1e6), 0), SAFE_INTEGER),
        )
        for row in found
    ]
    drawn = JsonRows()
    for one in place(nodes):
        row, node = found[one.index], nodes[one.index]
        tokens = [row["input_tokens"], row["output_tokens"]]
        drawn.append(
            {
                "span_id": row["span_id"],
                "parent_id": row["parent_span_id"],
                "name": row["name"],
                "kind": row["kind"],
                "start_ns": str(node.start_ns),
                "duration_ns": node.duration_ns,
                "own_ns": one.own_ns,
                "depth": one.depth,
                "orphan": one.is_orphan,
                "status": row["status"],
                "error_type": row["error_type"],
                "error_message": cut(row["status_message"]),
                "on_critical_path": one.on_critical_path,
                "model": row["model"],
                "tokens": None if tokens == [None, None] else sum(count or 0 for count in tokens),
                "cost_usd": row["cost"],
                "saved_usd": row["saved_cost"],
                "attempts": row["attempts"],
                "cache": row["cache"],
                "finish_reason": row["finish_reason"],
                "verdicts": verdicts.get(row["span_id"], []),
                "simulated": row["simulated"],
                "weight": row["weight"],
            }
        )
    return drawn
