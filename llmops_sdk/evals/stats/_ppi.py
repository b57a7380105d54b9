"""The mean of human labels, made more precise by a judge: prediction-powered inference (PPI++).

The interval is that of Student's t with the degrees of freedom of Welch and Satterthwaite. It adds to the standard
error what estimating the weight costs, as in a regression: the variance of n labels counts (n - 1) / (n - 3) times. In
simulations with 25 labels, 95 % intervals covered in 92 to 95 %, and without both corrections in 90 to 93 %; from 50
labels on in 94 to 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.evals.stats._labels import LabelledValues, labelled_values
from llmops_sdk.stats import Interval, MeanEstimate, mean_estimate, student_quantile, wilson_interval
from llmops_sdk.stats._inputs import probability

__all__ = ["PPIEstimate", "ppi"]

_FEWEST_LABELS = 4  # for an estimated weight: the correction of the interval divides by n - 3


@public("llmops_sdk.evals.stats")
class PPIEstimate(NamedTuple):
    """What people would say on average about all items, estimated from their labels and the judge's verdicts."""

    estimate: float
    standard_error: float
    interval: Interval
    lam: float
    """The weight of the judge, from 0 (the human labels alone) to 1."""
    human_only: MeanEstimate
    """The mean of the human labels."""
    judge_only: float
    """The mean of all of the judge's verdicts, without a correction. It may be biased."""
    n_labelled: int
    n_judged: int
    """How many items only the judge has seen."""


def ppi(
    human: Iterable[float | None],
    judge: Iterable[float],
    unlabelled: Iterable[float] | None = None,
    *,
    lam: float | None = None,
    confidence: float = 0.95,
) -> PPIEstimate:
    """Return the mean of human labels over all items, from labels of some and a judge's verdicts of all.

    The judge makes the interval narrower as far as it agrees with people, and never biases the estimate: a judge that
    is useless gets the weight 0. The labelled items must be a random sample of all items.

    Args:
        human: One label an item, at least two: any numeric scale, such as 1, ½ and 0 for win, tie and loss. Without
            `unlabelled`, None marks the items without a label.
        judge: The judge's verdict of the same items, on the same scale. Count failed verdicts as the middle of the
            scale.
        unlabelled: The judge's verdicts of items without a label.
        lam: The weight of the judge, from 0 to 1. Without it, the weight with the smallest variance is estimated and
            clipped to this range (PPI++); below four labels it is 0.
        confidence: Above 0 and below 1.

    Raises:
        MissingScoreError: A verdict is None or NaN, or a label where `unlabelled` is given.
        ValueError: There are fewer than two labels, the lengths differ, or a value or setting is out of its range.
        TypeError: A value is no number.

    Example:
        >>> from llmops_sdk.evals.stats import ppi
        >>> human = [1, 0, 1, 1, 0, 1, 0, 1, 1, 0] * 5
        >>> judge = [1, 0, 1, 1, 0, 1, 1, 1, 1, 1] * 5
        >>> result = ppi(human, judge, unlabelled=[1, 1, 0, 1] * 100)
        >>> result.human_only.mean, result.judge_only, round(result.estimate, 3)
        (0.6, 0.7555555555555555, 0.571)

    Source: A. N. Angelopoulos, J. C. Duchi and T. Zrnic, "PPI++: efficient prediction-powered inference", arXiv
    2311.01453.
    """
    values = labelled_values(human, judge, unlabelled)
    confidence = probability(confidence, "confidence")
    if lam is not None:
        lam = probability(lam, "lam", closed=True)
    if len(values.human) < 2:
        raise ValueError("there is one label: an interval needs at least two")
    return _estimate(values, lam, confidence)


def _estimate(values: LabelledValues, lam: float | None, confidence: float) -> PPIEstimate:
    n, others = len(values.human), len(values.unlabelled)
    pooled = values.judge + values.unlabelled
    weight = _best_weight(values.human, values.judge, pooled, others) if lam is None else lam
    if others < 2:
        weight = 0.0  # without a second unlabelled verdict their variance is unknown
    corrected = mean_estimate([label - weight * verdict for label, verdict in zip(*values[:2], strict=True)])
    estimate, parts, inflation, degrees = corrected.mean, [corrected.standard_error**2], 1.0, [n - 1]
    if weight and lam is None:
        inflation, degrees = (n - 1) / (n - 3), [n - 2]
    if weight:
        rest = mean_estimate(values.unlabelled)
        estimate += weight * rest.mean
        parts.append((weight * rest.standard_error) ** 2)
        degrees.append(others - 1)
    interval = _interval(estimate, [parts[0] * inflation, *parts[1:]], degrees, confidence)
    if set(values.human) in ({0.0}, {1.0}) and not weight:
        # Equal labels hold no variance; the score interval of a rate has a sound width all the same.
        interval = wilson_interval(sum(values.human), n, confidence=confidence)
    judge_only = math.fsum(pooled) / len(pooled)
    error = math.sqrt(math.fsum(parts))
    return PPIEstimate(estimate, error, interval, weight, mean_estimate(values.human), judge_only, n, others)


def _best_weight(human: list[float], judge: list[float], pooled: list[float], others: int) -> float:
    """Return the weight with the smallest variance of the estimate, within 0 and 1."""
    n = len(human)
    if n < _FEWEST_LABELS or not others:
        return 0.0
    mean_human, mean_judge, mean_pooled = math.fsum(human) / n, math.fsum(judge) / n, math.fsum(pooled) / len(pooled)
    covariance = math.fsum(
        (label - mean_human) * (verdict - mean_judge) for label, verdict in zip(human, judge, strict=True)
    ) / (n - 1)
    variance = math.fsum((verdict - mean_pooled) ** 2 for verdict in pooled) / (len(pooled) - 1)
    if variance <= 1e-24 * max(map(abs, pooled)) ** 2:
        return 0.0
    return min(1.0, max(0.0, covariance / ((1 + n / others) * variance)))


def _interval(estimate: float, parts: list[float], degrees: list[int], confidence: float) -> Interval:
    """Return the t interval of a sum whose parts have these variances and degrees of freedom."""
    total = math.fsum(parts)
    if total == 0:
        return Interval(estimate, estimate)
    shares = [part / total for part in parts]
    freedom = 1 / math.fsum(share * share / each for share, each in zip(shares, degrees, strict=True))
    half = student_quantile((1 + confidence) / 2, freedom) * math.sqrt(total)
    return Interval(estimate - half, estimate + half)
