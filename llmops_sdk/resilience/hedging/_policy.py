"""When to send a request a second time: a pure policy over the latencies observed."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left, insort
from collections import deque

from llmops_sdk.config import HedgeSettings

__all__ = ["HedgePolicy"]

_WINDOW = 1_000
"""How many latencies count: the percentile is exact over the last so many."""
_BURST_CALLS = 200
"""Unused hedges of so many calls may be sent at once, e.g. when the provider turns slow."""
_USED_SHARE = 0.75
"""The delay is late enough for this part of the share. Where as many calls are slow as may be sent twice, hedges would
often be used up by calls that need none, and be missing for the slowest."""
_ONE = 1.0 - 1e-9
"""A whole hedge: ten tenths sum up to a little less than 1."""


class HedgePolicy:
    """Says after which delay a second request may go out. Thread-safe; it neither waits nor reads a clock.

    The delay is the percentile of the last 1,000 latencies, or a higher one if the share does not cover all calls above
    it: with 5 %, the 96.25th. Each observed call earns `share` of a hedge, and a hedge takes one, so that at any time
    at most that share of the calls has been sent twice.

    Args:
        settings: The share, the percentile, and how many latencies it needs first.

    Example:
        >>> from llmops_sdk.config import HedgeSettings
        >>> from llmops_sdk.resilience.hedging import HedgePolicy
        >>> policy = HedgePolicy(HedgeSettings(share=0.1, percentile=90, samples=10))
        >>> for tenths in range(1, 11):
        ...     policy.observe(tenths / 10)
        >>> policy.delay(), policy.take(), policy.take()
        (1.0, True, False)
    """

    def __init__(self, settings: HedgeSettings) -> None:
        self._lock = threading.Lock()
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._earned = 0.0
        self._delay: float | None = None
        self.settings = settings

    def update(self, settings: HedgeSettings) -> None:
        """Go on with other settings and the same latencies."""
        with self._lock:
            if settings != self.settings:
                self.settings = settings
                self._earned = min(self._earned, self._most_earned())
                self._delay = self._percentile()

    def delay(self) -> float | None:
        """Return the seconds after which a second request may go out, or None if this call must not be hedged.

        It is None while there are too few latencies, and while the share is used up.
        """
        return self._delay if self._earned >= _ONE else None

    def observe(self, latency: float) -> None:
        """Add the latency of a first request, in seconds.

        Args:
            latency: Until its answer, or the first piece of a stream. For one that lost or timed out, the time until
                then: all that counts for a percentile is that it is above it.
        """
        with self._lock:
            self._earned = min(self._most_earned(), self._earned + self.settings.share)
            self._recent.append(latency)
            insort(self._sorted, latency)
            if len(self._recent) > _WINDOW:
                del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
            self._delay = self._percentile()

    def take(self) -> bool:
        """Take a hedge, and return whether there was one left."""
        with self._lock:
            if self._earned < _ONE:
                return False
            self._earned -= 1.0
            return True

    def give_back(self) -> None:
        """Return a hedge that was not sent."""
        with self._lock:
            self._earned = min(self._most_earned(), self._earned + 1.0)

    def _most_earned(self) -> float:
        return max(1.0, self.settings.share * _BURST_CALLS)

    def _percentile(self) -> float | None:
        count = len(self._sorted)
        if count < self.settings.samples:
            return None
        covered = 1.0 - _USED_SHARE * self.settings.share
        rank = math.ceil(max(self.settings.percentile / 100.0, covered) * count - 1e-9)
        return max(self.settings.min_delay, self._sorted[max(rank, 1) - 1])
