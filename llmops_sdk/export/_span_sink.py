"""The sink that sends spans or scores to a backend: a bounded queue and one thread in front of the batch exporter.

`write` never touches the network. Batches go out in order and at once; a batch that the backend could not take stays
at the head of the queue and is sent again, with growing pauses, for as long as the process lives. What the backend
refuses for good is counted as lost. What finds the queue full, or still waits at the end, is in the store's outbox:
it is read from there when the backend takes something again, in this process or in a later one. Without an outbox it
is lost too.
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
from llmops_sdk.export._backlog import Backlog, Part
from llmops_sdk.export._delivery import Delivery, Judgement, load_exporter
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._filter import chosen
from llmops_sdk.export._sizes import Item, head_of, size_of
from llmops_sdk.export._threads import uninstrumented
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._outbox import Outbox
from llmops_sdk.tracing.records._records import Record, ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.export._batch import BatchExporter

__all__ = ["PATIENCE", "OtlpSink"]

_log = logging.getLogger("llmops_sdk")

PATIENCE = 1.7  # seconds without an answer after which `close` gives up, so that exit is delayed by 2 s at most
_JOIN = 0.2
_ADOPT_EVERY = 60.0

# What the records of each signal are called, in the log and in the counts of losses.
_SPANS, _SCORES = ("spans", "export"), ("scores", "export_scores")


class OtlpSink:
    """Sends the spans, or the scores, to one backend.

    Args:
        destination: Where to, and what may leave.
        max_spans: Spans that may wait; a further one is dropped and counted.
        max_bytes: Bytes of content that may wait.
        lose: Told what is lost, as `record_loss` is.
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
        self._noun, self._what = _SCORES if destination.signal == "logs" else _SPANS
        self._chosen = partial(chosen, scores=destination.signal == "logs", passes=destination.passes)
        self._abandoned: list[BatchExporter | None] = []
        self._outbox: Outbox | None = None
        self._backlog: Backlog | None = None
        self._begin()

    def use_outboxes(self, outboxes: Mapping[str, Outbox]) -> None:
        """Rely on the destination's from now on, and send what dead processes left; before the first batch."""
        outbox = outboxes.get(self._destination.name)
        if outbox is None or self.name != "otlp":
            return
        with self._lock:
            self._outbox = outbox
            self._backlog = Backlog(outbox, self._chosen)
            self._changed.notify_all()

    def _begin(self) -> None:
        """The state of a process that has sent nothing yet."""
        self._lock = threading.Lock()  # entered itself: a condition takes it in Python, where Ctrl-C can leave it taken
        self._changed = threading.Condition(self._lock)
        self._sending = threading.Lock()
        self._queue: deque[Item] = deque()
        self._queue_bytes = 0
        self._taken = 0
        self._exported = 0
        self._dropped = 0
        self._settled = 0
        self._delivery = Delivery(self._destination, self._noun, self._exporter_loaded)
        self._hurry = False
        self._closed = False
        self._off = False
        self._answered_at = 0.0
        self._ending_at: float | None = None
        self._adopted_at = 0.0
        if self._outbox is not None:
            self._backlog = Backlog(self._outbox, self._chosen)
        self._thread: threading.Thread | None = None
        # Now and not at the first batch: from Python 3.12 on, none can be started once the interpreter is ending.
        self._start_thread()

    @property
    def name(self) -> str:
        """The sink's name in the counts."""
        if self._destination.signal == "logs":
            return "scores"
        return "console" if self._destination.protocol == "console" else "otlp"

    @property
    def exported(self) -> int:
        """Spans that the backend has taken."""
        return self._exported

    @property
    def pending(self) -> int:
        """Spans of this process that wait or are under way, those that only the outbox holds included."""
        backlog = self._backlog
        return len(self._queue) + (backlog.unsent if backlog is not None else 0)

    @property
    def dropped(self) -> int:
        """Spans that will not reach the backend."""
        return self._dropped

    @property
    def failures(self) -> int:
        """Tries in a row that have failed."""
        return self._delivery.failures

    def write(self, batch: Sequence[Record]) -> int:
        """Queue what of a batch is for this backend; how much is safe. Never waits for the network."""
        records, backlog = self._chosen(batch), self._backlog
        sizes = [size_of(record) for record in records]
        with self._lock:
            kept = backlog is not None and backlog.is_kept
            if backlog is not None and kept and (self._closed or backlog.behind or not self._has_room(sizes)):
                backlog.note(len(records), queued=False)
                room, reason = len(records), ""
            else:
                room, reason = self._enqueue(records, sizes, kept=kept)
                if backlog is not None:
                    backlog.note(room, queued=True)
            self._taken += room
            self._dropped += len(records) - room
            self._changed.notify_all()
        if room < len(records):
            self._lose(self._what, reason, len(records) - room, sum(sizes[room:]))
        if records and self._thread is None and not self._closed and not self._off:
            self._start_thread()
        return room

    def _has_room(self, sizes: Sequence[int]) -> bool:
        fits = self._queue_bytes + sum(sizes) <= self._max_bytes
        return fits and len(self._queue) + len(sizes) <= self._max_spans

    def _enqueue(
        self, records: Sequence[SpanRecord | ScoreRecord], sizes: Sequence[int], *, kept: bool
    ) -> tuple[int, str]:
        """How many of the first records found room, and why the others did not."""
        if self._closed or self._off:
            return 0, "closed" if self._closed else "not_supported"
        room = 0
        for record, size in zip(records, sizes, strict=True):
            if len(self._queue) >= self._max_spans or self._queue_bytes + size > self._max_bytes:
                break
            self._queue.append((record, size, kept))
            self._queue_bytes += size
            room += 1
        return room, "queue_full"

    def begin_close(self) -> None:
        """Send what waits at once; the patience of `close` counts from here, so that several sinks share it."""
        with self._lock:
            self._hurry = True
            self._ending_at = time.monotonic()
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until the backend has every span taken so far, `timeout` seconds at most; whether it has."""
        deadline = time.monotonic() + timeout
        with self._lock:
            target, dropped = self._taken, self._dropped
            self._hurry = True
            self._changed.notify_all()
        if self._thread is None:
            self._send_here(deadline)
        with self._lock:
            # After the end nobody sends: what waits is the next process's.
            self._changed.wait_for(
                lambda: self._settled >= target or self._closed, max(deadline - time.monotonic(), 0.0)
            )
            return self._settled >= target and self._dropped == dropped

    def close(self, timeout: float) -> None:
        """Send what waits and stop, within `timeout` seconds and with 2 s without an answer at most.

        The 2 s run from the first request: to import the exporter takes seconds on a busy machine, and no backend is to
        blame for that.
        """
        begun = time.monotonic()
        deadline = begun + timeout
        with self._lock:
            if self._closed:
                return
            self._hurry = True
            asked = begun if self._ending_at is None else self._ending_at
            self._answered_at = asked if self._delivery.has_exporter else math.inf
            self._changed.notify_all()
        if self._thread is None and self._waits():
            guarded("importing the OTLP exporter", None, load_exporter)
            self._send_here(min(deadline, time.monotonic() + PATIENCE))
        with self._lock:
            while (
                self._thread is not None
                and self._waits()
                and (left := min(deadline, self._answered_at + PATIENCE) - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            self._closed = self._delivery.quiet = True
            self._changed.notify_all()
        self._abandon_rest()
        if self._backlog is not None:
            # What is under way is acknowledged when it is taken, so that the next process does not send it again.
            if self._sending.acquire(timeout=max(min(deadline, asked + PATIENCE) - time.monotonic(), 0.0)):
                self._sending.release()
            self._backlog.close()
        self._delivery.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    def after_fork(self) -> None:
        """In a forked child: begin with an empty queue, a thread and a connection of its own."""
        # The parent's exporter is kept and never touched again: its locks may be held by a thread that does not exist
        # here, and closing its connection could speak on the parent's socket.
        self._abandoned.append(self._delivery.exporter)
        self._begin()

    # --- the exporting thread ---------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="llmops-otlp", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # the interpreter is ending, or there are too many threads: `flush` and `close` send
        self._thread = thread

    def _run(self) -> None:
        with uninstrumented():
            while True:
                with self._lock:
                    self._changed.wait_for(lambda: self._waits() or self._closed or self._has_backlog())
                    if self._closed:
                        return
                pause = self._send_next()
                with self._lock:
                    self._changed.wait_for(lambda: self._hurry or self._closed, pause)

    def _waits(self) -> bool:
        """Whether spans of this process do."""
        return bool(self._queue) or (self._backlog is not None and self._backlog.behind)

    def _has_backlog(self) -> bool:
        backlog = self._backlog
        return backlog is not None and (backlog.adoption_due or backlog.may_acknowledge)

    def _send_here(self, deadline: float) -> None:
        """Send on the caller's thread, where there can be no other."""
        with uninstrumented():
            while self._waits() and time.monotonic() < deadline:
                if self._send_next(deadline):
                    return

    def _send_next(self, deadline: float | None = None) -> float:
        """Send what is next; the seconds to pause before the next try, 0 when there is no need to."""
        with self._sending:
            with self._lock:
                batch = head_of(self._queue, self._delivery.batch_limit)
                self._hurry = False
            if batch:
                return self._settle(batch, self._delivery.send([record for record, *_ in batch], deadline))
            return self._send_backlog(deadline) if self._backlog is not None else 0.0

    def _exporter_loaded(self) -> None:
        with self._lock:
            self._answered_at = time.monotonic()
            self._changed.notify_all()

    def _send_backlog(self, deadline: float | None) -> float:
        """Send some of what only the outbox holds."""
        backlog = self._backlog
        if backlog is not None and backlog.may_acknowledge:
            with self._lock:
                backlog.sent(0)
        part: Part | None = guarded("reading the outbox", None, backlog.next) if backlog is not None else None
        if backlog is None or part is None:
            with self._lock:
                missing = backlog.caught_up() if backlog is not None else 0
                self._settled += missing
                self._dropped += missing
                self._changed.notify_all()
            return 0.0
        begun = time.monotonic()
        records = list(islice(part.left, self._delivery.batch_limit))
        judgement = self._delivery.send(records, deadline) if records else Judgement(done=True)
        lost = judgement.lost
        with self._lock:
            if not judgement.done:
                return judgement.pause
            for _ in records:
                part.left.popleft()
            self._exported += len(records) - lost
            self._dropped += lost
            if not part.adopted:
                self._settled += len(records)
                backlog.unsent = max(backlog.unsent - len(records), 0)
            self._answered_at = time.monotonic()
            self._changed.notify_all()
        if not part.left:
            backlog.done(part)
        if lost:
            self._lose(self._what, "refused", lost, 0)
        # What others left is no hurry: half of the time is the application's.
        return time.monotonic() - begun if part.adopted else 0.0

    def _settle(self, batch: list[Item], judgement: Judgement) -> float:
        if self._closed:
            return 0.0  # `close` has said what becomes of the batch
        if judgement.unsupported:
            self._turn_off(judgement.unsupported)
        elif judgement.done:
            self._remove(batch, judgement.lost)
        return judgement.pause

    def _remove(self, batch: list[Item], lost: int) -> None:
        """Take a batch that is done with off the queue; `lost` of its records did not arrive."""
        with self._lock:
            if self._closed:
                return
            for _ in batch:
                self._queue_bytes -= self._queue.popleft()[1]
            self._settled += len(batch)
            self._exported += len(batch) - lost
            self._dropped += lost
            self._answered_at = now = time.monotonic()
            if self._backlog is not None:
                self._backlog.sent(len(batch))
                if now - self._adopted_at > _ADOPT_EVERY:
                    self._adopted_at, self._backlog.adoption_due = now, True
            self._changed.notify_all()
        if lost:
            self._lose(self._what, "rejected" if lost < len(batch) else "refused", lost, 0)

    def _turn_off(self, reason: str) -> None:
        """The backend has no place for these: say it once, and leave it alone."""
        rest, _ = self._drop_rest(off=True)
        _log.warning(
            "llmops: %s takes no %s (%s): they stay in the local store, it is left alone; set OTEL_%s_EXPORTER=none",
            *(self._destination.shown, self._noun, reason, self._destination.signal.upper()),
        )
        self._lose(self._what, "not_supported", rest, 0)

    def _abandon_rest(self) -> None:
        backlog, shown = self._backlog, self._destination.shown
        if backlog is not None and self._waits():
            with self._lock:
                # What waits in memory is in the outbox too, but for what the store could not write.
                backlog.unsent += sum(kept for *_, kept in self._queue)
                self._queue = deque(item for item in self._queue if not item[2])
                self._queue_bytes = sum(size for _, size, _ in self._queue)
            if backlog.unsent:
                _log.warning(
                    "llmops: %d spans wait for %s: the next process sends them, or llmops replay", backlog.unsent, shown
                )
        if (rest := self._drop_rest())[0]:
            self._lose(self._what, "unfinished", *rest)
            _log.warning("llmops: %d %s could not be exported to %s before the end", rest[0], self._noun, shown)

    def _drop_rest(self, *, off: bool = False) -> tuple[int, int]:
        with self._lock:
            rest, size = len(self._queue), self._queue_bytes
            self._off = self._off or off
            self._queue.clear()
            self._queue_bytes = 0
            self._settled += rest
            self._dropped += rest
            self._changed.notify_all()
        return rest, size
