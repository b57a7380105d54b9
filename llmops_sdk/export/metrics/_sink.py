"""The metrics of calls to models, made from their ended spans: never in the call.

They are recorded into the meter provider that the application has set up, where there is one, else into one of ours
that sends them to the backend every minute and at each flush. A queue holds what was measured, a thread does the rest.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._span_sink import PATIENCE
from llmops_sdk.export._threads import import_lock, uninstrumented
from llmops_sdk.export.metrics import _chunk_times as _pace
from llmops_sdk.tracing.records import _semconv as names
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._records import LossRecord, Record, ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.export._batch import Outcome
    from llmops_sdk.export.metrics._instruments import Instruments

__all__ = ["Measured", "MetricsSink", "measured"]

_log = logging.getLogger("llmops_sdk")

_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_ATTRIBUTES = (
    names.OPERATION,
    names.PROVIDER,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    names.SERVER_ADDRESS,
    names.SERVER_PORT,
)
_INTERVAL_MS = 60_000.0
_JOIN = 0.2
_WHAT = "export_metrics"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one call to a model comes to.

    Attributes:
        attributes: What every measurement of it bears.
        seconds: How long it took.
        failed: The class of its error, or None.
        cache: The tier of our cache that answered, or None.
        tokens: How many by type.
        first_chunk: Seconds to the first chunk of a stream, or None.
        chunks: Seconds between the chunks of a stream.
    """

    attributes: Mapping[str, Any]
    seconds: float
    failed: str | None
    cache: str | None
    tokens: Mapping[str, int]
    first_chunk: float | None
    chunks: Sequence[float]


def measured(record: SpanRecord) -> Measured | None:
    """What a span comes to, or None when it is no call to a model of ours.

    Other libraries' spans are left to the metrics of those libraries. An answer from our cache cost no tokens.
    """
    found = record.attributes
    if not found or record.scope != "llmops_sdk" or found.get(names.OPERATION) not in _OPERATIONS:
        return None
    cache, times = found.get(names.CACHE), _pace.take(record.span_id)
    tokens = {"input": found.get(names.INPUT_TOKENS), "output": found.get(names.OUTPUT_TOKENS)}
    return Measured(
        attributes={name: found[name] for name in _ATTRIBUTES if name in found},
        seconds=record.duration_ns / 1e9,
        failed=record.error_type or ("error" if record.status == "error" else None),
        cache=cache,
        tokens={} if cache else {kind: count for kind, count in tokens.items() if isinstance(count, int)},
        first_chunk=None if cache else found.get(names.TIME_TO_FIRST_CHUNK),
        chunks=() if cache or times is None else [later - one for one, later in pairwise(times)],
    )


class MetricsSink:
    """Records the metrics of calls, and sends them where the application does not.

    Args:
        destination: The backend, or None when only the application's own meter provider is to get them.
        max_calls: Calls that may wait to be recorded; those of a further one are dropped and counted.
        lose: Told what is lost, as `record_loss` is.
    """

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
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._working = threading.Lock()
        self._queue: deque[Measured] = deque()
        self._dirty = False
        self._asked = 0  # how often it was asked to send, and of these how often it has
        self._answered = 0
        self._off = False
        self._closed = False
        self._warned = False
        self._ending_at: float | None = None
        self._sent_at = time.monotonic()
        self._sending_at: float | None = None
        self._instruments: Instruments | None = None
        self._thread: threading.Thread | None = None
        if self._destination is not None:
            self._start_thread()  # now: from Python 3.12 on, none can be started once the interpreter is ending

    @property
    def name(self) -> str:
        """The sink's name in the counts."""
        return "metrics"

    def write(self, batch: Sequence[Record]) -> int:
        """Queue what the calls of a batch come to. It keeps no span, so the count is always 0."""
        if self._off or (self._destination is None and _pace.host_meter_provider() is None):
            return 0
        calls = [
            call
            for record in batch
            if not isinstance(record, (ScoreRecord, LossRecord)) and (call := measured(record)) is not None
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
            self._start_thread()
        return 0

    def flush(self, timeout: float) -> bool:
        """Record what waits and send it, `timeout` seconds at most; whether it is done."""
        deadline = time.monotonic() + timeout
        target = self._ask()
        if self._thread is None and timeout > 0 and self._waits():
            self._work(deadline)
        return self._wait(target, lambda: deadline)

    def _ask(self) -> int:
        with self._lock:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def _wait(self, target: int, deadline: Callable[[], float]) -> bool:
        """Wait until what was taken before it was asked is recorded and sent; whether nothing is left."""
        with self._lock:
            # A thread that has ended answers no more: a flush after the end is not to wait for it.
            while (
                self._thread is not None
                and self._thread.is_alive()
                and self._answered < target
                and (left := deadline() - time.monotonic()) > 0
            ):
                self._changed.wait(left)
        return not self._waits()

    def begin_close(self) -> None:
        """Record and send at once; the patience of `close` counts from here."""
        self._ending_at = time.monotonic()
        self._ask()

    def close(self, timeout: float) -> None:
        """Record and send what waits and stop, within `timeout` seconds and 2 s without an answer at most.

        The 2 s run from the first request: to import the exporter takes seconds on a busy machine.
        """
        begun, last = self._ending_at or time.monotonic(), time.monotonic() + timeout
        target = self._ask()
        if self._thread is None and self._waits():
            self._work(min(last, time.monotonic() + PATIENCE))
        if self._waits():
            self._wait(target, lambda: min(last, max(begun, self._sending_at or time.monotonic()) + PATIENCE))
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        if self._instruments is not None:
            guarded("closing the metrics exporter", None, self._instruments.close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    def after_fork(self) -> None:
        """In a forked child: begin with no measurements, a thread and a connection of its own."""
        self._abandoned.append(self._instruments)  # its locks may be held by a thread that does not exist here
        self._begin()

    # --- the thread -------------------------------------------------------------------------------------------

    def _waits(self) -> bool:
        return bool(self._queue) or self._dirty

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="llmops-metrics", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # the interpreter is ending, or there are too many threads: `flush` and `close` do it
        self._thread = thread

    def _run(self) -> None:
        with uninstrumented():
            while True:
                with self._lock:
                    due = self._sent_at + self._interval - time.monotonic() if self._dirty else None
                    self._changed.wait_for(
                        lambda: self._queue or self._asked > self._answered or self._closed,
                        None if due is None else max(due, 0.0),
                    )
                    if self._closed:
                        return
                self._work()

    def _work(self, deadline: float | None = None) -> None:
        """Record what is queued and, when it was asked for or it is time, send the sums."""
        with self._working:
            with self._lock:
                calls, asked = list(self._queue), self._asked
                self._queue.clear()
                send = asked > self._answered or time.monotonic() >= self._sent_at + self._interval
            if calls:
                # Not while the process forks: the child would inherit a lock of the meter provider, taken for ever.
                with import_lock:
                    guarded("recording metrics", None, self._record, calls)
            if send and self._dirty and not self._off:
                self._send(deadline)
            with self._lock:
                self._answered = max(self._answered, asked)
                self._changed.notify_all()

    def _record(self, calls: Sequence[Measured]) -> None:
        if self._instruments is None:
            from llmops_sdk.export.metrics._instruments import Instruments

            self._instruments = Instruments(_pace.host_meter_provider(), self._destination)
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
        verdict = "later" if outcome is None else outcome.verdict.value
        if verdict == "taken":
            self._dirty = self._warned = False
            if outcome is not None and outcome.lost:
                self._lose(_WHAT, "rejected", outcome.lost, 0)
            return
        self._warn(outcome, off=verdict == "unsupported")

    def _warn(self, outcome: Outcome | None, *, off: bool) -> None:
        shown = "the backend" if self._destination is None else self._destination.shown
        reason = (outcome.reason if outcome is not None else "") or "?"
        if off:
            self._off, self._dirty = True, False
            text = "llmops: %s takes no metrics (%s) and is left alone; OTEL_METRICS_EXPORTER=none says so beforehand"
            _log.warning(text, shown, reason)
            self._lose(_WHAT, "not_supported", 1, 0)
        elif not self._warned:
            self._warned = True
            _log.warning("llmops: %s does not take metrics (%s); the sums are kept and sent again", shown, reason)


def _interval() -> float:
    """Seconds between two exports, by the standard variable."""
    text = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    try:
        milliseconds = float(text or _INTERVAL_MS)
    except ValueError:
        milliseconds = -1.0
    if not 0 < milliseconds < float("inf"):
        _log.warning("llmops: OTEL_METRIC_EXPORT_INTERVAL=%s is ignored: use a number of milliseconds above 0", text)
        milliseconds = _INTERVAL_MS
    return milliseconds / 1000
