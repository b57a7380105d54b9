"""A bounded queue and one background thread between the application's threads and the sinks.

The application calls `put`: two comparisons and an append. Everything else happens on the background thread. It starts
at the first record, and sleeps without a time-out while the queue is empty.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from llmops_sdk._util._daemon import start_daemon
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
from llmops_sdk.tracing.runtime._counts import Counts, LossSums
from llmops_sdk.tracing.runtime._process_end import count_threads, join_thread
from llmops_sdk.tracing.runtime._sink_lock import SinkLock

__all__ = ["Pipeline"]

_log = logging.getLogger("llmops_sdk")

Transform: TypeAlias = Callable[[list[SpanRecord | ScoreRecord]], list[SpanRecord | ScoreRecord]]

_BATCH = 512
_BATCH_BYTES = 8 * 1024 * 1024  # content: a batch with more delays whoever waits for its end
_WAKE_AT_SPANS = 512
_WAKE_AT_BYTES = 4 * 1024 * 1024
_FORK_WAIT = 10.0  # seconds: the imports of a first batch on a busy machine
_CHILD_WRITE_THROUGH = 5.0  # seconds
_LATE_CLOSE = 5.0  # seconds for the sinks, in the pipeline's own thread


class _Marker:
    """A place in the queue; `reached` is set once the sinks have everything before it."""

    __slots__ = ("reached", "stop")

    def __init__(self, *, stop: bool = False) -> None:
        self.reached = Latch()
        self.stop = stop


_NO_SPANS = frozenset({_Marker, LossRecord, ScoreRecord})


class Pipeline:
    """The queue, its thread and its sinks.

    Args:
        open_sinks: Creates the sinks; called on the pipeline's thread before the first batch.
        bounds: The size of the queue.

    Attributes:
        transform: Changes spans and scores on the pipeline's thread before any sink sees them, as redaction does.
        write_through_until: Until this time (`time.monotonic`) the pipeline starts no thread: `put` writes at once.
    """

    def __init__(self, open_sinks: Callable[[], Sequence[Sink]], bounds: PipelineBounds) -> None:
        self._open_sinks = open_sinks
        self.transform: Transform | None = None
        self._sinks: Sequence[Sink] | None = None
        self._bounds = bounds
        self._max_spans = bounds.spans
        self._max_bytes = bounds.bytes
        self._counts = Counts()
        self._closed = False
        self._late = False  # the thread was not done when `shut_down` had to return: it closes the sinks itself
        self.write_through_until = 0.0
        self._new_queue()

    def _new_queue(self) -> None:
        self._queue: deque[ScoreRecord | LossRecord | Recordable | _Marker] = deque()
        # The application's threads add to this without a lock: a lost update leaves it one span too small until the
        # thread next drains the queue and corrects it. The bound protects memory; it need not be exact.
        self._queued_bytes = 0
        self._losses = LossSums()
        self._wake = Latch()
        self._idle = False
        self._thread: threading.Thread | None = None
        self._thread_lock = threading.Lock()
        self._starting_thread = 0  # the last thread that took `_thread_lock`
        self._sink_lock = SinkLock()
        self._marker_waits = False
        self._stopping = False  # the marker that stops the thread is in the queue
        self._stopped = False
        self._forking = False
        self._locked_for_fork = False

    # --- the application's side -------------------------------------------------------------------------------

    def put(self, record: ScoreRecord | LossRecord | Recordable, size: int) -> None:
        """Enqueue a record with `size` bytes of content; a full queue drops it and counts it."""
        queue = self._queue
        if len(queue) >= self._max_spans or self._queued_bytes + size > self._max_bytes:
            self.record_loss("span", "queue_full", 1, size)
            return
        self._queued_bytes += size
        queue.append(record)
        if self._idle or self._thread is None:
            self._wake_thread()
        elif len(queue) == _WAKE_AT_SPANS or self._queued_bytes > _WAKE_AT_BYTES:
            self._wake.set()

    def record_loss(self, what: str, reason: str, count: int = 1, bytes: int = 0) -> None:  # noqa: A002 - the record's own field
        """Count something that was dropped, truncated or redacted; the next batch carries the sum."""
        self._losses.add(what, reason, count, bytes)
        if what == "span":
            with self._losses.lock:
                self._counts.dropped += count

    def _wake_thread(self) -> None:
        self._idle = False
        if self._thread is None:
            self._start_thread()
        self._wake.set()

    def _start_thread(self) -> None:
        # A garbage collection or a signal handler inside this method ended a span: the new thread will take it.
        if self._starting_thread == threading.get_ident() and self._thread_lock.locked():
            return
        with self._thread_lock:
            self._starting_thread = threading.get_ident()
            if self._thread is not None or self._forking:
                return
            if not self._closed and time.monotonic() >= self.write_through_until:
                self._thread = start_daemon(self._run, "llmops-pipeline")
                if self._thread is not None:
                    return
        # After shutdown, early in a forked child, and if no thread can start, write in the caller's thread.
        self._drain()

    # --- the background side ----------------------------------------------------------------------------------

    def _run(self) -> None:
        wake = self._wake
        # Not only at the first batch: the sinks' imports may need threads, and at exit none can start.
        self._sink_lock.run(self._ensure_sinks)
        while True:
            self._idle = True
            # A record may have arrived before `_idle` was set: its thread did not wake this one.
            if not self._queue:
                wake.wait()
            self._idle = False
            wake.clear()
            if not self._flush_is_due():
                wake.wait(self._bounds.interval)
            if self._drain():
                with self._thread_lock:
                    late, self._stopped = self._late, True
                if late:
                    self._thread = None
                    self._close_sinks(time.monotonic() + _LATE_CLOSE)
                return
            if self._forking:
                break
        self._thread = None
        if self._queue and not self._forking:
            self._wake_thread()  # the fork did not wait for this thread and is over

    def _flush_is_due(self) -> bool:
        busy = len(self._queue) >= _WAKE_AT_SPANS or self._queued_bytes > _WAKE_AT_BYTES
        return busy or self._marker_waits or self._forking

    def _drain(self) -> bool:
        """Hand the queue to the sinks; return whether a marker asked to stop."""
        # None: this thread is inside already, and takes the rest there.
        return self._sink_lock.run(self._drain_queue) or False

    def _drain_queue(self) -> bool:
        stop = False
        self._marker_waits = False
        # Twice: the first pass may itself produce records, in a garbage collection for example. Not until the queue is
        # empty: a thread that records without pause would keep this one here.
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
            # A sink has just counted losses, and there may be no next batch to carry them.
            self._write([*self._losses.take()])
        self._queued_bytes = sum(getattr(record, "size", 0) for record in list(self._queue))
        return stop

    def _next_batch(self, most: int) -> tuple[list[Record], _Marker | None, int]:
        """Take at most `most` records; return those for the sinks, the marker that ended them, and the number."""
        queue = self._queue
        batch: list[Record] = []
        content: list[SpanRecord | ScoreRecord] = []
        ended: list[Recordable] = []
        marker: _Marker | None = None
        taken = size = 0
        most = min(most, _BATCH)
        with self._counts.moving():
            while taken < most and queue and size < _BATCH_BYTES:
                record: Any = queue.popleft()
                taken += 1
                if type(record) not in _NO_SPANS:  # one check for most of them
                    size += record.size
                    ended.append(record)
                elif isinstance(record, _Marker):
                    marker = record
                    break
                elif isinstance(record, LossRecord):
                    batch.append(record)
                elif isinstance(record, ScoreRecord):
                    content.append(record)
            self._counts.in_hand += len(ended)
        self._queued_bytes -= size
        content += self._run_stage("reading spans", _records_of, ended)
        if content and self.transform is not None:
            content = self._run_stage("the stages before the sinks", self.transform, content)
        batch += content
        # Last, so that the batch carries the counts of its own redactions.
        batch += self._losses.take()
        return batch, marker, taken

    def _run_stage(self, name: str, stage: Callable[[list[Any]], list[Any]], items: list[Any]) -> list[Any]:
        """Run a stage on all items. If it raises, run it on each, and count those that raise again as lost."""
        done = guarded(name, None, stage, items)
        if done is not None:
            return done
        if len(items) > 1:
            return [ready for item in items for ready in self._run_stage(name, stage, [item])]
        self.record_loss("score" if isinstance(items[0], ScoreRecord) else "span", "not_readable")
        return []

    def _write(self, batch: list[Record]) -> None:
        sinks = self._ensure_sinks()
        safe = 0
        # A local sink that returns has stored the losses of the batch, even if it took no spans.
        losses_stored = bool(sinks) and not any(sink.is_local for sink in sinks)
        for sink in sinks:
            count = guarded(f"the sink {sink.name}", None, sink.write, batch)
            if count is None:
                self._counts.errors.append(f"{sink.name}: a batch of {len(batch)} records was not taken")
                continue
            safe = max(safe, count)
            if sink.is_local:
                self._counts.store(count)
                losses_stored = True
        if not losses_stored:
            self._losses.restore(batch)
        with self._counts.moving():
            if safe < len(batch):  # or there are scores and losses among them
                spans = sum(type(record) not in _NO_SPANS for record in batch)
                if safe < spans:
                    self.record_loss("span", "not_taken", spans - safe)
            self._counts.in_hand = 0

    def _ensure_sinks(self) -> Sequence[Sink]:
        if self._sinks is None:
            self._sinks = guarded("opening the sinks", cast("Sequence[Sink]", ()), self._open_sinks)
        return self._sinks

    # --- flush, shut down, fork -------------------------------------------------------------------------------

    def flush(self, timeout: float, *, local_only: bool = False) -> FlushReport:
        """Hand everything queued so far to the sinks, and flush these.

        Args:
            timeout: Maximum seconds to wait.
            local_only: Flush only the sinks that store records on this machine. A backend that does not answer then
                delays nothing.
        """
        deadline = time.monotonic() + timeout
        self._wait_for_marker(_Marker(), deadline)
        for sink in self._sinks or ():
            if local_only and not sink.is_local:
                continue
            guarded(f"flushing the sink {sink.name}", False, sink.flush, max(deadline - time.monotonic(), 0.0))
        return self.report()

    def _wait_for_marker(self, marker: _Marker, deadline: float) -> None:
        if (not self._queue and not self._losses and self._thread is None) or self._sink_lock.is_inside():
            return
        self._queue.append(marker)
        self._stopping = self._stopping or marker.stop
        self._marker_waits = True
        self._wake_thread()
        marker.reached.wait(max(deadline - time.monotonic(), 0.0))

    def shut_down(self, timeout: float) -> FlushReport:
        """Flush, stop the thread and close the sinks within `timeout` seconds. Later records are written at once."""
        deadline = time.monotonic() + timeout
        if not self._stopping:  # else a signal handler has ended the wait of another call
            self._wait_for_marker(_Marker(stop=True), deadline)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(deadline - time.monotonic(), 0.0))
            with self._thread_lock:
                self._late = thread.is_alive() and not self._stopped
            if self._late:
                # A batch takes longer than the time-out. The thread goes on, and closes the sinks.
                self._closed = True
                report = self.report()
                _log.warning("llmops: %d spans were not written within %g s of a shutdown", report.pending, timeout)
                return report
        self._closed = True
        self._thread = None
        self._drain()
        self._close_sinks(deadline)
        return self.report()

    def _close_sinks(self, deadline: float) -> None:
        # In reverse order of opening: the store is first, and takes the losses that the other sinks report.
        for sink in reversed(self._sinks or ()):
            # Not while another thread writes to the sink.
            self._sink_lock.run(partial(self._close_sink, sink, max(deadline - time.monotonic(), 0.1)))
            self._drain()

    @staticmethod
    def _close_sink(sink: Sink, timeout: float) -> None:
        guarded(f"closing the sink {sink.name}", None, sink.close, timeout)

    def report(self) -> FlushReport:
        """Return the counts so far."""
        return self._counts.read(self._report)

    def _report(self) -> FlushReport:
        counts = self._counts
        pending = counts.in_hand + sum(1 for record in list(self._queue) if type(record) not in _NO_SPANS)
        exported = 0
        for sink in self._sinks or ():
            exported += int(getattr(sink, "exported", 0))
            pending += int(getattr(sink, "pending", 0))
        return FlushReport(
            stored=counts.stored,
            exported=exported,
            pending=pending,
            dropped=counts.dropped,
            errors=tuple(counts.errors),
        )

    def before_fork(self) -> None:
        """Stop the thread between two batches while the process forks. The queue stays.

        A child has only the forking thread: locks that other threads hold at the fork, such as import locks, stay
        locked in the child, and Python 3.12 warns about every fork with other threads. The wait is bounded, because a
        sink may hang on a disk or a network file system.
        """
        deadline = time.monotonic() + _FORK_WAIT
        thread = self._thread
        count = 0 if thread is None else count_threads()
        self._forking = True
        if thread is not None and thread is not threading.current_thread():
            self._wake.set()
            join_thread(thread, _FORK_WAIT, count)
        # Also stop threads that write their own records.
        self._locked_for_fork = self._sink_lock.enter(max(deadline - time.monotonic(), 0.0))

    def after_fork_in_parent(self) -> None:
        self._forking = False
        if self._locked_for_fork:
            self._locked_for_fork = False
            self._sink_lock.leave()
        if self._queue and self._thread is None:
            self._wake_thread()

    def after_fork(self, ends_without_hook: bool = False) -> None:
        """Start again in a forked child, with an empty queue and sinks that release what belongs to the parent.

        Many children do one piece of work and leave through os._exit, without any hook. Therefore a child writes
        through at first, and starts a thread only later; never if it is known to leave so.
        """
        self._new_queue()
        until = math.inf if ends_without_hook else time.monotonic() + _CHILD_WRITE_THROUGH
        self.write_through_until = max(self.write_through_until, until)
        self._counts = Counts()
        for sink in self._sinks or ():
            guarded(f"the sink {sink.name} after a fork", None, sink.after_fork)


def _records_of(ended: list[Recordable]) -> list[SpanRecord]:
    return [span.to_record() for span in ended]
