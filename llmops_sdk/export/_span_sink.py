"""The sink that sends spans or scores to a backend: a bounded queue and one thread in front of the batch exporter.

`write` never touches the network. The thread sends batches at once and in order. If the backend cannot take a batch,
the thread retries it with growing pauses as long as the process lives. Records that the backend refuses for good are
counted as lost. If the queue is full, or at the end of the process, the store's outbox still has the spans: this
process or a later one sends them when the backend is back. Without an outbox they are lost.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._backlog import Backlog, BacklogChunk
from llmops_sdk.export._delivery import Delivery, DeliveryResult, load_exporter
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._filter import select_records
from llmops_sdk.export._sizes import Item, head_of, size_of
from llmops_sdk.export._threads import start_daemon, uninstrumented
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._outbox import Outbox
from llmops_sdk.tracing.records._records import Record, ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.export._batch import BatchExporter

__all__ = ["PATIENCE", "OtlpSink"]

_log = logging.getLogger("llmops_sdk")

PATIENCE = 1.7  # seconds without a response after which `close` gives up, so that exit takes at most 2 s longer
_JOIN = 0.2
_ADOPT_EVERY = 60.0

# The words for the records, in the log and in the counts of losses.
_SPANS, _SCORES = ("spans", "export"), ("scores", "export_scores")


class OtlpSink:
    """Sends spans or scores to one backend.

    Args:
        destination: The backend, and what is sent to it.
        max_spans: Maximum number of spans in the queue; more are dropped and counted.
        max_bytes: Maximum bytes of content in the queue.
        lose: Counts losses, as `record_loss` does.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        max_spans: int = 65_536,
        max_bytes: int = 64 * 1024 * 1024,
        lose: Callable[[str, str, int, int], None] = record_loss,
    ) -> None:
        self._destination = destination
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._lose = lose
        self._noun, self._loss_name = _SCORES if destination.signal == "logs" else _SPANS
        self._select = partial(select_records, scores=destination.signal == "logs", passes=destination.passes)
        self._abandoned: list[BatchExporter | None] = []
        self._outbox: Outbox | None = None
        self._backlog: Backlog | None = None
        self._reset()

    def use_outboxes(self, outboxes: Mapping[str, Outbox]) -> None:
        """Use the destination's outbox, and send what dead processes left; called before the first batch."""
        outbox = outboxes.get(self._destination.name)
        if outbox is None or not self.is_span_backend:
            return
        with self._lock:
            self._outbox = outbox
            self._backlog = Backlog(outbox, self._select)
            self._changed.notify_all()

    def _reset(self) -> None:
        """Set the state of a process that has sent nothing yet."""
        # Entered directly: a condition enters it in Python code, which Ctrl-C can interrupt.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._sending = threading.Lock()
        self._queue: deque[Item] = deque()
        self._queue_bytes = 0
        self._received = 0
        self.exported = 0  # spans that the backend has accepted
        self.dropped = 0  # spans that will never reach the backend
        self._accounted = 0
        self._delivery = Delivery(self._destination, self._noun, self._exporter_loaded)
        self._send_at_once = False
        self._closed = False
        self._turned_off = False
        self._response_at = 0.0
        self._close_began_at: float | None = None
        self._adopted_at = 0.0
        if self._outbox is not None:
            self._backlog = Backlog(self._outbox, self._select)
        # Now, not at the first batch: since Python 3.12, no thread can start while the interpreter ends.
        self._thread = start_daemon(self._run, "llmops-otlp")

    @property
    def takes_spans(self) -> bool:
        """Return whether the sink takes spans, not scores."""
        return self._destination.signal == "traces"

    @property
    def is_span_backend(self) -> bool:
        """Return whether the sink sends spans to a backend, not to the console."""
        return self.takes_spans and self._destination.protocol != "console"

    @property
    def name(self) -> str:
        """Return the name for logs."""
        if not self.takes_spans:
            return "scores"
        return "otlp" if self.is_span_backend else "console"

    @property
    def pending(self) -> int:
        """Return how many spans of this process are unsent, including those that only the outbox holds."""
        backlog = self._backlog
        return len(self._queue) + (backlog.unsent if backlog is not None else 0)

    @property
    def failures(self) -> int:
        """Return the number of failed attempts in a row."""
        return self._delivery.failures

    def write(self, batch: Sequence[Record]) -> int:
        """Enqueue the records for this backend and return how many are safe, without waiting for the network."""
        records, backlog = self._select(batch), self._backlog
        sizes = [size_of(record) for record in records]
        with self._lock:
            in_outbox = backlog is not None and backlog.has_latest
            if backlog is not None and in_outbox and (self._closed or backlog.behind or not self._has_room(sizes)):
                backlog.note(len(records), queued=False)
                room, reason = len(records), ""
            else:
                room, reason = self._enqueue(records, sizes, in_outbox=in_outbox)
                if backlog is not None:
                    backlog.note(room, queued=True)
            self._received += room
            self.dropped += len(records) - room
            self._changed.notify_all()
        if room < len(records):
            self._lose(self._loss_name, reason, len(records) - room, sum(sizes[room:]))
        if records and self._thread is None and not self._closed and not self._turned_off:
            self._thread = start_daemon(self._run, "llmops-otlp")
        return room

    def _has_room(self, sizes: Sequence[int]) -> bool:
        fits = self._queue_bytes + sum(sizes) <= self._max_bytes
        return fits and len(self._queue) + len(sizes) <= self._max_spans

    def _enqueue(
        self, records: Sequence[SpanRecord | ScoreRecord], sizes: Sequence[int], *, in_outbox: bool
    ) -> tuple[int, str]:
        """Enqueue records until the queue is full; return their number, and why the others were left out."""
        if self._closed or self._turned_off:
            return 0, "closed" if self._closed else "not_supported"
        room = 0
        for record, size in zip(records, sizes, strict=True):
            if len(self._queue) >= self._max_spans or self._queue_bytes + size > self._max_bytes:
                break
            self._queue.append((record, size, in_outbox))
            self._queue_bytes += size
            room += 1
        return room, "queue_full"

    def begin_close(self) -> None:
        """Start to send at once. The time limit of `close` counts from here, so that several sinks share it."""
        with self._lock:
            self._send_at_once = True
            self._close_began_at = time.monotonic()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the backend has every span so far; return whether it has."""
        deadline = time.monotonic() + timeout
        with self._lock:
            target, dropped = self._received, self.dropped
            self._send_at_once = True
            self._changed.notify_all()
        if self._thread is None:
            self._send_here(deadline)
        with self._lock:
            # A closed sink sends no more: the next process does.
            self._changed.wait_for(
                lambda: self._accounted >= target or self._closed, max(deadline - time.monotonic(), 0.0)
            )
            return self._accounted >= target and self.dropped == dropped

    def close(self, timeout: float) -> None:
        """Send the queue and stop, within `timeout` seconds and at most 2 s without a response.

        The 2 s count from the first request: importing the exporter takes seconds on a busy machine.
        """
        begun = time.monotonic()
        deadline = begun + timeout
        with self._lock:
            if self._closed:
                return
            self._send_at_once = True
            close_began = begun if self._close_began_at is None else self._close_began_at
            self._response_at = close_began if self._delivery.exporter is not None else math.inf
            self._changed.notify_all()
        if self._thread is None and self._has_unsent():
            guarded("importing the OTLP exporter", None, load_exporter)
            self._send_here(min(deadline, time.monotonic() + PATIENCE))
        with self._lock:
            while (
                self._thread is not None
                and self._has_unsent()
                and (left := min(deadline, self._response_at + PATIENCE) - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            self._closed = self._delivery.quiet = True
            self._changed.notify_all()
        self._abandon_rest()
        if self._backlog is not None:
            # Wait for the request that is under way: acknowledged spans are not sent again by the next process.
            if self._sending.acquire(timeout=max(min(deadline, close_began + PATIENCE) - time.monotonic(), 0.0)):
                self._sending.release()
            self._backlog.close()
        self._delivery.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    def after_fork(self) -> None:
        """Start again in a forked child: with an empty queue, a new thread and a new connection."""
        # Keep the parent's exporter and never touch it: a thread that does not exist here may hold its locks, and
        # closing its connection could write to the parent's socket.
        self._abandoned.append(self._delivery.exporter)
        self._reset()

    # --- the exporting thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        with uninstrumented():
            while True:
                with self._lock:
                    self._changed.wait_for(lambda: self._has_unsent() or self._closed or self._has_backlog())
                    if self._closed:
                        return
                pause = self._send_next()
                with self._lock:
                    self._changed.wait_for(lambda: self._send_at_once or self._closed, pause)

    def _has_unsent(self) -> bool:
        """Return whether spans of this process are unsent."""
        return bool(self._queue) or (self._backlog is not None and self._backlog.behind)

    def _has_backlog(self) -> bool:
        backlog = self._backlog
        return backlog is not None and (backlog.adoption_due or backlog.may_acknowledge)

    def _send_here(self, deadline: float) -> None:
        """Send in the caller's thread, because no other can start."""
        with uninstrumented():
            while self._has_unsent() and time.monotonic() < deadline:
                if self._send_next(deadline):
                    return

    def _send_next(self, deadline: float | None = None) -> float:
        """Send the next batch; return the seconds to pause before the next attempt."""
        with self._sending:
            with self._lock:
                batch = head_of(self._queue, self._delivery.batch_limit)
                self._send_at_once = False
            if batch:
                return self._account(batch, self._delivery.send([record for record, *_ in batch], deadline))
            return self._send_backlog(deadline) if self._backlog is not None else 0.0

    def _exporter_loaded(self) -> None:
        with self._lock:
            self._response_at = time.monotonic()
            self._changed.notify_all()

    def _send_backlog(self, deadline: float | None) -> float:
        """Send a batch of spans that only the outbox holds; return the seconds to pause."""
        backlog = self._backlog
        if backlog is not None and backlog.may_acknowledge:
            with self._lock:
                backlog.sent(0)
        chunk: BacklogChunk | None = guarded("reading the outbox", None, backlog.next) if backlog is not None else None
        if backlog is None or chunk is None:
            with self._lock:
                missing = backlog.caught_up() if backlog is not None else 0
                self._accounted += missing
                self.dropped += missing
                self._changed.notify_all()
            return 0.0
        begun = time.monotonic()
        records = list(islice(chunk.left, self._delivery.batch_limit))
        result = self._delivery.send(records, deadline) if records else DeliveryResult(done=True)
        lost = result.lost
        with self._lock:
            if not result.done:
                return result.pause
            for _ in records:
                chunk.left.popleft()
            self.exported += len(records) - lost
            self.dropped += lost
            if not chunk.adopted:
                self._accounted += len(records)
                backlog.unsent = max(backlog.unsent - len(records), 0)
            self._response_at = time.monotonic()
            self._changed.notify_all()
        if not chunk.left:
            backlog.done(chunk)
        if lost:
            self._lose(self._loss_name, "refused", lost, 0)
        # Spans of dead processes are not urgent: leave half of the time to the application.
        return time.monotonic() - begun if chunk.adopted else 0.0

    def _account(self, batch: list[Item], result: DeliveryResult) -> float:
        if self._closed:
            return 0.0  # `close` has accounted for the batch
        if result.unsupported:
            self._turn_off(result.unsupported)
        elif result.done:
            self._remove(batch, result.lost)
        return result.pause

    def _remove(self, batch: list[Item], lost: int) -> None:
        """Remove a finished batch from the queue; `lost` of its records did not arrive."""
        with self._lock:
            if self._closed:
                return
            for _ in batch:
                self._queue_bytes -= self._queue.popleft()[1]
            self._accounted += len(batch)
            self.exported += len(batch) - lost
            self.dropped += lost
            self._response_at = now = time.monotonic()
            if self._backlog is not None:
                self._backlog.sent(len(batch))
                if now - self._adopted_at > _ADOPT_EVERY:
                    self._adopted_at, self._backlog.adoption_due = now, True
            self._changed.notify_all()
        if lost:
            self._lose(self._loss_name, "rejected" if lost < len(batch) else "refused", lost, 0)

    def _turn_off(self, reason: str) -> None:
        """Stop sending to a backend that does not support these records, and log that once."""
        rest, _ = self._drop_rest(turn_off=True)
        _log.warning(
            "llmops: %s does not accept %s (%s); export to it is turned off for this process. They stay in the local "
            "store. Set OTEL_%s_EXPORTER=none to silence this.",
            *(self._destination.shown, self._noun, reason, self._destination.signal.upper()),
        )
        self._lose(self._loss_name, "not_supported", rest, 0)

    def _abandon_rest(self) -> None:
        backlog, shown = self._backlog, self._destination.shown
        if backlog is not None and self._has_unsent():
            with self._lock:
                # The outbox has the queue too, except for batches that the store could not write.
                backlog.unsent += sum(in_outbox for *_, in_outbox in self._queue)
                self._queue = deque(item for item in self._queue if not item[2])
                self._queue_bytes = sum(size for _, size, _ in self._queue)
            if backlog.unsent:
                text = "llmops: %d spans wait for %s: the next process or `llmops replay` sends them"
                _log.warning(text, backlog.unsent, shown)
        if (rest := self._drop_rest())[0]:
            self._lose(self._loss_name, "unfinished", *rest)
            _log.warning("llmops: %d %s could not be exported to %s before the end", rest[0], self._noun, shown)

    def _drop_rest(self, *, turn_off: bool = False) -> tuple[int, int]:
        with self._lock:
            rest, size = len(self._queue), self._queue_bytes
            self._turned_off = self._turned_off or turn_off
            self._queue.clear()
            self._queue_bytes = 0
            self._accounted += rest
            self.dropped += rest
            self._changed.notify_all()
        return rest, size
