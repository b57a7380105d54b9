"""A histogram whose counts survive a change of its bounds."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["Histogram"]


class Histogram:
    """Counts of values by upper bound.

    Args:
        bounds: The upper bounds, ascending, without infinity.
    """

    __slots__ = ("bins", "bounds", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.bins = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.bins[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[int]:
        """Return the number of values up to each bound, and last of all values."""
        total, found = 0, list[int]()
        for count in self.bins:
            total += count
            found.append(total)
        return found

    def load(self, bounds: Sequence[float], bins: Sequence[int], total: float) -> None:
        """Take over the counts of a histogram that may have had other bounds.

        A count goes to the least bound that holds all of its values, so that no cumulative count grows.
        """
        for bound, count in zip([*bounds, math.inf], bins, strict=True):
            self.bins[bisect_left(self.bounds, bound)] += count
        self.sum += total
