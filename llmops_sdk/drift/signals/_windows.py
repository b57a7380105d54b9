"""The two windows of a check."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Windows"]

_HOUR = 3_600 * 1_000_000_000
_BLOCKS = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """When the windows begin and end, in nanoseconds since the epoch: in UTC, so no day has 23 or 25 hours.

    Attributes:
        reference_start: Begin of the reference.
        current_start: End of the reference, and begin of the current window.
        current_end: Its end. What a fast clock has dated later is in no window.
        period: After how many hours traffic repeats; 0 for no season.
    """

    reference_start: int
    current_start: int
    current_end: int
    period: int = 0

    @classmethod
    def before(cls, now: float, *, window: float, reference: float, period: float | None) -> Windows:
        """Return the windows that end at a time.

        Args:
            now: The end of the current window, in seconds since the epoch.
            window: Seconds of the current window.
            reference: Seconds of the reference before it.
            period: Seconds after which traffic repeats, or None.
        """
        end = int(now * 1e9)
        begin = end - int(window * 1e9)
        hours = 0 if period is None else max(1, min(round(period / 3_600), 24 * 62))
        return cls(reference_start=begin - int(reference * 1e9), current_start=begin, current_end=end, period=hours)

    @property
    def block(self) -> int:
        """Return the length of a span of time that is one unit for shocks that all users share, in nanoseconds."""
        return max((self.current_end - self.current_start) // _BLOCKS, 1)

    @property
    def hour(self) -> int:
        """Return an hour in nanoseconds."""
        return _HOUR
