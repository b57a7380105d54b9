"""Intervals of a rate, and the normal quantile."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Literal, NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.stats._inputs import finite, probability

__all__ = ["Interval", "normal_quantile", "wilson_interval"]

_NORMAL = NormalDist()


@public("llmops_sdk.stats")
class Interval(NamedTuple):
    """A confidence interval, in the unit of the estimate."""

    low: float
    high: float


def normal_quantile(share: float) -> float:
    """Return the value below which this share of the standard normal distribution lies.

    Args:
        share: Above 0 and below 1.

    Raises:
        ValueError: `share` is not above 0 and below 1.

    Example:
        >>> from llmops_sdk.stats import normal_quantile
        >>> round(normal_quantile(0.975), 4)
        1.96
    """
    return _NORMAL.inv_cdf(probability(share, "share"))


def wilson_interval(
    events: float, trials: float, *, confidence: float = 0.95, side: Literal["both", "lower", "upper"] = "both"
) -> Interval:
    """Return the Wilson score interval of a rate.

    It stays within 0 and 1, and it is sound for few trials and for rates near 0 and 1. Without trials it is (0, 1).

    Args:
        events: How many events were seen. A weighted count may have a fraction.
        trials: How many trials there were, at least `events`.
        confidence: Above 0 and below 1.
        side: "both"; "lower" puts all of the error into the lower bound and sets the upper bound to 1; "upper" puts
            all of it into the upper bound and sets the lower bound to 0.

    Raises:
        ValueError: A count is negative or not finite, `events` exceeds `trials`, or `confidence` or `side` is not one
            of the values above.

    Example:
        >>> from llmops_sdk.stats import wilson_interval
        >>> low, high = wilson_interval(3, 120)
        >>> f"3 errors in 120 calls: 2.5 %, {low:.1%} to {high:.1%}"
        '3 errors in 120 calls: 2.5 %, 0.9% to 7.1%'

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    events, trials = finite(events, "events"), finite(trials, "trials")
    confidence = probability(confidence, "confidence")
    if side not in {"both", "lower", "upper"}:
        raise ValueError(f'side is {side!r}: give "both", "lower" or "upper"')
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials: give counts of which neither is negative, events first")
    if trials == 0:
        return Interval(0.0, 1.0)
    z = normal_quantile((1 + confidence) / 2 if side == "both" else confidence)
    weight = trials + z * z
    middle = (events + z * z / 2) / weight
    half = abs(z) / weight * math.sqrt(events * (trials - events) / trials + z * z / 4)
    # Rounding would leave a bound of 1e-17 where it is 0.
    low = 0.0 if side == "upper" or events == 0 else middle - half
    high = 1.0 if side == "lower" or events == trials else middle + half
    return Interval(low, high)
