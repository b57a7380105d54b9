"""`llmops traces`: the latest traces, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from llmops_sdk.cli._formats import Format
from llmops_sdk.cli._reading import query, show

__all__ = ["TraceFilter", "list_traces"]

_TRACES = """
SELECT trace_id, start_time, duration_ms, name, spans, input_tokens, output_tokens, cost, simulated, errors, status,
       session_id, user_id
FROM traces {where} ORDER BY start_time DESC, trace_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFilter:
    """Which traces to list; None lets every one pass."""

    since: datetime | None = None
    model: str | None = None
    session: str | None = None
    user: str | None = None
    status: str | None = None
    search: str | None = None


def _conditions(wanted: TraceFilter) -> Iterator[str]:
    # A trace is listed when one of its spans fits; its row is about the whole of it.
    within = "trace_id IN (SELECT trace_id FROM {} WHERE {})"
    if wanted.since is not None:
        yield "start_time >= $since"
    if wanted.status is not None:
        yield "status = $status"
    if wanted.model is not None:
        yield within.format("llm_calls", "$model IN (model, request_model)")
    if wanted.session is not None:
        yield within.format("spans", "session_id = $session")
    if wanted.user is not None:
        yield within.format("spans", "user_id = $user")
    if wanted.search is not None:
        texts = "concat_ws(' ', name, input, output, status_message, attributes)"
        yield within.format("spans", f"contains(lower({texts}), lower($search))")


def list_traces(wanted: TraceFilter, *, limit: int, form: Format, store: Path | None) -> None:
    """Write the latest traces that pass `wanted` to stdout, newest first.

    Args:
        wanted: Which.
        limit: How many at most; 0 is all.
        form: How.
        store: The store's folder, or None for that of the settings.

    Raises:
        StoreError: There is no store, or it cannot be read.
    """
    conditions = list(_conditions(wanted))
    statement = _TRACES.format(where="WHERE " + " AND ".join(conditions) if conditions else "")
    params = {field.name: value for field in fields(wanted) if (value := getattr(wanted, field.name)) is not None}
    result = query(statement, params, store=store)
    show(form, result.columns, result.rows(), limit)
