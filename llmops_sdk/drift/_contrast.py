"""Compare the means of two windows where values of one user are not independent."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from llmops_sdk.stats import Interval, student_quantile, student_tail

__all__ = ["Contrast", "Moments", "Size", "contrast", "effective_size", "finish", "moments_of", "size_of"]

_LEAST_CORRELATION = 0.05
"""Values of one user are at least this much alike, also where the estimate says less."""


class Contrast(NamedTuple):
    """The difference between the means of two windows."""

    effect: float
    """Mean of the current window minus mean of the reference."""
    interval: Interval
    p_value: float
    """Two-sided."""
    reference_mean: float
    current_mean: float


class Moments(NamedTuple):
    """The variance of a difference."""

    variance: float
    degrees: float
    """Degrees of freedom; 0 where there are too few clusters."""


def contrast(
    values: Sequence[float],
    is_current: Sequence[bool],
    clusters: Sequence[Hashable] | None,
    *,
    confidence: float = 0.95,
) -> Contrast | None:
    """Return the difference of two means with an interval and a p-value that hold for clustered values.

    The contribution of a cluster is the sum of its values' distances from the common mean, each divided by the size of
    its window. A user in both windows is one cluster, so what a user always does cancels out. One heavy cluster alone
    never gets a small p-value: the degrees of freedom follow the effective number of contributions.

    Args:
        values: One finite number a row.
        is_current: Whether the row is of the current window.
        clusters: One label a row, or None where all rows are independent.
        confidence: Of the interval.

    Returns:
        None where a window is empty.

    Source: K.-Y. Liang and S. L. Zeger, Biometrika 73 (1986), with the variance under the hypothesis of no difference;
    F. E. Satterthwaite, Biometrics Bulletin 2 (1946), for the degrees of freedom.
    """
    new = [value for value, flag in zip(values, is_current, strict=True) if flag]
    old = [value for value, flag in zip(values, is_current, strict=True) if not flag]
    if not new or not old:
        return None
    mean = math.fsum(values) / len(values)
    sums: dict[Hashable, float] = {}
    for row, (value, flag) in enumerate(zip(values, is_current, strict=True)):
        key: Hashable = row if clusters is None else clusters[row]
        sums[key] = sums.get(key, 0.0) + ((value - mean) / len(new) if flag else (mean - value) / len(old))
    squares = [one * one for one in sums.values()]
    moments = moments_of(len(sums), math.fsum(squares), math.fsum(one * one for one in squares))
    return finish(math.fsum(old) / len(old), math.fsum(new) / len(new), moments, confidence=confidence)


def moments_of(clusters: int, squares: float, fourths: float) -> Moments:
    """Return the variance of the sum of what clusters contribute.

    Args:
        clusters: How many there are.
        squares: The sum of the squares of their contributions.
        fourths: The sum of the fourth powers.
    """
    if clusters < 2:
        return Moments(squares, 0.0)
    return Moments(squares * clusters / (clusters - 1), max(1.0, squares**2 / fourths) if fourths > 0 else 1.0)


def finish(
    reference_mean: float, current_mean: float, *moments: Moments, effect: float | None = None, confidence: float = 0.95
) -> Contrast:
    """Return the comparison of two means from the moments of its clusters.

    Args:
        reference_mean: Of the reference.
        current_mean: Of the current window.
        moments: One for each way to form clusters, such as users and hours; the one with the largest p-value counts.
        effect: The difference where it is not that of the two means, because rows are weighed.
        confidence: Of the interval.
    """
    difference = current_mean - reference_mean if effect is None else effect
    worst = Contrast(difference, Interval(difference, difference), 0.0, reference_mean, current_mean)
    for one in moments:
        if one.variance <= 0 or one.degrees <= 0:
            exact = one.variance <= 0 and difference == 0 and one.degrees > 0
            half = 0.0 if exact else math.inf
            return worst._replace(interval=Interval(difference - half, difference + half), p_value=1.0)
        error = math.sqrt(one.variance)
        p_value = min(1.0, 2.0 * student_tail(abs(difference) / error, one.degrees))
        if p_value >= worst.p_value:
            half = error * student_quantile((1 + confidence) / 2, one.degrees)
            worst = worst._replace(interval=Interval(difference - half, difference + half), p_value=p_value)
    return worst


class Size(NamedTuple):
    """How many independent values clustered values are worth."""

    effective: float
    """By the correlation that these values have within clusters."""
    by_design: float
    """By the sizes of the clusters alone, with a small correlation. What the values are does not change it."""


def effective_size(values: Sequence[float], clusters: Sequence[Hashable] | None) -> Size:
    """Return the number of independent values that clustered values are worth.

    Args:
        values: One number a row.
        clusters: One label a row, or None where all rows are independent.

    Source: L. Kish, "Survey sampling" (1965): the size divided by 1 + (m - 1) times the correlation within clusters.
    """
    count = len(values)
    if clusters is None or count < 2:
        return Size(float(count), float(count))
    mean = math.fsum(values) / count
    sums: dict[Hashable, float] = {}
    sizes: dict[Hashable, int] = {}
    for value, key in zip(values, clusters, strict=True):
        sums[key] = sums.get(key, 0.0) + value - mean
        sizes[key] = sizes.get(key, 0) + 1
    size = sum(one * one for one in sizes.values()) / count
    alone = math.fsum((value - mean) ** 2 for value in values)
    together = math.fsum(one * one for one in sums.values())
    return size_of(count, size, together / alone if alone > 0 else 1.0)


def size_of(count: int, size: float, inflation: float) -> Size:
    """Return the effective size from the inflation of the variance.

    Args:
        count: How many values.
        size: Of the mean cluster that a value is in, at least 1.
        inflation: The variance of the mean with clusters, divided by that without.
    """
    if size <= 1.0:
        return Size(float(count), float(count))
    correlation = min(1.0, max(_LEAST_CORRELATION, (inflation - 1.0) / (size - 1.0)))
    return Size(*(count / (1.0 + (size - 1.0) * one) for one in (correlation, _LEAST_CORRELATION)))
