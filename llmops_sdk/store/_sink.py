"""The write path: encode batches of the pipeline as lines in this process's segments."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._blob_files import BlobFiles
from llmops_sdk.store.files._filesystems import refuse_network
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.files._segment import SegmentWriter
from llmops_sdk.store.lines._encode import Encoder
from llmops_sdk.store.maintenance._background import BackgroundCompaction, CompactionMode
from llmops_sdk.store.maintenance._retention import drop_old
from llmops_sdk.store.maintenance._thinning import ThinningPolicy
from llmops_sdk.store.outbox._outbox import SegmentOutbox
from llmops_sdk.store.schema._views import RECORD_STREAMS
from llmops_sdk.tracing.capture._blobs import has_ready
from llmops_sdk.tracing.records._records import LossRecord, Record, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["StoreSink", "open_sink"]

_DAY = 86_400.0


@public("llmops_sdk.store")
class StoreSink:
    """Stores spans, scores and losses on this machine. A batch survives kill -9 once `write` returns.

    The pipeline calls it from one thread, like every sink.

    Args:
        path: The store's folder, created if missing; only its owner can read it.
        max_bytes: Total size of segments and blobs at which the sink drops the oldest, and counts them.
        retention_days: Days after which the sink drops a sealed segment or an unused blob; None for never.
        segment_bytes: Size at which a new segment starts.
        segment_seconds: Age at which a new segment starts.
        fsync: Whether to force each write to the disk, to survive a power failure too.
        compaction: "auto" starts a process that turns sealed segments into Parquet files when there are enough.
        clock: The clock for the age of segments and the time of losses.
        thinning: What compaction leaves of old traces.
        destinations: Names of the destinations whose outboxes keep each span until it is delivered.
        outbox_bytes: Size at which an outbox drops its oldest spans, and counts them.
        outbox_days: Age at which an outbox drops a span.

    Raises:
        StoreError: The folder cannot be created or written, or a newer version of the SDK wrote it.
    """

    is_local = True  # queries read what this sink has written

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 10 * 1024**3,
        retention_days: float | None = 90.0,
        segment_bytes: int = 16 * 1024**2,
        segment_seconds: float = 60.0,
        fsync: bool = False,
        compaction: CompactionMode = "auto",
        clock: Clock = SYSTEM_CLOCK,
        thinning: ThinningPolicy = ThinningPolicy(),  # noqa: B008 - frozen
        destinations: Sequence[str] = (),
        outbox_bytes: int = 1024**3,
        outbox_days: float = 7.0,
    ) -> None:
        self._path = path.absolute()
        self._max_bytes = max_bytes
        self._retention_days = retention_days
        self._clock = clock
        self._pid = os.getpid()
        self._encoder = Encoder()
        # Losses stay here until they are written: a full disk must not lose their counts.
        self._losses: Counter[tuple[str, str]] = Counter()
        self._lost_bytes: Counter[tuple[str, str]] = Counter()
        create_store(self._path)
        self._blobs = BlobFiles(self._path, fsync=fsync)
        self._outboxes = {
            name: SegmentOutbox(self._path, name, max_bytes=outbox_bytes, max_days=outbox_days, lose=self._count_loss)
            for name in destinations
        }
        self._stream_names = {stream.record_type: stream.name for stream in RECORD_STREAMS.values()}
        self._writers = {
            stream.name: SegmentWriter(
                self._path,
                stream,
                # Otherwise a store smaller than a segment would never have a sealed one to drop.
                max_bytes=min(segment_bytes, max(max_bytes // 4, 1)),
                max_seconds=segment_seconds,
                fsync=fsync,
                clock=clock,
                watchers=list(self._outboxes.values()) if stream.name == "spans" else (),
            )
            for stream in RECORD_STREAMS.values()
        }
        self._compaction = BackgroundCompaction(self._path, compaction, thinning)
        self._drop_old()
        # Many short processes may have left one segment each.
        self._compaction.start_if_due()

    @property
    def name(self) -> str:
        """Return the sink's name in `FlushReport`."""
        return "store"

    @property
    def outboxes(self) -> Mapping[str, SegmentOutbox]:
        """Return the outboxes by destination."""
        return self._outboxes

    def _count_loss(self, what: str, reason: str, count: int, size: int) -> None:
        self._losses[what, reason] += count
        self._lost_bytes[what, reason] += size

    def write(self, batch: Sequence[Record]) -> int:
        """Write a batch to the disk, and return the number of its spans.

        Raises:
            StoreError: The disk is full or the folder cannot be written. The store then has no span of the batch.
        """
        if self._pid != os.getpid():
            self.after_fork()
        self._rotate()
        ended: list[SpanRecord] = []
        others: dict[str, list[Any]] = {}
        for record in batch:
            name = self._stream_names.get(type(record))
            if name is None:
                ended.append(cast("SpanRecord", record))
            else:
                others.setdefault(name, []).append(record)
        spans = self._encode_spans(ended)
        for line in spans if has_ready() else ():
            # First, so that after a crash no line refers to a missing blob.
            self._blobs.write_for(line, self._encoder.losses, self._encoder.lost_bytes)
        losses = others.pop("losses", [])
        for name, records in others.items():
            stream = RECORD_STREAMS[name]
            lines = (guarded("encoding for the store", None, self._encoder.record_line, stream, one) for one in records)
            written = [line for line in lines if line is not None]
            if len(written) < len(records):
                self._losses[name.removesuffix("s"), "not_encodable"] += len(records) - len(written)
            if written:
                self._writers[name].append(written)
        if spans:
            self._writers["spans"].append(spans)
        self._write_losses(losses)
        return len(spans)

    def _encode_spans(self, ended: list[SpanRecord]) -> list[bytes]:
        encoder = self._encoder
        before = Counter(encoder.losses), Counter(encoder.lost_bytes)
        lines = guarded("encoding spans for the store", None, encoder.span_lines, ended)
        if lines is not None:
            return lines
        encoder.losses, encoder.lost_bytes = before  # the retry below counts them again
        if len(ended) > 1:
            # One span fails: encode the others.
            return [line for record in ended for line in self._encode_spans([record])]
        self._losses["span", "not_encodable"] += 1
        return []

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - local writes do not wait
        """Return whether everything is written. Batches are; counts of losses may wait for disk space."""
        if self._pid != os.getpid():
            self.after_fork()
        self._write_losses([])
        return not self._losses

    def close(self, timeout: float) -> None:  # noqa: ARG002 - as flush
        """Seal the segments. A later write starts new ones."""
        if self._pid != os.getpid():
            self.after_fork()
        for name, writer in self._writers.items():
            if name != "losses":
                writer.seal()
        # Sealing drops what an outbox cannot hold, and counts it: the counts come last.
        self._write_losses([])
        self._writers["losses"].seal()
        for outbox in self._outboxes.values():
            outbox.close()

    def after_fork(self) -> None:
        """Close the inherited descriptors in a forked child. The next write starts new segments."""
        self._pid = os.getpid()
        self._losses.clear()
        self._lost_bytes.clear()
        self._compaction.after_fork()
        for outbox in self._outboxes.values():
            outbox.after_fork()
        for writer in self._writers.values():
            writer.close_in_child()

    def _rotate(self) -> None:
        rotated = False
        for writer in self._writers.values():
            if writer.due():
                writer.seal()
                rotated = True
        if rotated:
            self._drop_old()
            self._compaction.start_if_due()
        else:
            self._compaction.is_running()

    def _drop_old(self) -> None:
        days = self._retention_days
        older_than = None if days is None else self._clock.time() - days * _DAY
        for dropped in drop_old(self._path, max_bytes=self._max_bytes, older_than=older_than):
            self._losses[dropped.what, dropped.reason] += dropped.count
            self._lost_bytes[dropped.what, dropped.reason] += dropped.bytes

    def _write_losses(self, records: Sequence[LossRecord]) -> None:
        self._losses.update(self._encoder.losses)
        self._lost_bytes.update(self._encoder.lost_bytes)
        self._encoder.losses.clear()
        self._encoder.lost_bytes.clear()
        if not records and not self._losses:
            return
        now = int(self._clock.time() * 1e9)
        own = [
            LossRecord(time_ns=now, what=what, reason=reason, count=count, bytes=self._lost_bytes[what, reason])
            for (what, reason), count in self._losses.items()
        ]
        encode = self._encoder.record_line
        try:
            self._writers["losses"].append([encode(RECORD_STREAMS["losses"], record) for record in (*records, *own)])
        except StoreError:
            # The batch itself is safe. The counts wait for disk space.
            for record in records:
                self._losses[record.what, record.reason] += record.count
                self._lost_bytes[record.what, record.reason] += record.bytes
            return
        self._losses.clear()
        self._lost_bytes.clear()


def open_sink(settings: Settings) -> StoreSink | None:
    """Return a sink for the settings, or None if the store is off.

    Raises:
        StoreError: The folder cannot be created or written, is on a network file system, or a newer version wrote it.
    """
    store = settings.store
    if not store.enabled:
        return None
    if store.network == "refuse":
        refuse_network(store.path.absolute())
    return StoreSink(
        store.path,
        max_bytes=store.max_bytes,
        retention_days=store.retention_days,
        segment_bytes=store.segment_bytes,
        segment_seconds=store.segment_seconds,
        fsync=store.fsync,
        compaction=store.compaction,
        thinning=ThinningPolicy.from_settings(store.thinning),
        destinations=sorted(settings.export.trace_destinations) if settings.export.outbox else (),
        outbox_bytes=settings.export.outbox_bytes,
        outbox_days=settings.export.outbox_days,
    )
