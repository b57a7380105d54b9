"""Compare two versions on the same items: the mean difference with its interval and its p-value.

Student's t has n - 1 degrees of freedom. With G clusters it has G - 1, and the interval and the p-value take
sqrt(G / (G - 1)) times the standard error, because CR0 is too small for few clusters; for equal clusters this is the t
test of the cluster means (A. C. Cameron and D. L. Miller, "A practitioner's guide to cluster-robust inference", J. Hum.
Resour. 50, 2015). The t and bootstrap intervals have no width where all differences are equal, unless the scores are 0
and 1: they are then Newcombe's, with each cluster as one item.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Literal, NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.stats._binomial import mcnemar
from llmops_sdk.stats._inputs import finite_values, probability
from llmops_sdk.stats._intervals import Interval, wilson_interval
from llmops_sdk.stats._resampling import bootstrap_mean, sign_flip_test
from llmops_sdk.stats._standard_error import MeanEstimate, mean_estimate
from llmops_sdk.stats._student import student_quantile, student_tail

__all__ = ["PairedDifference", "PairedMethod", "paired_difference"]

PairedMethod = Literal["auto", "mcnemar", "t", "bootstrap", "permutation"]
_METHODS = ("auto", "mcnemar", "t", "bootstrap", "permutation")
_PAIR_FIRST = (
    "a failed item has no score. Compare the experiments with `Experiment.compare`: its `Comparison` pairs the items "
    "that both have and reports the others"
)


@public("llmops_sdk.stats")
class PairedDifference(NamedTuple):
    """How much the second version is above the first on the same items."""

    difference: float
    """The mean of b - a, in the unit of the scores."""
    standard_error: float
    """Of the difference; cluster-robust (CR0) where there are clusters."""
    interval: Interval
    """With a correction for few clusters, which the standard error does not have."""
    p_value: float
    """Two-sided, against a difference of 0."""
    n: int
    """How many items there were."""
    clusters: int
    """How many clusters there were; without cluster labels this is `n`."""
    method: str
    """What gave the interval and the p-value: "mcnemar", "t", "bootstrap" or "permutation"."""


def paired_difference(
    a: Iterable[float],
    b: Iterable[float],
    clusters: Iterable[Hashable] | None = None,
    *,
    method: PairedMethod = "auto",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Return the mean of b - a over the same items, with its standard error, interval and p-value.

    The pairs remove what makes an item easy or hard for both versions. Give `clusters` where items share a cause, such
    as a document or a template.

    Args:
        a: The scores of the first version (the baseline), one finite number an item, at least two.
        b: The scores of the second version on the same items, in the same order.
        clusters: One label an item, at least two different ones.
        method: "mcnemar" (scores of 0 and 1 without clusters): McNemar's exact p-value and Newcombe's interval. "t":
            Student's t. "bootstrap": the interval of `bootstrap_mean` and the p-value of `sign_flip_test`.
            "permutation": that p-value, and the interval of "t". "auto": "mcnemar" if it applies, else "t".
        confidence: Of the interval, above 0 and below 1.
        resamples: For "bootstrap" and "permutation", at least 100.
        seed: For "bootstrap" and "permutation".

    Raises:
        MissingScoreError: A score is None or NaN.
        ValueError: The lengths differ, there are too few items or clusters, a score is infinite, the method does not
            apply, or a setting is out of its range.
        TypeError: A score is no number.
        MissingDependencyError: "bootstrap" or "permutation" needs numpy, which is not installed.

    Example:
        >>> from llmops_sdk.stats import paired_difference
        >>> before, after = [1, 1, 1, 0, 1, 0] * 20, [1, 0, 1, 0, 1, 1] * 20
        >>> result = paired_difference(before, after)
        >>> result.difference, round(result.standard_error, 4), result.p_value, result.method
        (0.0, 0.0529, 1.0, 'mcnemar')

    Source: E. Miller, "Adding error bars to evals", arXiv 2411.00640; R. G. Newcombe, "Improved confidence intervals
    for the difference between binomial proportions based on paired data", Statist. Med. 17 (1998), method 10.
    """
    old, new = (finite_values(each, name, missing=_PAIR_FIRST) for each, name in ((a, "a"), (b, "b")))
    probability(confidence, "confidence")
    differences, labels = _differences(old, new), None if clusters is None else list(clusters)
    binary = set(old + new) <= {0.0, 1.0}
    chosen = _chosen_method(method, binary=binary, clustered=labels is not None)
    estimate = mean_estimate(differences, clusters=labels)
    interval, p_value = _student(estimate, differences, confidence, clustered=labels is not None)
    if chosen == "mcnemar":
        p_value = mcnemar(differences.count(1.0), differences.count(-1.0))
    elif chosen == "bootstrap":
        drawn = bootstrap_mean(differences, clusters=labels, confidence=confidence, resamples=resamples, seed=seed)
        interval = Interval(drawn.low, drawn.high)
    if chosen == "mcnemar" or (binary and interval.low == interval.high):
        interval = _newcombe(old, new, estimate.clusters, confidence)
    if chosen in {"bootstrap", "permutation"}:
        p_value = sign_flip_test(differences, clusters=labels, resamples=resamples, seed=seed).p_value
    return PairedDifference(*estimate[:2], interval, p_value, *estimate[2:], chosen)


def _differences(old: list[float], new: list[float]) -> list[float]:
    if len(old) != len(new):
        raise ValueError(
            f"a has {len(old)} scores and b has {len(new)}: give the scores of the same items in the same order. "
            "`Experiment.compare` pairs two experiments by item"
        )
    return [after - before for before, after in zip(old, new, strict=True)]


def _chosen_method(method: str, *, binary: bool, clustered: bool) -> str:
    if method not in _METHODS:
        raise ValueError(f'method is {method!r}: give "auto", "mcnemar", "t", "bootstrap" or "permutation"')
    applies = binary and not clustered
    if method == "mcnemar" and not applies:
        raise ValueError('method "mcnemar" is for scores of 0 and 1 without clusters: give "t" or "permutation"')
    if method == "auto":
        return "mcnemar" if applies else "t"
    return method


def _student(
    estimate: MeanEstimate, differences: list[float], confidence: float, *, clustered: bool
) -> tuple[Interval, float]:
    """Return the t interval and the two-sided p-value."""
    groups = estimate.clusters
    # The plain standard error divides by n - 1 already; CR0 does not.
    correction = math.sqrt(groups / (groups - 1)) if clustered else 1.0
    error = estimate.standard_error * correction
    if error <= 1e-12 * max(map(abs, differences)):
        # Equal differences: the data hold no variance, so the p-value is that of equal signs.
        return Interval(estimate.mean, estimate.mean), 2.0 ** (1 - groups) if estimate.mean else 1.0
    half = student_quantile((1 + confidence) / 2, groups - 1) * error
    p_value = min(1.0, 2 * student_tail(abs(estimate.mean) / error, groups - 1))
    return Interval(estimate.mean - half, estimate.mean + half), p_value


def _newcombe(old: list[float], new: list[float], weight: int, confidence: float) -> Interval:
    """Return the interval of the difference of two paired rates, as of `weight` items, from both Wilson intervals."""
    counts = Counter(zip(old, new, strict=True))
    share = weight / len(old)
    both, neither, gained, lost = (share * counts[pair] for pair in ((1, 1), (0, 0), (0, 1), (1, 0)))
    product = both * neither - gained * lost
    if product > 0:
        product = max(0.0, product - weight / 2)
    before, after = both + lost, both + gained
    scale = math.sqrt(before * after) * math.sqrt((neither + gained) * (neither + lost))
    phi = product / scale if scale else 0.0
    rate_before, rate_after = before / weight, after / weight
    (low_before, high_before), (low_after, high_after) = (
        wilson_interval(min(events, weight), weight, confidence=confidence) for events in (before, after)
    )

    def distance(first: float, second: float) -> float:
        return math.sqrt(max(0.0, first * first - 2 * phi * first * second + second * second))

    return Interval(
        rate_after - rate_before - distance(rate_after - low_after, high_before - rate_before),
        rate_after - rate_before + distance(high_after - rate_after, rate_before - low_before),
    )
