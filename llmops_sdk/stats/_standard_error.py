"""The standard error of a mean: of single items, of paired differences, of clusters."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.stats._inputs import cluster_sums, finite_values

__all__ = ["MeanEstimate", "mean_estimate"]


@public("llmops_sdk.stats")
class MeanEstimate(NamedTuple):
    """A mean and how far it may be off."""

    mean: float
    """In the unit of the values."""
    standard_error: float
    """In the unit of the values."""
    items: int
    """How many values there were."""
    clusters: int
    """How many clusters there were; without cluster labels this is `items`."""


def mean_estimate(values: Iterable[float], *, clusters: Iterable[Hashable] | None = None) -> MeanEstimate:
    """Return the mean and its standard error.

    For a paired comparison give the difference of each item. Give `clusters` where items share a cause, such as a
    document, a user or a template: the plain standard error is then too small.

    Args:
        values: One finite number an item, at least two.
        clusters: One label an item, at least two different ones. The variance is then the cluster-robust one, CR0,
            without a correction for few clusters: below about 30 clusters it is too small.

    Raises:
        ValueError: There are too few values or clusters, a value is NaN or infinite, or the lengths differ.

    Example:
        >>> from llmops_sdk.stats import mean_estimate
        >>> before, after = [1, 1, 1, 0, 1, 0], [1, 0, 1, 0, 0, 1]
        >>> difference = mean_estimate([new - old for old, new in zip(before, after)])
        >>> round(difference.mean, 4), round(difference.standard_error, 4)
        (-0.1667, 0.3073)

    Source: K.-Y. Liang and S. L. Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73
    (1986), for clusters; E. Miller, "Adding error bars to evals", arXiv 2411.00640, for both uses.
    """
    numbers = finite_values(values, "values")
    n = len(numbers)
    if n < 2:
        raise ValueError("there is one value: a standard error needs at least two")
    mean = math.fsum(numbers) / n
    if clusters is None:
        squares = math.fsum((number - mean) ** 2 for number in numbers)
        return MeanEstimate(mean, math.sqrt(squares / (n - 1) / n), n, n)
    sums, _ = cluster_sums([number - mean for number in numbers], clusters)
    return MeanEstimate(mean, math.sqrt(math.fsum(each * each for each in sums)) / n, n, len(sums))
