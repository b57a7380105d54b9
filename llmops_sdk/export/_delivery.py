"""Delivery of batches to one backend: attempts, back-off, warnings."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._outcome import DeliveryStatus, Outcome
from llmops_sdk.export._threads import import_lock
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.export._batch import BatchExporter

__all__ = ["Delivery", "DeliveryResult", "load_exporter"]

_log = logging.getLogger("llmops_sdk")

_BATCH_SPANS = 512
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_WARN_EVERY = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """The result of an attempt to send a batch."""

    done: bool
    """Whether the batch need not be sent again."""
    lost: int = 0
    """Number of records that will never arrive."""
    pause: float = 0.0
    """Seconds before the next attempt."""
    unsupported: str = ""
    """Why the backend does not support such records, or "" if it does."""


class Delivery:
    """Sends batches to one backend, from one thread at a time.

    Args:
        destination: The backend, and what is sent to it.
        noun: The word for the records in the log.
        loaded: Called when the exporter has been imported, which may take seconds.
    """

    def __init__(self, destination: Destination, noun: str, loaded: Callable[[], None]) -> None:
        self._destination = destination
        self._noun = noun
        self._loaded = loaded
        self.exporter: BatchExporter | None = None  # None until it has been imported
        self._warned_at: float | None = None
        self.batch_limit = _BATCH_SPANS
        """Maximum number of records in one request."""
        self.failures = 0
        """Failed attempts in a row."""
        self.reason = ""
        """Why the last attempt failed."""
        self.quiet = False
        """Whether to log no further failures: `OtlpSink.close` logs what is left."""

    def send(self, records: Sequence[SpanRecord | ScoreRecord], deadline: float | None = None) -> DeliveryResult:
        """Try to send a batch.

        Args:
            records: At most `batch_limit` records.
            deadline: The end of the attempt by `time.monotonic`, or None for the destination's time-out.
        """
        # An exporter's time-out is fixed: with a deadline, each batch gets an exporter of its own.
        exporter = self.exporter if deadline is None else None
        if exporter is None:
            exporter = guarded("setting up the OTLP exporter", None, _load, self._destination, deadline)
        if deadline is None and exporter is not self.exporter:
            self.exporter = exporter
            self._loaded()
        outcome = None
        if exporter is not None:
            outcome = guarded("exporting over OTLP", None, exporter.export, records)
            if deadline is not None:
                guarded("closing the OTLP exporter", None, exporter.close)
        return self._interpret(len(records), outcome)

    def close(self) -> None:
        """Release the connection."""
        if self.exporter is not None:
            guarded("closing the OTLP exporter", None, self.exporter.close)

    def _interpret(self, count: int, outcome: Outcome | None) -> DeliveryResult:
        outcome = outcome or Outcome(status=DeliveryStatus.RETRY, reason="the exporter failed")
        status, reason = outcome.status, outcome.reason
        if status is DeliveryStatus.ACCEPTED:
            self._note_recovery()
            return DeliveryResult(done=True, lost=outcome.lost)
        if status is DeliveryStatus.UNSUPPORTED:
            return DeliveryResult(done=False, unsupported=reason or "?")
        self.reason = reason
        self._warn(reason, status)
        if status is DeliveryStatus.TOO_LARGE and count > 1:
            self.batch_limit = count // 2
            return DeliveryResult(done=False)
        if status is not DeliveryStatus.RETRY:
            return DeliveryResult(done=True, lost=count)
        self.failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures - 1, 10), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter needs no secrecy
        return DeliveryResult(done=False, pause=max(pause, outcome.retry_after or 0.0))

    def _warn(self, reason: str, status: DeliveryStatus) -> None:
        now = time.monotonic()
        if self.quiet:
            return
        if self._warned_at is not None and now - self._warned_at < _WARN_EVERY:
            return
        self._warned_at = now
        what = "are kept and sent again" if status is DeliveryStatus.RETRY else "that it refuses are counted as lost"
        _log.warning(
            "llmops: %s did not accept %s (%s); those %s", self._destination.shown, self._noun, reason or "?", what
        )

    def _note_recovery(self) -> None:
        if self.failures:
            _log.info("llmops: %s accepts %s again", self._destination.shown, self._noun)
        self.failures = 0


def load_exporter() -> type[BatchExporter]:
    """Import and return the exporter's class, which takes up to a second of CPU."""
    with import_lock:
        from llmops_sdk.export._batch import BatchExporter
    return BatchExporter


def _load(destination: Destination, deadline: float | None) -> BatchExporter:
    exporter = load_exporter()
    if deadline is not None:
        # Less than the time left: the exporter needs a little time besides the request.
        left = max(0.9 * (deadline - time.monotonic()), 0.1)
        destination = replace(destination, timeout=min(left, destination.timeout))
    return exporter(destination)
