"""Figures of a period and their changes, with intervals that count the calls of one user as dependent.

The sums of the clusters come from SQL, so nothing here grows with the number of calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from llmops_sdk.stats import normal_quantile, student_quantile, wilson_interval

__all__ = [
    "MIN_CLUSTERS",
    "MIN_ROWS",
    "ClusterSums",
    "Estimate",
    "difference",
    "has_enough",
    "mean",
    "quantile",
    "relative_change",
    "share",
]

MIN_ROWS = 30
"""A figure of fewer calls has no interval."""
MIN_CLUSTERS = 10
"""A figure of fewer users has no interval: the standard error between clusters would be too small."""
_CONFIDENCE = 0.95
_Z = normal_quantile((1 + _CONFIDENCE) / 2)


class Estimate(NamedTuple):
    """A figure and its 95 % interval; None where there is not enough data."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def sign(self) -> int:
        """Return 1 or -1 if the interval is above or below 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


class ClusterSums(NamedTuple):
    """Sums over clusters, of which each has the size n and the total y."""

    clusters: int = 0
    n: float = 0.0
    y: float = 0.0
    nn: float = 0.0
    ny: float = 0.0
    yy: float = 0.0


def has_enough(sums: ClusterSums) -> bool:
    """Return whether there is enough data for an interval."""
    return sums.n >= MIN_ROWS and sums.clusters >= MIN_CLUSTERS


def share(sums: ClusterSums) -> Estimate:
    """Return the share y / n with its Wilson interval, at the number of independent calls that the calls are worth.

    Where all calls or none count, nothing says how alike the calls of a user are, and they count as independent.

    Args:
        sums: The calls (n) and those that count (y).
    """
    if sums.n <= 0:
        return Estimate(None)
    rate = min(max(sums.y / sums.n, 0.0), 1.0)
    if not has_enough(sums):
        return Estimate(rate)
    effective, variance = sums.n, _variance(sums)
    if 0 < rate < 1 and variance > 0:
        effective = min(sums.n, max(rate * (1 - rate) / variance, 1.0))
    low, high = wilson_interval(rate * effective, effective)
    return Estimate(rate, low, high)


def mean(sums: ClusterSums) -> Estimate:
    """Return the mean y / n with Student's interval, from the cluster-robust standard error.

    Args:
        sums: The calls (n) and their total (y).
    """
    if sums.n <= 0:
        return Estimate(None)
    value = sums.y / sums.n
    if not has_enough(sums):
        return Estimate(value)
    half = student_quantile((1 + _CONFIDENCE) / 2, sums.clusters - 1) * math.sqrt(_variance(sums))
    return Estimate(value, value - half, value + half)


def quantile(sums: ClusterSums, part: float, grid: Sequence[tuple[float, float]]) -> Estimate:
    """Return a quantile with Woodruff's interval: that of the share below it, read from the distribution.

    Args:
        sums: The calls (n) and those at or below the quantile (y).
        part: The quantile, from 0 to 1.
        grid: The distribution: shares and the values at them, in order.
    """
    if not grid or sums.n <= 0:
        return Estimate(None)
    value = _at(grid, part)
    if not has_enough(sums):
        return Estimate(value)
    half = _Z * math.sqrt(_variance(sums))
    return Estimate(value, _at(grid, part - half), _at(grid, part + half))


def difference(new: Estimate, old: Estimate) -> Estimate:
    """Return new - old. The interval is made of both intervals (the method MOVER; for shares it is Newcombe's).

    Source: G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine
    27 (2008).
    """
    if new.value is None or old.value is None:
        return Estimate(None)
    value = new.value - old.value
    if new.low is None or new.high is None or old.low is None or old.high is None:
        return Estimate(value)
    below = math.hypot(new.value - new.low, old.high - old.value)
    above = math.hypot(new.high - new.value, old.value - old.low)
    return Estimate(value, value - below, value + above)


def relative_change(new: ClusterSums, old: ClusterSums) -> Estimate:
    """Return by how much a total changed, as a share of the old total.

    The clusters of a period count as a compound Poisson process: the variance of a total is the sum of the squares of
    the clusters' totals, so that one user who sends half of the calls makes the interval wide.

    Args:
        new: Sums of the current period; the total is y.
        old: Those of the period before.
    """
    if old.y <= 0:
        return Estimate(None)
    ratio = new.y / old.y
    if new.y <= 0 or not (has_enough(new) and has_enough(old)):
        return Estimate(ratio - 1)
    half = _Z * math.sqrt(new.yy / new.y**2 + old.yy / old.y**2)
    return Estimate(ratio - 1, ratio * math.exp(-half) - 1, ratio * math.exp(half) - 1)


def _variance(sums: ClusterSums) -> float:
    """Return the variance of y / n between clusters, with the usual correction for few of them."""
    ratio = sums.y / sums.n
    squares = max(sums.yy - 2 * ratio * sums.ny + ratio * ratio * sums.nn, 0.0)
    return sums.clusters / max(sums.clusters - 1, 1) * squares / sums.n**2


def _at(grid: Sequence[tuple[float, float]], part: float) -> float:
    part = min(max(part, grid[0][0]), grid[-1][0])
    for (left, low), (right, high) in pairwise(grid):
        if part <= right:
            return low + (high - low) * (part - left) / (right - left)
    return grid[-1][1]
