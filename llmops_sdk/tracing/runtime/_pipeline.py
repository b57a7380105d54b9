"""From the application's threads to the sinks: a bounded queue and one background thread.

The application's side is `put`: two comparisons and an append. Everything else happens on the thread. It sleeps
without a time-out while there is nothing to do, and starts at the first record.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk._util._latch import Latch
from llmops_sdk.tracing.records._records import (
    FlushReport,
    LossRecord,
    PipelineBounds,
    Record,
    Recordable,
    ScoreRecord,
    Sink,
    SpanRecord,
)
from llmops_sdk.tracing.runtime._process_end import count_threads, join_thread, start_thread

__all__ = ["Pipeline"]

Transform: TypeAlias = Callable[[list[SpanRecord | ScoreRecord]], list[SpanRecord | ScoreRecord]]

_BATCH = 512
_NUDGE_SPANS = 512
_NUDGE_BYTES = 4 * 1024 * 1024
_ERRORS_KEPT = 20
_FORK_WAIT = 10.0  # seconds: the imports of a first batch, on a busy machine
_CHILD_WRITES = 5.0  # seconds


class _Marker:
    """A place in the queue: set once everything before it is with the sinks."""

    __slots__ = ("reached", "stop")

    def __init__(self, *, stop: bool = False) -> None:
        self.reached = Latch()
        self.stop = stop


_NO_SPANS = frozenset({_Marker, LossRecord, ScoreRecord})


@dataclass(slots=True)
class _Counts:
    stored: int = 0
    sunk: Counter[str] = field(default_factory=Counter[str])
    dropped: int = 0
    errors: deque[str] = field(default_factory=lambda: deque[str](maxlen=_ERRORS_KEPT))


class Pipeline:
    """The queue, its thread and its sinks.

    Args:
        open_sinks: Makes the sinks; called on the pipeline's thread before the first batch.
        bounds: The size of the queue.

    Attributes:
        transform: Changes spans and scores on the pipeline's thread before any sink sees them; redaction, that is.
        write_through_until: Until then (`time.monotonic`) no thread is started: who makes a record writes it, at once.
    """

    def __init__(self, open_sinks: Callable[[], Sequence[Sink]], bounds: PipelineBounds) -> None:
        self._open_sinks = open_sinks
        self.transform: Transform | None = None
        self._sinks: Sequence[Sink] | None = None
        self._bounds = bounds
        self._max_spans = bounds.spans
        self._max_bytes = bounds.bytes
        self._counts = _Counts()
        self._closed = False
        self.write_through_until = 0.0
        self._new_queue()

    def _new_queue(self) -> None:
        self._queue: deque[ScoreRecord | LossRecord | Recordable | _Marker] = deque()
        # Grown by the application's threads without a lock: a lost update leaves the figure a span too small until
        # the thread next empties the queue and puts it right. The bound is for memory, not for accounting.
        self._queued_bytes = 0
        self._losses: dict[tuple[str, str], tuple[int, int]] = {}
        self._losses_lock = threading.Lock()
        self._wake = Latch()
        self._idle = False
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._starter = 0  # the thread that took it last
        self._drain_lock = threading.Lock()
        self._drainer = 0  # the thread that took it last
        self._marker_waits = False
        self._forking = False
        self._held_for_fork = False

    # --- the application's side -------------------------------------------------------------------------------

    def put(self, record: ScoreRecord | LossRecord | Recordable, size: int) -> None:
        """Queue a record whose content is `size` bytes long; a full queue drops and counts it."""
        queue = self._queue
        if len(queue) >= self._max_spans or self._queued_bytes + size > self._max_bytes:
            self.record_loss("span", "queue_full", 1, size)
            return
        self._queued_bytes += size
        queue.append(record)
        if self._idle or self._thread is None:
            self._rouse()
        elif len(queue) == _NUDGE_SPANS or self._queued_bytes > _NUDGE_BYTES:
            self._wake.set()

    def record_loss(self, what: str, reason: str, count: int = 1, bytes: int = 0) -> None:  # noqa: A002 - the record's own field
        """Count something that was dropped, truncated or redacted; the sum is stored with the next batch."""
        with self._losses_lock:
            known, size = self._losses.get((what, reason), (0, 0))
            self._losses[what, reason] = (known + count, size + bytes)
            if what == "span":
                self._counts.dropped += count

    def _rouse(self) -> None:
        self._idle = False
        if self._thread is None:
            self._start_thread()
        self._wake.set()

    def _start_thread(self) -> None:
        # Not from inside itself, where the collector or a signal made a record: the thread that starts takes that too.
        if self._starter == threading.get_ident() and self._thread_lock.locked():
            return
        with self._thread_lock:
            self._starter = threading.get_ident()
            if self._thread is not None or self._forking:
                return
            if not self._closed and time.monotonic() >= self.write_through_until:
                thread = threading.Thread(target=self._run, name="llmops-pipeline", daemon=True)
                if start_thread(thread):
                    self._thread = thread
                    return
        # After shutdown, early in a forked child, and where no thread can start any more, write in the caller's.
        self._drain()

    # --- the background side ----------------------------------------------------------------------------------

    def _run(self) -> None:
        wake = self._wake
        with self._drain_lock:
            self._drainer = threading.get_ident()
            # At once, not at the first batch: what they import may need threads, and at exit none can start.
            self._opened()
        while True:
            self._idle = True
            # A record may have come before the flag was up; its thread saw no reason to wake this one.
            if not self._queue:
                wake.wait()
            self._idle = False
            wake.clear()
            if not self._hurried():
                wake.wait(self._bounds.interval)
            if self._drain():
                return
            if self._forking:
                break
        self._thread = None
        if self._queue and not self._forking:
            self._rouse()  # the fork did not wait for this thread, and is over

    def _hurried(self) -> bool:
        busy = len(self._queue) >= _NUDGE_SPANS or self._queued_bytes > _NUDGE_BYTES
        return busy or self._marker_waits or self._forking

    def _drain(self) -> bool:
        """Hand everything queued to the sinks; whether a marker asked to stop."""
        stop = False
        if self._inside_itself():
            return stop  # the collector or a signal made a record: the loop below takes that too
        with self._drain_lock:
            self._drainer = threading.get_ident()
            self._marker_waits = False
            # Twice: what was there, and what that made meanwhile, in the collector for one. Not until there is nothing
            # left: a thread that records without end would hold this one for ever.
            for _ in range(2):
                left = max(len(self._queue), 1)
                while left > 0 and not self._forking:
                    batch, marker, taken = self._next_batch(left)
                    left -= max(taken, 1)
                    if batch:
                        self._write(batch)
                    if marker is not None:
                        stop = stop or marker.stop
                        marker.reached.set()
            if self._losses and self._thread is None:
                # What a sink has just lost: there may be no next batch to go with.
                self._write([*self._take_losses()])
            self._queued_bytes = sum(getattr(record, "size", 0) for record in list(self._queue))
        return stop

    def _inside_itself(self) -> bool:
        """Whether this thread hands records to the sinks just now, and calls what is the application's for it."""
        return self._drainer == threading.get_ident() and self._drain_lock.locked()

    def _next_batch(self, most: int) -> tuple[list[Record], _Marker | None, int]:
        """Records for the sinks, the marker that ended them, if one did, and how many of at most `most` were taken."""
        queue = self._queue
        batch: list[Record] = []
        content: list[SpanRecord | ScoreRecord] = []
        ended: list[Recordable] = []
        marker: _Marker | None = None
        taken = size = 0
        most = min(most, _BATCH)
        while taken < most and queue:
            record: Any = queue.popleft()
            taken += 1
            if type(record) not in _NO_SPANS:  # one look for the most of them
                size += record.size
                ended.append(record)
            elif isinstance(record, _Marker):
                marker = record
                break
            elif isinstance(record, LossRecord):
                batch.append(record)
            elif isinstance(record, ScoreRecord):
                content.append(record)
        self._queued_bytes -= size
        content += self._read(ended)
        batch += self._transformed(content)
        # Last, so that what was redacted in this batch is counted in it.
        batch += self._take_losses()
        return batch, marker, taken

    def _read(self, ended: list[Recordable]) -> list[SpanRecord]:
        records = guarded("reading spans", None, _to_records, ended)
        if records is not None:
            return records
        if len(ended) > 1:
            # One of them is at fault; the others are kept.
            return [record for span in ended for record in self._read([span])]
        self.record_loss("span", "not_readable")
        return []

    def _transformed(self, records: list[SpanRecord | ScoreRecord]) -> list[SpanRecord | ScoreRecord]:
        transform = self.transform
        if transform is None or not records:
            return records
        done = guarded("the stages before the sinks", None, transform, records)
        if done is not None:
            return done
        if len(records) > 1:
            # One of them is at fault; the others are kept.
            return [ready for record in records for ready in self._transformed([record])]
        self.record_loss("score" if isinstance(records[0], ScoreRecord) else "span", "not_readable")
        return []

    def _take_losses(self) -> list[LossRecord]:
        if not self._losses:
            return []
        with self._losses_lock:
            now = time.time_ns()
            taken = [
                LossRecord(time_ns=now, what=what, reason=reason, count=count, bytes=size)
                for (what, reason), (count, size) in self._losses.items()
            ]
            self._losses.clear()
        return taken

    def _write(self, batch: list[Record]) -> None:
        sinks = self._opened()
        safe = 0
        # Only the store keeps losses; when it returns it has those of the batch, whatever it says of the spans.
        losses_kept = not any(sink.name == "store" for sink in sinks) and bool(sinks)
        for sink in sinks:
            count = guarded(f"the sink {sink.name}", None, sink.write, batch)
            if count is None:
                self._counts.errors.append(f"{sink.name}: a batch of {len(batch)} records was not taken")
                continue
            self._counts.sunk[sink.name] += count
            safe = max(safe, count)
            losses_kept = losses_kept or sink.name == "store"
        if not losses_kept:
            self._keep_losses(batch)
        if safe < len(batch):  # or there are scores and losses among them
            spans = sum(type(record) not in _NO_SPANS for record in batch)
            if safe < spans:
                self.record_loss("span", "not_taken", spans - safe)

    def _keep_losses(self, batch: list[Record]) -> None:
        # The counts of what was lost are stored when there is room again.
        with self._losses_lock:
            for record in batch:
                if isinstance(record, LossRecord):
                    count, size = self._losses.get((record.what, record.reason), (0, 0))
                    self._losses[record.what, record.reason] = (count + record.count, size + record.bytes)

    def _opened(self) -> Sequence[Sink]:
        if self._sinks is None:
            self._sinks = guarded("opening the sinks", cast("Sequence[Sink]", ()), self._open_sinks)
        return self._sinks

    # --- flush, shut down, fork -------------------------------------------------------------------------------

    def flush(self, timeout: float) -> FlushReport:
        """Bring everything queued until now to the sinks, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._reach(_Marker(), deadline)
        for sink in self._sinks or ():
            guarded(f"flushing the sink {sink.name}", False, sink.flush, max(deadline - time.monotonic(), 0.0))
        return self.report()

    def _reach(self, marker: _Marker, deadline: float) -> None:
        if (not self._queue and not self._losses and self._thread is None) or self._inside_itself():
            return
        self._queue.append(marker)
        self._marker_waits = True
        self._rouse()
        marker.reached.wait(max(deadline - time.monotonic(), 0.0))

    def shut_down(self, timeout: float) -> FlushReport:
        """Flush, stop the thread and close the sinks within `timeout` seconds; later records are written at once."""
        deadline = time.monotonic() + timeout
        self._reach(_Marker(stop=True), deadline)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._closed = True
        self._thread = None
        self._drain()
        # Opened in this order, closed in the other: the store comes first, and takes what the others report as lost.
        for sink in reversed(self._sinks or ()):
            # Not while another thread, one that still records, writes in it.
            with self._drain_lock:
                self._drainer = threading.get_ident()
                guarded(f"closing the sink {sink.name}", None, sink.close, max(deadline - time.monotonic(), 0.1))
            self._drain()
        return self.report()

    def report(self) -> FlushReport:
        """The counts so far."""
        pending = sum(1 for record in list(self._queue) if not isinstance(record, _Marker))
        exported = 0
        for sink in self._sinks or ():
            exported += int(getattr(sink, "exported", 0))
            pending += int(getattr(sink, "pending", 0))
        counts = self._counts
        return FlushReport(
            stored=counts.sunk["store"],
            exported=exported,
            pending=pending,
            dropped=counts.dropped,
            errors=tuple(counts.errors),
        )

    def before_fork(self) -> None:
        """End the thread between two batches, for as long as the process forks; what is queued waits.

        A child has only the forking thread: what the others hold at that moment, an import's lock above all, stays
        held in it, and Python 3.12 warns of every fork with other threads. The wait is bounded, for a sink may be
        stuck on a disk or a network file system.
        """
        deadline = time.monotonic() + _FORK_WAIT
        thread = self._thread
        count = 0 if thread is None else count_threads()
        self._forking = True
        if thread is not None and thread is not threading.current_thread():
            self._wake.set()
            join_thread(thread, _FORK_WAIT, count)
        # Nor by a thread that writes its own records.
        self._held_for_fork = self._drain_lock.acquire(timeout=max(deadline - time.monotonic(), 0.0))
        self._drainer = threading.get_ident()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._forking = False
        if self._held_for_fork:
            self._held_for_fork = False
            self._drain_lock.release()
        if self._queue and self._thread is None:
            self._rouse()

    def after_fork(self) -> None:
        """In a forked child: begin anew, with an empty queue and sinks that let go of what is the parent's.

        Many children live for one piece of work and leave by os._exit, past every hook: what they record is written
        through at first. One that lives on gets a thread, as any process.
        """
        self._new_queue()
        self.write_through_until = max(self.write_through_until, time.monotonic() + _CHILD_WRITES)
        self._counts = _Counts()
        for sink in self._sinks or ():
            guarded(f"the sink {sink.name} after a fork", None, sink.after_fork)


def _to_records(ended: list[Recordable]) -> list[SpanRecord]:
    return [span._to_record() for span in ended]  # pyright: ignore[reportPrivateUsage] - a friend
