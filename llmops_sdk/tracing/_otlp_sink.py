"""The sink that sends spans or scores to a backend: a bounded queue and one thread in front of the batch exporter.

`write` never touches the network. Batches go out in order and at once; a batch that the backend could not take stays
at the head of the queue and is sent again, with growing pauses, for as long as the process lives. What finds the queue
full, what the backend refuses for good, and what is still waiting at the end is counted as lost.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing._otlp_endpoint import Destination
from llmops_sdk.tracing._otlp_sizes import size_of
from llmops_sdk.tracing._otlp_threads import import_lock, uninstrumented
from llmops_sdk.tracing._records import LossRecord, Record, ScoreRecord, SpanRecord
from llmops_sdk.tracing._runtime import record_loss

if TYPE_CHECKING:
    from llmops_sdk.tracing._otlp_export import BatchExporter, Outcome

__all__ = ["PATIENCE", "OtlpSink"]

_log = logging.getLogger("llmops_sdk")

_BATCH_SPANS = 512
_BATCH_BYTES = 2 * 1024 * 1024  # servers commonly take requests of 4 MB, and encoding adds to the content
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
PATIENCE = 1.7  # seconds without an answer after which `close` gives up, so that exit is delayed by 2 s at most
_JOIN = 0.2
_WARN_EVERY = 300.0

_Item: TypeAlias = "tuple[SpanRecord | ScoreRecord, int]"
"""A record that waits, and its size in bytes."""

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
        self._abandoned: list[BatchExporter | None] = []
        self._begin()

    def _begin(self) -> None:
        """The state of a process that has sent nothing yet."""
        self._lock = threading.Lock()  # entered itself: a condition takes it in Python, where Ctrl-C can leave it taken
        self._changed = threading.Condition(self._lock)
        self._sending = threading.Lock()
        self._queue: deque[_Item] = deque()
        self._queue_bytes = 0
        self._taken = 0
        self._exported = 0
        self._dropped = 0
        self._settled = 0
        self._batch_limit = _BATCH_SPANS
        self._failures = 0
        self._hurry = False
        self._closed = False
        self._off = False
        self._answered_at = 0.0
        self._ending_at: float | None = None
        self._warned_at: float | None = None
        self._exporter: BatchExporter | None = None
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
        """Spans that wait or are under way."""
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """Spans that will not reach the backend: no room, refused, or left at the end."""
        return self._dropped

    @property
    def failures(self) -> int:
        """Tries in a row that have failed; 0 when the last one worked."""
        return self._failures

    def write(self, batch: Sequence[Record]) -> int:
        """Queue what of a batch is for this backend; how much found room. Never waits for the network."""
        scores = self._destination.signal == "logs"
        records = [
            record
            for record in batch
            if not isinstance(record, LossRecord) and isinstance(record, ScoreRecord) is scores
        ]
        if not records:
            return 0
        room, lost_bytes = 0, 0
        with self._lock:
            reason = "closed" if self._closed else "not_supported" if self._off else "queue_full"
            ended = self._closed or self._off
            for record in records:
                size = size_of(record)
                if ended or len(self._queue) >= self._max_spans or self._queue_bytes + size > self._max_bytes:
                    lost_bytes += size
                    continue
                self._queue.append((record, size))
                self._queue_bytes += size
                room += 1
            self._taken += room
            self._dropped += len(records) - room
            self._changed.notify_all()
        if room < len(records):
            self._lose(self._what, reason, len(records) - room, lost_bytes)
        if self._thread is None and not ended:
            self._start_thread()
        return room

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
            self._changed.wait_for(lambda: self._settled >= target, max(deadline - time.monotonic(), 0.0))
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
            self._answered_at = asked if self._exporter is not None else math.inf
            self._changed.notify_all()
        if self._thread is None and self._queue:
            guarded("importing the OTLP exporter", None, _import)
            self._send_here(min(deadline, time.monotonic() + PATIENCE))
        with self._lock:
            while (
                self._thread is not None
                and self._queue
                and (left := min(deadline, self._answered_at + PATIENCE) - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            self._closed = True
            self._changed.notify_all()
        self._abandon_rest()
        if self._exporter is not None:
            guarded("closing the OTLP exporter", None, self._exporter.close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    def after_fork(self) -> None:
        """In a forked child: begin with an empty queue, a thread and a connection of its own."""
        # The parent's exporter is kept and never touched again: its locks may be held by a thread that does not exist
        # here, and closing its connection could speak on the parent's socket.
        self._abandoned.append(self._exporter)
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
                    self._changed.wait_for(lambda: self._queue or self._closed)
                    if self._closed:
                        return
                pause = self._send_batch()
                with self._lock:
                    self._changed.wait_for(lambda: self._hurry or self._closed, pause)

    def _send_here(self, deadline: float) -> None:
        """Send on the caller's thread, where there can be no other."""
        with uninstrumented():
            while self._queue and time.monotonic() < deadline:
                if self._send_batch(deadline):
                    return

    def _send_batch(self, deadline: float | None = None) -> float:
        """Send the head of the queue; the seconds to pause before the next try, 0 when there is no need to."""
        with self._sending:
            with self._lock:
                batch = self._head()
                self._hurry = False
            if not batch:
                return 0.0
            # An exporter's time-out is set once and for all: where a deadline holds, each batch has one of its own.
            exporter = self._exporter if deadline is None else None
            if exporter is None:
                exporter = guarded("setting up the OTLP exporter", None, _load, self._destination, deadline)
            if deadline is None and exporter is not self._exporter:
                with self._lock:
                    self._exporter = exporter
                    self._answered_at = time.monotonic()
                    self._changed.notify_all()
            outcome = None
            if exporter is not None:
                outcome = guarded("exporting over OTLP", None, exporter.export, [record for record, _ in batch])
                if deadline is not None:
                    guarded("closing the OTLP exporter", None, exporter.close)
            return self._settle(batch, outcome)

    def _head(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        for item in self._queue:
            if batch and (len(batch) >= self._batch_limit or size + item[1] > _BATCH_BYTES):
                break
            batch.append(item)
            size += item[1]
        return batch

    def _settle(self, batch: list[_Item], outcome: Outcome | None) -> float:
        if self._closed:
            return 0.0  # `close` has counted the batch, and said so
        verdict = outcome.verdict.value if outcome is not None else "later"
        reason = outcome.reason if outcome is not None else "the exporter failed"
        if verdict == "taken":
            lost = outcome.lost if outcome is not None else 0
            self._remove(batch, lost, "rejected")
            self._recovered()
            return 0.0
        if verdict != "unsupported":
            self._warn(reason, verdict)
        if verdict == "too_large" and len(batch) > 1:
            self._batch_limit = len(batch) // 2
            return 0.0
        if verdict == "unsupported":
            self._turn_off(reason)
            return 0.0
        if verdict in {"refused", "too_large"}:
            self._remove(batch, len(batch), "refused")
            return 0.0
        self._failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self._failures - 1, 10), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter needs no secrecy
        return max(pause, outcome.retry_after or 0.0) if outcome is not None else pause

    def _remove(self, batch: list[_Item], lost: int, reason: str) -> None:
        """Take a batch that is done with off the queue; `lost` of its records did not arrive."""
        with self._lock:
            if self._closed:
                return
            for _ in batch:
                self._queue_bytes -= self._queue.popleft()[1]
            self._settled += len(batch)
            self._exported += len(batch) - lost
            self._dropped += lost
            self._answered_at = time.monotonic()
            self._changed.notify_all()
        if lost:
            self._lose(self._what, reason, lost, 0)

    def _turn_off(self, reason: str) -> None:
        """The backend has no place for these: say it once, and leave it alone."""
        rest, _ = self._drop_rest(off=True)
        variable = f"OTEL_{self._destination.signal.upper()}_EXPORTER"
        _log.warning(
            "llmops: %s takes no %s (%s): they stay in the local store, it is left alone; %s=none says so beforehand",
            self._destination.shown,
            self._noun,
            reason or "?",
            variable,
        )
        self._lose(self._what, "not_supported", rest, 0)

    def _abandon_rest(self) -> None:
        rest, size = self._drop_rest()
        if rest:
            self._lose(self._what, "unfinished", rest, size)
            shown = self._destination.shown
            _log.warning("llmops: %d %s could not be exported to %s before the end", rest, self._noun, shown)

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

    # --- the log ----------------------------------------------------------------------------------------------

    def _warn(self, reason: str, verdict: str) -> None:
        now = time.monotonic()
        if self._warned_at is not None and now - self._warned_at < _WARN_EVERY:
            return
        self._warned_at = now
        what = "are kept and sent again" if verdict == "later" else "that it refuses are lost to it, and counted"
        _log.warning(
            "llmops: %s does not take %s (%s); they %s", self._destination.shown, self._noun, reason or "?", what
        )

    def _recovered(self) -> None:
        if self._failures:
            _log.info("llmops: %s takes %s again", self._destination.shown, self._noun)
        self._failures = 0


def _import() -> type[BatchExporter]:
    with import_lock:
        from llmops_sdk.tracing._otlp_export import BatchExporter
    return BatchExporter


def _load(destination: Destination, deadline: float | None) -> BatchExporter:
    exporter = _import()
    if deadline is not None:
        # Less than what is left: the exporter spends its time-out on the request and a little on itself.
        left = max(0.9 * (deadline - time.monotonic()), 0.1)
        destination = replace(destination, timeout=min(left, destination.timeout))
    return exporter(destination)
