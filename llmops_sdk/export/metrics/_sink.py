"""Record metrics of model calls from their ended spans, outside the call.

They go to the application's meter provider if there is one, else to one of ours that sends them to the backend every
minute and at each flush. A queue holds the measurements; a thread records and sends them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._outcome import DeliveryStatus, Outcome
from llmops_sdk.export._span_sink import PATIENCE
from llmops_sdk.export._threads import import_lock, start_daemon, uninstrumented
from llmops_sdk.export.metrics._chunk_times import host_meter_provider
from llmops_sdk.export.metrics._measured import Measured, measure
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._records import LossRecord, Record, ScoreRecord

if TYPE_CHECKING:
    from llmops_sdk.export.metrics._instruments import Instruments

__all__ = ["MetricsSink"]

_log = logging.getLogger("llmops_sdk")

_INTERVAL_MS = 60_000.0
_JOIN = 0.2
_WHAT = "export_metrics"


class MetricsSink:
    """Records the metrics of calls, and sends them unless the application does.

    Args:
        destination: The backend, or None if only the application's meter provider gets the metrics.
        max_calls: Size of the queue; calls beyond it are dropped and counted.
        lose: Counts losses, as `record_loss` does.
    """

    name = "metrics"

    def __init__(
        self,
        destination: Destination | None,
        *,
        max_calls: int = 65_536,
        lose: Callable[[str, str, int, int], None] = record_loss,
    ) -> None:
        self._destination = destination
        self._max_calls = max_calls
        self._lose = lose
        self._interval = _interval()
        self._abandoned: list[Instruments | None] = []
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._working = threading.Lock()
        self._queue: deque[Measured] = deque()
        self._dirty = False
        self._send_requests = 0
        self._answered_requests = 0
        self._off = False
        self._closed = False
        self._warned = False
        self._ending_at: float | None = None
        self._sent_at = time.monotonic()
        self._sending_at: float | None = None
        self._instruments: Instruments | None = None
        # Now: since Python 3.12, no thread can start while the interpreter ends.
        self._thread = None if self._destination is None else start_daemon(self._run, "llmops-metrics")

    def write(self, batch: Sequence[Record]) -> int:
        """Enqueue the measurements of a batch; return 0, because the sink stores no spans."""
        if self._off or (self._destination is None and host_meter_provider() is None):
            return 0
        calls = [
            call
            for record in batch
            if not isinstance(record, (ScoreRecord, LossRecord)) and (call := measure(record)) is not None
        ]
        if not calls:
            return 0
        with self._lock:
            room = 0 if self._closed else max(self._max_calls - len(self._queue), 0)
            self._queue.extend(calls[:room])
            self._changed.notify_all()
        if len(calls) > room:
            self._lose(_WHAT, "closed" if self._closed else "queue_full", len(calls) - room, 0)
        if self._thread is None:
            self._thread = start_daemon(self._run, "llmops-metrics")
        return 0

    def flush(self, timeout: float) -> bool:
        """Record and send the queue within `timeout` seconds; return whether that is done."""
        deadline = time.monotonic() + timeout
        target = self._request_send()
        if self._thread is None and timeout > 0 and self._has_work():
            self._work(deadline)
        return self._wait(target, lambda: deadline)

    def _request_send(self) -> int:
        with self._lock:
            self._send_requests += 1
            self._changed.notify_all()
            return self._send_requests

    def _wait(self, target: int, deadline: Callable[[], float]) -> bool:
        """Wait until a request is answered; return whether nothing is left to send."""
        with self._lock:
            # A thread that has ended answers no requests: do not wait for it.
            while (
                self._thread is not None
                and self._thread.is_alive()
                and self._answered_requests < target
                and (left := deadline() - time.monotonic()) > 0
            ):
                self._changed.wait(left)
        return not self._has_work()

    def begin_close(self) -> None:
        """Start to record and send at once. The time limit of `close` counts from here."""
        self._ending_at = time.monotonic()
        self._request_send()

    def close(self, timeout: float) -> None:
        """Record and send the queue and stop, within `timeout` seconds and at most 2 s without a response.

        The 2 s count from the first request: importing the exporter takes seconds on a busy machine.
        """
        begun, last = self._ending_at or time.monotonic(), time.monotonic() + timeout
        target = self._request_send()
        if self._thread is None and self._has_work():
            self._work(min(last, time.monotonic() + PATIENCE))
        if self._has_work():
            self._wait(target, lambda: min(last, max(begun, self._sending_at or time.monotonic()) + PATIENCE))
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        if self._instruments is not None:
            guarded("closing the metrics exporter", None, self._instruments.close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    def after_fork(self) -> None:
        """Start again in a forked child: with an empty queue, a new thread and a new connection."""
        self._abandoned.append(self._instruments)  # a thread that does not exist in the child may hold its locks
        self._reset()

    # --- the thread -------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        return bool(self._queue) or self._dirty

    def _run(self) -> None:
        with uninstrumented():
            while True:
                with self._lock:
                    due = self._sent_at + self._interval - time.monotonic() if self._dirty else None
                    self._changed.wait_for(
                        lambda: self._queue or self._send_requests > self._answered_requests or self._closed,
                        None if due is None else max(due, 0.0),
                    )
                    if self._closed:
                        return
                self._work()

    def _work(self, deadline: float | None = None) -> None:
        """Record the queue, and send the histograms if requested or due."""
        with self._working:
            with self._lock:
                calls, asked = list(self._queue), self._send_requests
                self._queue.clear()
                send = asked > self._answered_requests or time.monotonic() >= self._sent_at + self._interval
            if calls:
                # Not while the process forks: the child would inherit a locked lock of the meter provider.
                with import_lock:
                    guarded("recording metrics", None, self._record, calls)
            if send and self._dirty and not self._off:
                self._send(deadline)
            with self._lock:
                self._answered_requests = max(self._answered_requests, asked)
                self._changed.notify_all()

    def _record(self, calls: Sequence[Measured]) -> None:
        if self._instruments is None:
            from llmops_sdk.export.metrics._instruments import Instruments

            self._instruments = Instruments(host_meter_provider(), self._destination)
        for call in calls:
            self._instruments.record(call)
        self._dirty = self._instruments.sends

    def _send(self, deadline: float | None) -> None:
        instruments = self._instruments
        if instruments is None:
            return
        with self._lock:
            self._sending_at = time.monotonic()
            self._changed.notify_all()
        left = 10.0 if deadline is None else max(deadline - time.monotonic(), 0.1)
        outcome = guarded("exporting metrics", None, instruments.send, left)
        self._sent_at, self._sending_at = time.monotonic(), None
        outcome = outcome or Outcome(status=DeliveryStatus.RETRY)
        if outcome.status is DeliveryStatus.ACCEPTED:
            self._dirty = self._warned = False
            if outcome.lost:
                self._lose(_WHAT, "rejected", outcome.lost, 0)
            return
        self._warn(outcome, off=outcome.status is DeliveryStatus.UNSUPPORTED)

    def _warn(self, outcome: Outcome, *, off: bool) -> None:
        shown = "the backend" if self._destination is None else self._destination.shown
        reason = outcome.reason or "?"
        if off:
            self._off, self._dirty = True, False
            text = "llmops: %s does not accept metrics (%s); export of metrics is turned off for this process. Set "
            _log.warning(text + "OTEL_METRICS_EXPORTER=none to silence this.", shown, reason)
            self._lose(_WHAT, "not_supported", 1, 0)
        elif not self._warned:
            self._warned = True
            _log.warning("llmops: %s did not accept metrics (%s); they are kept and sent again", shown, reason)


def _interval() -> float:
    """Return the seconds between two exports, by the standard variable."""
    text = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    try:
        milliseconds = float(text or _INTERVAL_MS)
    except ValueError:
        milliseconds = -1.0
    if not 0 < milliseconds < float("inf"):
        _log.warning("llmops: OTEL_METRIC_EXPORT_INTERVAL=%s is ignored: use a number of milliseconds above 0", text)
        milliseconds = _INTERVAL_MS
    return milliseconds / 1000
