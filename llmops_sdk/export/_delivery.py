"""One backend as its sink sees it: what became of a batch, what to do about it, and when to try again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_sdk._util._guard import guarded
from llmops_sdk.export._destinations import Destination
from llmops_sdk.export._threads import import_lock
from llmops_sdk.tracing.records._records import ScoreRecord, SpanRecord

if TYPE_CHECKING:
    from llmops_sdk.export._batch import BatchExporter, Outcome

__all__ = ["Delivery", "Judgement", "load_exporter"]

_log = logging.getLogger("llmops_sdk")

_BATCH_SPANS = 512
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_WARN_EVERY = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a try to send a batch means for its records."""

    done: bool
    """Whether they need not be sent again."""
    lost: int = 0
    """How many of them did not arrive and never will."""
    pause: float = 0.0
    """Seconds before the next try."""
    unsupported: str = ""
    """Why the backend has no place for such records at all."""


class Delivery:
    """Sends batches to one backend, from one thread at a time.

    Args:
        destination: Where to, and what may leave.
        noun: What the records are called in the log.
        loaded: Called when the exporter has been imported, which may take seconds.
    """

    def __init__(self, destination: Destination, noun: str, loaded: Callable[[], None]) -> None:
        self._destination = destination
        self._noun = noun
        self._loaded = loaded
        self._exporter: BatchExporter | None = None
        self._warned_at: float | None = None
        self.batch_limit = _BATCH_SPANS
        """How many records go into one request."""
        self.failures = 0
        """Tries in a row that have failed."""
        self.reason = ""
        """Why the last one did."""
        self.quiet = False
        """Whether nobody is told of another failure: at the end it has been said what waits."""

    @property
    def has_exporter(self) -> bool:
        """Whether the exporter has been imported."""
        return self._exporter is not None

    @property
    def exporter(self) -> BatchExporter | None:
        """The exporter, once it has been imported."""
        return self._exporter

    def send(self, records: Sequence[SpanRecord | ScoreRecord], deadline: float | None = None) -> Judgement:
        """Try to send a batch; what that means.

        Args:
            records: At most `batch_limit` of them.
            deadline: `time.monotonic` by which it must be over, or None for the destination's own time-out.
        """
        # An exporter's time-out is set once and for all: where a deadline holds, each batch has one of its own.
        exporter = self._exporter if deadline is None else None
        if exporter is None:
            exporter = guarded("setting up the OTLP exporter", None, _load, self._destination, deadline)
        if deadline is None and exporter is not self._exporter:
            self._exporter = exporter
            self._loaded()
        outcome = None
        if exporter is not None:
            outcome = guarded("exporting over OTLP", None, exporter.export, records)
            if deadline is not None:
                guarded("closing the OTLP exporter", None, exporter.close)
        return self._judge(len(records), outcome)

    def close(self) -> None:
        """Release the connection."""
        if self._exporter is not None:
            guarded("closing the OTLP exporter", None, self._exporter.close)

    def _judge(self, count: int, outcome: Outcome | None) -> Judgement:
        verdict = outcome.verdict.value if outcome is not None else "later"
        reason = outcome.reason if outcome is not None else "the exporter failed"
        if verdict == "taken":
            self._recovered()
            return Judgement(done=True, lost=outcome.lost if outcome is not None else 0)
        if verdict == "unsupported":
            return Judgement(done=False, unsupported=reason or "?")
        self.reason = reason
        self._warn(reason, verdict)
        if verdict == "too_large" and count > 1:
            self.batch_limit = count // 2
            return Judgement(done=False)
        if verdict in {"refused", "too_large"}:
            return Judgement(done=True, lost=count)
        self.failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures - 1, 10), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter needs no secrecy
        return Judgement(done=False, pause=max(pause, (outcome and outcome.retry_after) or 0.0))

    def _warn(self, reason: str, verdict: str) -> None:
        now = time.monotonic()
        if self.quiet:
            return
        if self._warned_at is not None and now - self._warned_at < _WARN_EVERY:
            return
        self._warned_at = now
        what = "are kept and sent again" if verdict == "later" else "that it refuses are lost to it, and counted"
        _log.warning(
            "llmops: %s does not take %s (%s); they %s", self._destination.shown, self._noun, reason or "?", what
        )

    def _recovered(self) -> None:
        if self.failures:
            _log.info("llmops: %s takes %s again", self._destination.shown, self._noun)
        self.failures = 0


def load_exporter() -> type[BatchExporter]:
    """The exporter's class; its import takes up to a second of CPU."""
    with import_lock:
        from llmops_sdk.export._batch import BatchExporter
    return BatchExporter


def _load(destination: Destination, deadline: float | None) -> BatchExporter:
    exporter = load_exporter()
    if deadline is not None:
        # Less than what is left: the exporter spends its time-out on the request and a little on itself.
        left = max(0.9 * (deadline - time.monotonic()), 0.1)
        destination = replace(destination, timeout=min(left, destination.timeout))
    return exporter(destination)
