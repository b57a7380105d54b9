"""What the traces of a filter have: their models, statuses, names, users and tags, and how many there are over time."""
# ruff: noqa: S608 - conditions have parameters

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from llmops_sdk.errors import QueryError
from llmops_sdk.store.reading._filters import Filter, root_condition
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import Asked, with_values
from llmops_sdk.ui._sheets import bucket_of, filled, with_period

__all__ = ["facets", "histogram"]

_MOST = 20
_OF_ROOTS = {"status": "status", "name": "name", "user": "user_id", "session": "session_id", "tag": "unnest(tags)"}
"""A trace has one root: counting roots costs a fraction of counting the distinct traces of spans."""
_OF_SPANS = {"model": ("llm_calls", "coalesce(model, request_model)"), "kind": ("spans", "kind")}
_FACETS = ("status", "model", "name", "user", "session", "tag", "kind")
_PERIOD = "7d"


def facets(asked: Asked) -> Answer:
    """Return the most frequent values, each facet as if its own filter were not set, as far as the time allows.

    Status, name, user, session and tags are those of a trace's root.
    """
    wanted, notes = with_period(asked.filter, _PERIOD)
    data: dict[str, list[dict[str, Any]]] = {}
    shown = ""
    for names, others in _together(wanted):
        sql, params = _roots_sql(names, others) if names[0] in _OF_ROOTS else _spans_sql(names[0], others)
        try:
            rows = asked.rows(sql, params)
        except QueryError:
            notes.append(f"no time was left to count {', '.join(names)}")
            break
        for name in names:
            data[name] = [{"value": row["value"], "count": row["count"]} for row in rows if row["facet"] == name]
        shown = shown or with_values(sql, params)
    return Answer({name: data[name] for name in _FACETS if name in data}, shown, asked.command("traces"), notes=notes)


def _together(wanted: Filter) -> Iterator[tuple[list[str], Filter]]:
    """Yield the facets that one statement counts, with the filter for them."""
    shared: list[str] = []
    for name in _FACETS:
        own = {"tag": "tags"}.get(name, name)
        others = replace(wanted, **{own: () if own == "tags" else None})
        if name in _OF_ROOTS and others == wanted:
            shared.append(name)
        else:
            yield [name], others
    if shared:
        yield shared, wanted


def _roots_sql(names: Sequence[str], others: Filter) -> tuple[str, dict[str, Any]]:
    where = root_condition(others)
    columns = ", ".join(dict.fromkeys(_OF_ROOTS[name].removeprefix("unnest(").removesuffix(")") for name in names))
    counted = [
        f"(SELECT '{name}' AS facet, value, count(*) AS count FROM (SELECT {_OF_ROOTS[name]} AS value FROM roots) "
        f"WHERE value IS NOT NULL GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {_MOST})"
        for name in names
    ]
    sql = f"""WITH roots AS MATERIALIZED (SELECT {columns} FROM spans WHERE {where.sql})
FROM ({" UNION ALL ".join(counted)}) ORDER BY facet, count DESC, value"""
    return sql, dict(where.params)


def _spans_sql(name: str, others: Filter) -> tuple[str, dict[str, Any]]:
    view, expression = _OF_SPANS[name]
    where = Filter(since=others.since, until=others.until).where("spans")
    sql, params = where.sql, dict(where.params)
    if replace(others, since=None, until=None) != Filter():
        roots = root_condition(others)
        sql, params = f"{sql} AND trace_id IN (SELECT trace_id FROM spans WHERE {roots.sql})", params | roots.params
    sql = f"""SELECT '{name}' AS facet, value, count(DISTINCT trace_id) AS count
FROM (SELECT {expression} AS value, trace_id FROM {view} WHERE {sql})
WHERE value IS NOT NULL GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {_MOST}"""
    return sql, params


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
