"""A concurrency limit that follows what the server can take."""

from __future__ import annotations

from llmops_sdk.resilience.limits._pass import Outcome

__all__ = ["MOST_CONCURRENT", "AdaptiveLimit"]

MOST_CONCURRENT = 1_000
"""The largest adaptive limit where the settings name none."""

_DECREASE = 0.7


class AdaptiveLimit:
    """Lower the limit after throttling and time-outs, and raise it step by step (AIMD, as TCP does).

    Args:
        most: The largest limit.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most or MOST_CONCURRENT
        self.limit = self.most
        self._level = float(self.most)
        self._lowered_at = float("-inf")

    def resize(self, most: int | None) -> None:
        """Set another largest limit."""
        self.most = most or MOST_CONCURRENT
        self._set(min(self._level, float(self.most)))

    def note(self, outcome: Outcome, *, began: float, now: float, in_flight: int, latency: float | None = None) -> bool:
        """Take one call's outcome into account; return whether the limit changed.

        Args:
            outcome: How the call ended.
            began: When the call began, in seconds of the monotonic clock.
            now: The time now, on the same clock.
            in_flight: The calls at the same time, this one included.
        """
        before = self.limit
        if outcome in ("throttled", "timeout"):
            # Calls that began before the last decrease say nothing about the lower limit.
            if began >= self._lowered_at:
                self._lowered_at = now
                self._set(max(self._level * _DECREASE, 1.0))
        elif outcome == "ok" and in_flight * 2 >= self.limit:
            self._set(min(self._level + 1.0 / self._level, float(self.most)))
        return self.limit != before

    def _set(self, level: float) -> None:
        self._level = level
        self.limit = max(int(level), 1)
