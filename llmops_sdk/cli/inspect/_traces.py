"""`llmops traces`: the latest traces, one a line."""
# ruff: noqa: S608 - the condition's values are parameters

from __future__ import annotations

import sys
from pathlib import Path

from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli._unknown import tell_unknown_names
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import existing_store, query
from llmops_sdk.store.reading._filters import trace_filter
from llmops_sdk.store.reading._latest import latest_traces

__all__ = ["TRACE_COLUMNS", "list_traces"]

TRACE_COLUMNS = (
    "trace_id, start_time, duration_ms, name, spans, input_tokens, output_tokens, cost, simulated, errors, status, "
    "session_id, user_id"
)


def list_traces(wanted: Filter, *, limit: int, form: Format, store: Path | None) -> None:
    """Write the latest traces that match a filter to stdout, newest first.

    Args:
        wanted: The filter.
        limit: The largest number of traces; 0 is all.
        form: The output format.
        store: The store's folder, or None for the configured one.

    Raises:
        StoreError: The store does not exist or cannot be read.
    """
    is_cut = False
    if limit:
        rows, following = latest_traces(existing_store(store), TRACE_COLUMNS, limit=limit, chosen=trace_filter(wanted))
        is_cut = following is not None
    else:
        where = wanted.where("traces")
        statement = f"SELECT {TRACE_COLUMNS} FROM traces WHERE {where.sql} ORDER BY start_time DESC, trace_id"
        rows = query(statement, where.params, store=store).rows()
    write_rows(form, TRACE_COLUMNS.split(", "), rows, sys.stdout)
    sys.stdout.flush()  # the note comes after the rows where both go to one place
    if not rows:
        tell_unknown_names(wanted, store)
    if is_cut:
        print("there are older ones; --limit 0 shows all", file=sys.stderr)
