"""A loss that is counted outside the write path: by what changes a store's files."""

from __future__ import annotations

import time
from pathlib import Path

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.store.files._segment import SegmentWriter
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.store.schema._views import RECORD_STREAMS
from llmops_sdk.tracing.records._records import LossRecord

__all__ = ["count_loss"]


def count_loss(store: Path, what: str, reason: str, count: int, size: int) -> None:
    """Write one line of losses, in a segment of its own.

    Args:
        store: The store's folder.
        what: What was lost.
        reason: Why.
        count: How many.
        size: How many bytes.

    Raises:
        StoreError: It cannot be written.
    """
    stream = RECORD_STREAMS["losses"]
    writer = SegmentWriter(store, stream, max_bytes=1, max_seconds=1.0, fsync=False, clock=SYSTEM_CLOCK)
    record = LossRecord(time_ns=time.time_ns(), what=what, reason=reason, count=count, bytes=size)
    writer.append([Encoder().record_line(stream, record)])
    writer.seal()
