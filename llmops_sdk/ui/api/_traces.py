"""The list of traces, newest first, in two steps: the newest ids, then only their spans."""
# ruff: noqa: S608 - conditions have parameters

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._filters import Filter, trace_filter
from llmops_sdk.store.reading._latest import TraceKey, known_traces, latest_traces, trace_texts
from llmops_sdk.ui._answers import Answer, seconds, text_preview
from llmops_sdk.ui._asked import Asked, with_values

__all__ = ["LIST_COLUMNS", "LIST_NAMES", "line_of", "list_traces", "newest", "trace_rows", "traces_sql"]

_MAX_ROWS = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_PREVIEW = 4_000  # characters that are parsed for the beginning of a text
_LIGHT = (
    "trace_id, start_time, duration_ms, name, status, errors, spans, cost, input_tokens, output_tokens, simulated, "
    "session_id, user_id, models, scores"
)
_LINE = f"{_LIGHT}, left(root_input, {_PREVIEW}), left(root_output, {_PREVIEW}), first_error"
LIST_COLUMNS = f"{_LIGHT}, left(input, {_PREVIEW}) AS input, left(output, {_PREVIEW}) AS output"
"""Columns of the view `traces` that a line of the list needs."""
LIST_NAMES: tuple[str, ...] = (
    "trace_id", "start_time", "duration_ms", "name", "status", "errors", "spans", "cost", "input_tokens",
    "output_tokens", "simulated", "session_id", "user_id", "models", "scores", "input", "output",
)  # fmt: skip


def list_traces(asked: Asked) -> Answer:
    """Return the newest traces that match the filters."""
    limit = asked.whole("limit", 50, _MAX_ROWS)
    rows, following = newest(asked, asked.filter, limit, _key(asked.text("cursor")))
    return Answer(
        {"rows": rows, "searched_back_to": None},
        traces_sql(asked.filter, limit),
        asked.command("traces", f"--limit={limit}"),
        None if following is None else f"{following.start_ns}-{following.trace_id}",
    )


def newest(
    asked: Asked, wanted: Filter, limit: int, after: TraceKey | None = None
) -> tuple[list[dict[str, Any]], TraceKey | None]:
    """Return lines of the list, and the key after which the next page begins.

    Args:
        asked: The request.
        wanted: The filter.
        limit: The most lines.
        after: The key of the last line of the page before.
    """
    page = latest_traces(asked.folder, _LINE, limit=limit, chosen=trace_filter(wanted), after=after)
    found = _with_texts(asked, page.rows)
    for line, row in zip(found, page.rows, strict=True):
        line["error_type"] = row[-1]
    return found, page.next


def line_of(asked: Asked, key: TraceKey) -> dict[str, Any]:
    """Return the line of one trace."""
    [found] = _with_texts(asked, known_traces(asked.folder, [key], _LINE))
    return found


def _with_texts(asked: Asked, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return lines from rows of `_LINE`, with other texts where the root has none."""
    lacking = [_key_of(row) for row in rows if None in row[-3:-1]]
    texts = trace_texts(asked.folder, lacking, _PREVIEW)
    return trace_rows(dict(zip(LIST_NAMES, (*row[:-3], *texts.get(row[0], row[-3:-1])), strict=True)) for row in rows)


def _key_of(row: Sequence[Any]) -> TraceKey:
    start = row[1]
    return TraceKey(-1 if start is None else (start - _EPOCH) // timedelta(microseconds=1) * 1_000, row[0])


def traces_sql(wanted: Filter, limit: int) -> str:
    """Return SQL that gives the same traces."""
    where = wanted.where("traces")
    return with_values(
        f"SELECT * FROM traces WHERE {where.sql} ORDER BY start_time DESC, trace_id LIMIT {limit}", where.params
    )


def trace_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return lines of the list, from rows of the view `traces`."""
    return [
        {
            "trace_id": row["trace_id"],
            "name": row["name"],
            "start_time": row["start_time"],
            "duration_s": seconds(row["duration_ms"]),
            "status": row["status"],
            "errors": row["errors"],
            "error_type": None,
            "user_id": row["user_id"],
            "session_id": row["session_id"],
            "models": row["models"],
            "spans": row["spans"],
            "cost_usd": row["cost"],
            "tokens": (row["input_tokens"] or 0) + (row["output_tokens"] or 0),
            "input": text_preview(row["input"]),
            "output": text_preview(row["output"]),
            "scores": _parsed(row["scores"]),
            "simulated": row["simulated"],
        }
        for row in rows
    ]


def _key(cursor: str | None) -> TraceKey | None:
    if cursor is None:
        return None
    found = re.fullmatch(r"(-?[0-9]{1,19})-([0-9A-Za-z_.-]{1,200})", cursor)
    if found is None:
        raise UsageError("this cursor is not one that the list gave")
    return TraceKey(int(found[1]), found[2])


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
