"""Estimate the size of records, which bounds a batch and a queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

__all__ = ["BATCH_BYTES", "Item", "head_of", "size_of"]

_SPAN_BYTES = 512  # a span without content
_SCORE_BYTES = 256

BATCH_BYTES = 2 * 1024 * 1024
"""Maximum of one request: servers commonly take 4 MB, and encoding adds to the content."""

Item: TypeAlias = "tuple[SpanRecord | ScoreRecord, int, bool]"
"""A queued record, its size in bytes, and whether the outbox has it too."""


def head_of(queue: Iterable[Item], most: int) -> list[Item]:
    """Return the items of a queue, at most `most`, that fit into the next request."""
    batch: list[Item] = []
    size = 0
    for item in queue:
        if batch and (len(batch) >= most or size + item[1] > BATCH_BYTES):
            break
        batch.append(item)
        size += item[1]
    return batch


def size_of(record: SpanRecord | ScoreRecord) -> int:
    """Return roughly how many bytes a record takes in a request."""
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
