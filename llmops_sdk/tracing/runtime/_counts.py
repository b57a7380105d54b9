"""Count what became of spans, so that every report adds up, also while the worker has a batch in its hands."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from llmops_sdk.tracing.records._records import LossRecord

__all__ = ["Counts", "LossSums"]

_MAX_ERRORS = 20
_TRIES = 1_000
_T = TypeVar("_T")


@dataclass(slots=True)
class Counts:
    """The counts of one pipeline.

    Attributes:
        stored: Spans safe in a local sink.
        dropped: Spans lost.
        in_hand: Spans that are neither in the queue nor in a sink: the worker encodes or writes them.
        errors: The latest failures.
    """

    stored: int = 0
    dropped: int = 0
    in_hand: int = 0
    errors: deque[str] = field(default_factory=lambda: deque[str](maxlen=_MAX_ERRORS))
    _version: int = 0

    @contextmanager
    def moving(self) -> Generator[None]:
        """Mark that spans move from one count to another; `read` waits for the end."""
        self._version += 1
        try:
            yield
        finally:
            self._version += 1

    def store(self, count: int) -> None:
        """Count spans of the batch in hand as stored."""
        with self.moving():
            self.stored += count
            self.in_hand = max(self.in_hand - count, 0)

    def read(self, reading: Callable[[], _T]) -> _T:
        """Return what `reading` returns, taken while nothing moves. The worker's moves take microseconds."""
        for _ in range(_TRIES):
            before = self._version
            result = reading()
            if before == self._version and not before & 1:
                return result
        return reading()


class LossSums:
    """The losses that the next batch carries, summed by what was lost and the reason.

    Attributes:
        lock: Protects the sums.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._sums: dict[tuple[str, str], tuple[int, int]] = {}

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._sums)

    def add(self, what: str, reason: str, count: int, size: int) -> None:
        """Add a loss."""
        with self.lock:
            known, bytes_before = self._sums.get((what, reason), (0, 0))
            self._sums[what, reason] = (known + count, bytes_before + size)

    def take(self) -> list[LossRecord]:
        """Return the sums, and forget them."""
        if not self._sums:
            return []
        with self.lock:
            now = time.time_ns()
            taken = [
                LossRecord(time_ns=now, what=what, reason=reason, count=count, bytes=size)
                for (what, reason), (count, size) in self._sums.items()
            ]
            self._sums.clear()
        return taken

    def restore(self, batch: Iterable[object]) -> None:
        """Add the losses of a batch that was not stored: a later batch carries them again."""
        for record in batch:
            if isinstance(record, LossRecord):
                self.add(record.what, record.reason, record.count, record.bytes)
