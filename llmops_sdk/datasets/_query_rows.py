"""Make rows of a query over the stored traces, with the session and the user of each trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmops_sdk.datasets._rows import EXPECTED, Columns, NumberedRow, nearest_hint
from llmops_sdk.errors import DatasetError
from llmops_sdk.store import query
from llmops_sdk.store.reading._query import StorePath

__all__ = ["rows_of_query"]

_OF_SPANS = """SELECT s.span_id AS key, any_value(s.trace_id) AS trace_id,
    list(DISTINCT o.session_id ORDER BY o.session_id) FILTER (o.session_id IS NOT NULL) AS session_id,
    list(DISTINCT o.user_id ORDER BY o.user_id) FILTER (o.user_id IS NOT NULL) AS user_id
FROM spans s JOIN spans o USING (trace_id) WHERE s.span_id IN (SELECT unnest($ids::VARCHAR[])) GROUP BY ALL"""
_OF_TRACES = """SELECT trace_id AS key, trace_id,
    list(DISTINCT session_id ORDER BY session_id) FILTER (session_id IS NOT NULL) AS session_id,
    list(DISTINCT user_id ORDER BY user_id) FILTER (user_id IS NOT NULL) AS user_id
FROM spans WHERE trace_id IN (SELECT unnest($ids::VARCHAR[])) GROUP BY ALL"""


def rows_of_query(
    sql: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
    columns: Columns,
    *,
    path: StorePath | None,
    timeout: float | None,
) -> Iterator[NumberedRow]:
    """Yield the rows of a query, numbered from 1.

    JSON columns are parsed. Rows with a `trace_id` or a `span_id` get the `session_id` and the `user_id` of that trace,
    unless the query gives such columns itself.

    Args:
        sql: The statement.
        params: Its values.
        columns: Which column is what.
        path: The store's folder.
        timeout: Seconds, or None.

    Raises:
        DatasetError: The query has no such columns, or a JSON column cannot be parsed.
        QueryError: The SQL is not valid or not allowed.
    """
    result = query(sql, params, path=path, timeout=timeout)
    names = result.columns
    needed = [columns.input]
    needed += [columns.expected] if columns.expected != EXPECTED else []
    needed += [columns.id] if columns.id is not None else []
    for name in needed:
        if name not in names:
            raise DatasetError(
                f"the query has no column {name!r}{nearest_hint(name, names)}: name it in SQL, as in "
                f"SELECT prompt AS {name}, or give the column's name"
            )
    nested = {name for name, kind in zip(names, result.types, strict=True) if kind == "JSON"}
    key = next((name for name in ("trace_id", "span_id") if name in names), None)
    people = {} if key is None else _people(key, names.index(key), result, path)
    for number, cells in enumerate(result, 1):
        row: dict[str, Any] = dict(zip(names, cells, strict=True))
        for name in nested:
            row[name] = _parsed(row[name], name, number)
        if key is not None and (known := people.get(row[key])):
            trace, *ids = known
            if key == "span_id":
                row["trace_id"] = trace
            for name, value in zip(("session_id", "user_id"), ids, strict=True):
                if name not in names and value:
                    # A trace of several users belongs to each of them.
                    row[name] = value[0] if len(value) == 1 else value
        if row[columns.input] is None:
            raise DatasetError(
                f"row {number}: {columns.input} is NULL: every item needs an input (add WHERE {columns.input} IS NOT "
                "NULL)",
                line=number,
            )
        yield number, row


def _people(key: str, index: int, result: Any, path: StorePath | None) -> dict[Any, tuple[Any, ...]]:
    ids = sorted({str(row[index]) for row in result if row[index] is not None})
    if not ids:
        return {}
    found = query(_OF_TRACES if key == "trace_id" else _OF_SPANS, {"ids": ids}, path=path)
    return {row[0]: tuple(row[1:]) for row in found}


def _parsed(value: Any, name: str, number: int) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"row {number}: {name} has no valid JSON: {error}", line=number) from error
