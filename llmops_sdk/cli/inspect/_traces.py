"""`llmops traces`: the latest traces, one a line."""
# ruff: noqa: S608 - the condition's values are parameters

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import query

__all__ = ["TRACE_COLUMNS", "list_traces"]

TRACE_COLUMNS = (
    "trace_id, start_time, duration_ms, name, spans, input_tokens, output_tokens, cost, simulated, errors, status, "
    "session_id, user_id"
)
_COLUMNS = TRACE_COLUMNS.split(", ")
_START = _COLUMNS.index("start_time")
_LOOK = 64
"""Of how many spans a trace may be for the latest traces to be found in the latest spans."""


def list_traces(wanted: Filter, *, limit: int, form: Format, store: Path | None) -> None:
    """Write the latest traces that pass `wanted` to stdout, newest first.

    Args:
        wanted: Which.
        limit: How many at most; 0 is all.
        form: How.
        store: The store's folder, or None for that of the settings.

    Raises:
        StoreError: There is no store, or it cannot be read.
    """
    rows = _of_the_latest_spans(wanted, limit, store) if limit else None
    if rows is None:
        where = wanted.where("traces")
        most = f"LIMIT {limit + 1}" if limit else ""
        statement = f"SELECT {TRACE_COLUMNS} FROM traces WHERE {where.sql} ORDER BY start_time DESC, trace_id {most}"
        rows = query(statement, where.params, store=store).rows()
    write_rows(form, _COLUMNS, rows[:limit] if limit else rows, sys.stdout)
    sys.stdout.flush()  # so that the note comes after the rows where both go to one place
    if limit and len(rows) > limit:
        print("there are older ones; --limit 0 shows all", file=sys.stderr)


def _of_the_latest_spans(wanted: Filter, limit: int, store: Path | None) -> Sequence[tuple[Any, ...]] | None:
    """The latest traces and one more, of which no other traces are rolled up; None where that cannot be told.

    All spans that began after the earliest of those looked at are among them, so a trace that began after it is whole,
    and no other one is later.
    """
    if wanted != replace(Filter(), since=wanted.since, until=wanted.until):
        return None
    where = wanted.where("spans")
    count = _LOOK * (limit + 1)
    spans = query(
        f"SELECT trace_id, start_time FROM spans WHERE {where.sql} ORDER BY start_time DESC LIMIT {count}",
        where.params,
        store=store,
    ).rows()
    begins = {str(trace): start for trace, start in spans}  # the last of a trace's is its earliest
    chosen = sorted(sorted(begins), key=lambda trace: begins[trace], reverse=True)[: limit + 1]
    if len(spans) == count and len(chosen) <= limit:
        return None
    whole = replace(wanted, since=None).where("traces")
    ids = {f"trace_{number}": trace for number, trace in enumerate(chosen)}
    names = ", ".join(f"${name}" for name in ids) or "NULL"
    rows = query(
        f"SELECT {TRACE_COLUMNS} FROM traces WHERE trace_id IN ({names}) AND {whole.sql} "
        "ORDER BY start_time DESC, trace_id",
        {**ids, **whole.params},
        store=store,
    ).rows()
    earliest = spans[-1][1] if len(spans) == count else None
    if any(row[_START] != begins[str(row[0])] or row[_START] == earliest for row in rows):
        return None
    return rows
