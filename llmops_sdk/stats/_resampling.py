"""Bootstrap intervals and permutation tests of a mean. The one module that imports numpy.

The bootstrap interval is the percentile interval, not BCa. In simulations with 20, 50 and 200 items, the coverage of
BCa was up to two percentage points better for log-normal values and up to two points worse for paired differences of
right and wrong answers. A second formula does not pay.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import combinations, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.stats._inputs import cluster_sums, count, finite_values, probability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Alternative",
    "BootstrapInterval",
    "PermutationTest",
    "bootstrap_mean",
    "permutation_test",
    "sign_flip_test",
]

Alternative = Literal["two-sided", "greater", "less"]
_DISTANCES: dict[str, Callable[[Any], Any]] = {"two-sided": operator.abs, "greater": operator.pos, "less": operator.neg}

# Numbers that one step draws: enough to be fast, few enough for the processor's cache.
_STEP = 100_000


@public("llmops_sdk.stats")
class BootstrapInterval(NamedTuple):
    """A mean with its bootstrap interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    standard_error: float
    """The standard deviation of the resampled means."""


@public("llmops_sdk.stats")
class PermutationTest(NamedTuple):
    """The result of a permutation test."""

    difference: float
    """The observed mean difference, in the unit of the values."""
    p_value: float
    exact: bool
    """Whether the test counted every arrangement; otherwise it counted a random sample."""
    arrangements: int
    """How many arrangements the test counted."""


def bootstrap_mean(
    values: Iterable[float],
    *,
    clusters: Iterable[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> BootstrapInterval:
    """Return a percentile bootstrap interval of the mean.

    For a paired comparison give the difference of each item. The interval is too narrow below about 30 items or
    clusters. It has no width where all values are equal: use `wilson_interval` for a rate with few events.

    Args:
        values: One finite number an item, at least two.
        clusters: One label an item. The bootstrap then draws whole clusters, and large clusters weigh more.
        confidence: Above 0 and below 1.
        resamples: How many samples to draw, at least 100.
        seed: The same seed gives the same interval with the same version of numpy.

    Raises:
        ValueError: There are too few values or clusters, a value is NaN or infinite, the lengths differ, or a setting
            is out of its range.
        MissingDependencyError: numpy is not installed.

    Example:
        >>> from llmops_sdk.stats import bootstrap_mean
        >>> before, after = [1, 1, 1, 0, 1, 0] * 20, [1, 0, 1, 0, 1, 1] * 20
        >>> result = bootstrap_mean([new - old for old, new in zip(before, after)])
        >>> result.mean, result.low < 0 < result.high
        (0.0, True)

    Source: B. Efron and R. J. Tibshirani, "An introduction to the bootstrap" (1993), chapter 13.
    """
    numbers = finite_values(values, "values")
    probability(confidence, "confidence")
    resamples, seed = count(resamples, "resamples", least=100), count(seed, "seed")
    if len(numbers) < 2:
        raise ValueError("there is one value: a bootstrap needs at least two")
    require("numpy", extra="stats", purpose="bootstrap_mean()")
    import numpy as np

    sums, sizes = (numbers, None) if clusters is None else cluster_sums(numbers, clusters)
    totals = np.array(sums)
    weights = None if sizes is None else np.array(sizes)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start, rows in _steps(resamples, len(totals)):
        drawn = generator.integers(0, len(totals), size=(rows, len(totals)))
        divisor: Any = len(totals) if weights is None else weights.take(drawn).sum(axis=1)
        means[start : start + rows] = totals.take(drawn).sum(axis=1) / divisor
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return BootstrapInterval(math.fsum(numbers) / len(numbers), float(low), float(high), float(means.std(ddof=1)))


def sign_flip_test(
    differences: Iterable[float],
    *,
    clusters: Iterable[Hashable] | None = None,
    alternative: Alternative = "two-sided",
    resamples: int = 10_000,
    seed: int = 0,
) -> PermutationTest:
    """Test whether paired differences have mean 0, by random flips of their signs.

    The test is exact if `resamples` is enough for every combination of signs of the non-zero differences. Otherwise it
    samples combinations and adds the observed one, so the p-value is never 0. To test against a margin, add the margin
    to each difference.

    Args:
        differences: One finite number an item: new minus old.
        clusters: One label an item. The test then flips the differences of a cluster together.
        alternative: "two-sided", "greater" (the mean is above 0) or "less".
        resamples: The largest number of combinations, at least 100.
        seed: The same seed gives the same p-value with the same version of numpy.

    Raises:
        ValueError: There is no difference, one is NaN or infinite, the lengths differ, or a setting is out of its
            range.
        MissingDependencyError: numpy is not installed.

    Example:
        >>> from llmops_sdk.stats import sign_flip_test
        >>> sign_flip_test([0.2, 0.1, 0.3, 0.0, 0.4, 0.1, 0.2])
        PermutationTest(difference=0.18571428571428572, p_value=0.03125, exact=True, arrangements=64)

    Source: R. A. Fisher, "The design of experiments" (1935), section 21; B. Phipson and G. K. Smyth, "Permutation
    p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9 (2010).
    """
    numbers = finite_values(differences, "differences")
    resamples, seed = count(resamples, "resamples", least=100), count(seed, "seed")
    groups = numbers if clusters is None else cluster_sums(numbers, clusters)[0]
    require("numpy", extra="stats", purpose="sign_flip_test()")
    import numpy as np

    changed = np.array([group for group in groups if group])  # a 0 is the same with either sign
    total = float(changed.sum())
    exact = 2 ** len(changed) <= resamples
    blocks = _all_signs(len(changed)) if exact else _random_signs(len(changed), resamples, seed)
    statistics = (total - 2 * (signs @ changed) for signs in blocks)
    return _test(statistics, total, float(np.abs(changed).sum()), alternative, exact, math.fsum(numbers) / len(numbers))


def permutation_test(
    first: Iterable[float],
    second: Iterable[float],
    *,
    alternative: Alternative = "two-sided",
    resamples: int = 10_000,
    seed: int = 0,
) -> PermutationTest:
    """Test whether two independent samples have the same distribution, by the difference of their means.

    For the same items under two versions use `sign_flip_test`: it finds smaller differences. The test is exact if
    `resamples` is enough for every division of the values into two groups. Otherwise it samples divisions and adds the
    observed one, so the p-value is never 0.

    Args:
        first: Finite numbers, at least one.
        second: Finite numbers, at least one.
        alternative: "two-sided", "greater" (the mean of `second` is above that of `first`) or "less".
        resamples: The largest number of divisions, at least 100.
        seed: The same seed gives the same p-value with the same version of numpy.

    Raises:
        ValueError: A sample is empty, a value is NaN or infinite, or a setting is out of its range.
        MissingDependencyError: numpy is not installed.

    Example:
        >>> from llmops_sdk.stats import permutation_test
        >>> permutation_test([1.1, 0.9, 1.2, 1.0], [1.6, 1.4, 1.7])
        PermutationTest(difference=0.5166666666666666, p_value=0.02857142857142857, exact=True, arrangements=35)

    Source: as `sign_flip_test`.
    """
    old, new = finite_values(first, "first"), finite_values(second, "second")
    resamples, seed = count(resamples, "resamples", least=100), count(seed, "seed")
    require("numpy", extra="stats", purpose="permutation_test()")
    import numpy as np

    size = len(new)
    pooled = np.array(old + new)
    pooled -= pooled.mean()
    exact = math.comb(len(pooled), size) <= resamples
    blocks = _all_subsets(len(pooled), size) if exact else _random_subsets(len(pooled), size, resamples, seed)
    statistics = (pooled.take(chosen).sum(axis=1) for chosen in blocks)
    observed = float(pooled[len(old) :].sum())
    difference = math.fsum(new) / size - math.fsum(old) / len(old)
    return _test(statistics, observed, float(np.abs(pooled).sum()), alternative, exact, difference)


def _test(
    statistics: Iterable[NDArray[np.floating[Any]]],
    observed: float,
    magnitude: float,
    alternative: Alternative,
    exact: bool,
    difference: float,
) -> PermutationTest:
    """Count the statistics that are at least as far out as the observed one."""
    if alternative not in _DISTANCES:
        raise ValueError(f'alternative is {alternative!r}: give "two-sided", "greater" or "less"')
    distance = _DISTANCES[alternative]
    # Sums in another order differ in their last digits; equal sums must count as equal.
    least = distance(observed) - 1e-12 * magnitude
    extreme = arrangements = 0
    for values in statistics:
        extreme += int((distance(values) >= least).sum())
        arrangements += len(values)
    p_value = extreme / arrangements if exact else (extreme + 1) / (arrangements + 1)
    return PermutationTest(difference, p_value, exact, arrangements)


def _steps(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each step."""
    step = max(1, _STEP // max(1, width))
    for start in range(0, rows, step):
        yield start, min(step, rows - start)


def _all_signs(width: int) -> Iterator[NDArray[np.uint8]]:
    import numpy as np

    for start, rows in _steps(2**width, width):
        numbers = np.arange(start, start + rows)[:, None]
        yield (numbers >> np.arange(width) & 1).astype(np.uint8)


def _random_signs(width: int, rows: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    octets = -(-width // 8)
    for _, height in _steps(rows, width):
        drawn = np.frombuffer(generator.bytes(height * octets), dtype=np.uint8).reshape(height, octets)
        yield np.unpackbits(drawn, axis=1, count=width)


def _all_subsets(width: int, size: int) -> Iterator[NDArray[np.int64]]:
    import numpy as np

    subsets = combinations(range(width), size)
    for _, rows in _steps(math.comb(width, size), size):
        yield np.array(list(islice(subsets, rows)), dtype=np.int64)


def _random_subsets(width: int, size: int, rows: int, seed: int) -> Iterator[NDArray[np.int64]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    for _, height in _steps(rows, width):
        yield generator.permuted(np.broadcast_to(np.arange(width), (height, width)), axis=1)[:, :size]
