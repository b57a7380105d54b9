"""`llmops traces`: the latest traces, one a line."""
# ruff: noqa: S608 - the condition's values are parameters

from __future__ import annotations

from pathlib import Path

from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli._formats import Format
from llmops_sdk.cli._reading import query, show

__all__ = ["TRACE_COLUMNS", "list_traces"]

TRACE_COLUMNS = (
    "trace_id, start_time, duration_ms, name, spans, input_tokens, output_tokens, cost, simulated, errors, status, "
    "session_id, user_id"
)


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
    where = wanted.where("traces")
    statement = f"SELECT {TRACE_COLUMNS} FROM traces WHERE {where.sql} ORDER BY start_time DESC, trace_id"
    result = query(statement, where.params, store=store)
    show(form, result.columns, result.rows(), limit)
