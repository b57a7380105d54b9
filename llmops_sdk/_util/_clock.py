"""Give policies a clock that tests can move by hand."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock", "is_real_time"]


class Clock(Protocol):
    """A clock: two readings and two ways to wait."""

    def time(self) -> float:
        """Return the seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Suspend this task."""
        ...


class SystemClock:
    """The real clock."""

    # The function itself: a call under traffic control reads this clock some ten times.
    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        import asyncio  # a program without async code never pays for it

        await asyncio.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()


def is_real_time(clock: Clock) -> bool:
    """Return whether waiting by a clock takes real time, so that another thread can end the wait.

    Args:
        clock: A clock, or one that reads another one, its `in_force`.
    """
    return getattr(clock, "in_force", clock) is SYSTEM_CLOCK
