"""How large a record is in a request, roughly: what a batch and a queue are bounded by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from llmops_sdk.tracing._records import ScoreRecord, SpanRecord

__all__ = ["size_of"]

_SPAN_BYTES = 512  # what a span without content takes
_SCORE_BYTES = 256


def size_of(record: SpanRecord | ScoreRecord) -> int:
    """Bytes that a record takes in a request, roughly."""
    if isinstance(record, ScoreRecord):
        return _SCORE_BYTES + len(record.comment or "")
    size = _SPAN_BYTES + len(record.input or b"") + len(record.output or b"")
    for value in (record.attributes or {}).values():
        size += _length(value)
    for _, _, attributes in record.events or ():
        for value in attributes.values():
            size += _length(value)
    return size


def _length(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    return sum(_length(item) for item in cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else 8
