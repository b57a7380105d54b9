"""A clock that a test sets by hand."""

from __future__ import annotations

import asyncio
import threading

from llmops_sdk._util._public import public

__all__ = ["ManualClock"]


@public("llmops_sdk.testing")
class ManualClock:
    """A clock that moves only when a test advances it; a wait advances it and returns at once.

    Args:
        start: The first time that it shows, in seconds since the epoch.

    Example:
        >>> from llmops_sdk.testing import ManualClock
        >>> clock = ManualClock(start=1_000.0)
        >>> clock.sleep(2.5)
        >>> clock.advance(60)
        >>> clock.time(), clock.monotonic(), clock.waits
        (1062.5, 62.5, [2.5])
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._lock = threading.Lock()
        self._start = start
        self._passed = 0.0
        self.waits: list[float] = []
        """The seconds of every wait, in order."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return seconds since the clock was made."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Advance the clock.

        Args:
            seconds: By how much; never negative.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"a clock cannot go back: advance it by zero or more seconds, not {seconds}")
        with self._lock:
            self._passed += seconds

    def sleep(self, seconds: float) -> None:
        """Advance the clock instead of waiting in this thread."""
        self.advance(seconds)
        self.waits.append(seconds)

    async def asleep(self, seconds: float) -> None:
        """Advance the clock instead of waiting in this task, and let other tasks run."""
        self.sleep(seconds)
        await asyncio.sleep(0)
