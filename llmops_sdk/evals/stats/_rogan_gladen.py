"""The rate that people would find, from a judge's rate and its errors on a calibration set: Rogan and Gladen."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.evals.stats._labels import labelled_values
from llmops_sdk.stats import Interval, normal_quantile
from llmops_sdk.stats._inputs import probability

__all__ = ["CorrectedRate", "rogan_gladen"]


@public("llmops_sdk.evals.stats")
class CorrectedRate(NamedTuple):
    """A judge's rate, corrected for its errors."""

    estimate: float
    """From 0 to 1."""
    standard_error: float
    interval: Interval
    judge_only: float
    """The judge's own rate on the items, without a correction."""
    sensitivity: float
    """The share of the good calibration items that the judge calls good."""
    specificity: float
    """The share of the bad calibration items that the judge calls bad."""
    n_labelled: int
    n_judged: int


def rogan_gladen(
    human: Iterable[float], judge: Iterable[float], unlabelled: Iterable[float], *, confidence: float = 0.95
) -> CorrectedRate:
    """Return the true rate of good items, from a judge's verdicts and its errors on labelled items from elsewhere.

    Use it only when the labelled items are not a sample of the same items: of another month or another task, where the
    judge's sensitivity and specificity hold but the rate does not. Otherwise use `ppi`, whose interval is about half as
    wide.

    Args:
        human: 0 or 1 for each calibration item, with at least one of each.
        judge: The judge's 0 or 1 for the same items.
        unlabelled: The judge's 0 or 1 for the items whose rate you want.
        confidence: Above 0 and below 1.

    Raises:
        MissingScoreError: A label or a verdict is None or NaN.
        ValueError: A value is not 0 or 1, a sample is empty, the labels are all equal, or the judge is no better than
            chance on the calibration items.
        TypeError: A value is no number.

    Example:
        >>> from llmops_sdk.evals.stats import rogan_gladen
        >>> human = [1] * 50 + [0] * 50
        >>> judge = [1] * 45 + [0] * 5 + [1] * 10 + [0] * 40
        >>> result = rogan_gladen(human, judge, unlabelled=[1] * 300 + [0] * 200)
        >>> result.judge_only, round(result.estimate, 3)
        (0.6, 0.571)

    Source: W. J. Rogan and B. Gladen, "Estimating prevalence from the results of a screening test", Am. J. Epidemiol.
    107 (1978); the interval: Z. Lang and J. Reiczigel, "Confidence limits for prevalence of disease adjusted for
    estimated sensitivity and specificity", Prev. Vet. Med. 113 (2014).
    """
    values = labelled_values(human, judge, unlabelled)
    confidence = probability(confidence, "confidence")
    if not values.unlabelled:
        raise ValueError("unlabelled is empty: give the judge's verdicts of the items whose rate you want")
    for name, sample in zip(("human", "judge", "unlabelled"), values, strict=True):
        if odd := next((value for value in sample if value not in {0.0, 1.0}), None):
            raise ValueError(f"{name} has the value {odd}: give 0 or 1, or use ppi for other scales")
    good = [verdict for label, verdict in zip(*values[:2], strict=True) if label]
    bad = [verdict for label, verdict in zip(*values[:2], strict=True) if not label]
    if not good or not bad:
        raise ValueError("the labels in human are all equal: label at least one good and one bad item")
    positives, n = sum(values.unlabelled), len(values.unlabelled)
    hits, rejections = sum(good), len(bad) - sum(bad)
    sensitivity, specificity, rate = hits / len(good), rejections / len(bad), positives / n
    if sensitivity + specificity <= 1:
        raise ValueError(
            f"the judge is no better than chance: sensitivity {sensitivity:.3f}, specificity {specificity:.3f}. Use "
            "another judge, or human labels alone"
        )
    estimate = min(1.0, max(0.0, (rate + specificity - 1) / (sensitivity + specificity - 1)))
    # The interval takes shrunken rates, so that a judge without errors on few labels is not taken for perfect.
    z = normal_quantile((1 + confidence) / 2)
    shrunken = (positives + z * z / 2) / (n + z * z)
    center, error = _limits(shrunken, n + z * z, hits, len(good), rejections, len(bad), z)
    interval = Interval(*(min(1.0, max(0.0, center + side * z * error)) for side in (-1, 1)))
    return CorrectedRate(estimate, error, interval, rate, sensitivity, specificity, len(values.human), n)


def _limits(
    rate: float, weight: float, hits: float, good: int, rejections: float, bad: int, z: float
) -> tuple[float, float]:
    """Return the center of the interval and the standard error."""
    sensitivity, specificity = (hits + 1) / (good + 2), (rejections + 1) / (bad + 2)
    youden = sensitivity + specificity - 1
    estimate = (rate + specificity - 1) / youden
    of_good = sensitivity * (1 - sensitivity) / good
    of_bad = specificity * (1 - specificity) / bad
    shift = 2 * z * z * (estimate * of_good - (1 - estimate) * of_bad)
    variance = rate * (1 - rate) / weight + estimate**2 * of_good + (1 - estimate) ** 2 * of_bad
    return estimate + shift, math.sqrt(variance) / youden
