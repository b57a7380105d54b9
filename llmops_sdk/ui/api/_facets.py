"""What the traces of a filter have: their models, statuses, names, users and tags, and how many there are over time."""
# ruff: noqa: S608 - conditions have parameters

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmops_sdk.errors import QueryError
from llmops_sdk.store.reading._filters import Filter, root_condition
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import Asked, with_values
from llmops_sdk.ui._sheets import bucket_of, filled, with_period

__all__ = ["facets", "histogram"]

_MOST = 20
_FACETS = {
    "status": "status",
    "model": "coalesce(model, request_model)",
    "name": "name",
    "user": "user_id",
    "session": "session_id",
    "tag": "unnest(tags)",
    "kind": "kind",
}
_OF_ROOTS = ("status", "name")
_PERIOD = "7d"
_TRACES = "count(DISTINCT trace_id)"


def facets(asked: Asked) -> Answer:
    """Return the most frequent values, each facet as if its own filter were not set, as far as the time allows."""
    wanted, notes = with_period(asked.filter, _PERIOD)
    data: dict[str, list[dict[str, Any]]] = {}
    shown = ""
    for name, expression in _FACETS.items():
        own = {"tag": "tags"}.get(name, name)
        others = replace(wanted, **{own: () if own == "tags" else None})
        view = "llm_calls" if name == "model" else "spans"
        # A trace has one root: counting it costs a fraction of counting distinct traces.
        is_root, count = ("parent_span_id IS NULL", "count(*)") if name in _OF_ROOTS else ("true", _TRACES)
        where = Filter(since=others.since, until=others.until).where("spans")
        sql, params = f"{is_root} AND {where.sql}", dict(where.params)
        if replace(others, since=None, until=None) != Filter():
            roots = root_condition(others)
            sql, params = f"{sql} AND trace_id IN (SELECT trace_id FROM spans WHERE {roots.sql})", params | roots.params
        sql = (
            f"SELECT value, {count} AS count FROM (SELECT {expression} AS value, trace_id FROM {view} "
            f"WHERE {sql}) WHERE value IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_MOST}"
        )
        try:
            data[name] = asked.rows(sql, params)
        except QueryError:
            notes.append(f"no time was left to count {name}")
            break
        shown = shown or with_values(sql, params)
    return Answer(data, shown, asked.command("traces"), notes=notes)


def histogram(asked: Asked) -> Answer:
    """Return how many traces began in each bucket of time, with and without an error."""
    wanted, notes = with_period(asked.filter)
    bucket = int(asked.whole("bucket", bucket_of(wanted), 31_536_000))
    where = root_condition(wanted)
    params = {**where.params, "bucket": bucket}
    sql = f"""SELECT (start_ns // 1000000000 // $bucket) * $bucket AS x,
    count(*) FILTER (status IS DISTINCT FROM 'error') AS ok, count(*) FILTER (status = 'error') AS error
FROM spans WHERE {where.sql} GROUP BY 1 ORDER BY 1"""
    rows = {row["x"]: row for row in asked.rows(sql, params)}
    x = filled(set(rows), bucket)
    data = {
        "bucket_s": bucket,
        "x": x,
        "ok": [rows[one]["ok"] if one in rows else 0 for one in x],
        "error": [rows[one]["error"] if one in rows else 0 for one in x],
    }
    return Answer(data, with_values(sql, params), asked.command("traces"), notes=notes)
