"""Scores of spans and traces, attached at once or days later."""

from __future__ import annotations

import math
import time

from llmops_sdk.errors import LLMOpsError
from llmops_sdk.tracing.records._records import ScoreRecord
from llmops_sdk.tracing.spans import _runtime
from llmops_sdk.tracing.spans._attributes import text_of

__all__ = ["put_score"]


def put_score(
    name: str,
    value: float | bool | str,
    *,
    span_id: str | None,
    trace_id: str | None,
    session_id: str | None = None,
    document_id: str | None = None,
    label: str | None,
    comment: str | None,
    source: str,
) -> None:
    """Enqueue a score; see `llmops.score`."""
    if not name:
        raise LLMOpsError('a score needs a name, as in llmops.score("helpful", True)')
    if session_id is not None and (span_id, trace_id, document_id) != (None, None, None):
        raise TypeError(
            f"score({name!r}, …) has several targets: give session_id= alone, or span_id=, trace_id= and document_id="
        )
    if "" in (session_id, document_id):
        raise ValueError(f"score({name!r}, …) has an empty session_id= or document_id=: leave it out, or give the id")
    number: float | None
    if isinstance(value, bool):
        number, label = float(value), label or str(value).lower()
    elif isinstance(value, str):
        number, label = None, label or value
    elif isinstance(value, (int, float)) and math.isfinite(value):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        number = float(value)
    else:
        raise LLMOpsError(f"the score {name!r} is {value!r}: give a finite number, a bool or a string")
    runtime = _runtime.current or _runtime.start()
    if not runtime.enabled:
        return
    record = ScoreRecord(
        trace_id=_checked(trace_id, 32, "trace_id"),
        span_id=_checked(span_id, 16, "span_id"),
        session_id=None if session_id is None else text_of(session_id),
        document_id=None if document_id is None else text_of(document_id),
        name=text_of(name),
        value=number,
        label=None if label is None else text_of(label),
        comment=None if comment is None or not runtime.content else text_of(comment),
        source=text_of(source),
        time_ns=time.time_ns(),
    )
    runtime.put(record, 256)


def _checked(value: str | None, digits: int, what: str) -> str | None:
    if value is None:
        return None
    text = text_of(value).lower()
    if len(text) != digits or not set(text) <= set("0123456789abcdef"):
        raise LLMOpsError(f"{what}={value!r} is not {digits} hex digits; take it from span.{what} or a query")
    return text
