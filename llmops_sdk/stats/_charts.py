"""Control charts for a stream of values: EWMA and CUSUM."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.stats._inputs import finite, positive

__all__ = ["CusumChart", "CusumPoint", "EwmaChart", "EwmaPoint"]


@public("llmops_sdk.stats")
class EwmaPoint(NamedTuple):
    """The EWMA chart after one value."""

    average: float
    signal: bool
    """Whether the average is outside the limits."""


@public("llmops_sdk.stats")
@dataclass(slots=True)
class EwmaChart:
    """Watch a mean by its exponentially weighted moving average.

    It finds small lasting shifts. The limits are those of a long stream.

    Args:
        target: The mean where nothing is wrong; the average begins there.
        sigma: The standard deviation of one value, in the unit of the values. An estimate from few values makes
            false alarms more frequent.
        weight: The share of the newest value in the average, above 0 and up to 1.
        width: The distance of the limits from the target, in standard deviations of the average.

    Raises:
        ValueError: An argument is not finite or out of its range.

    Example:
        >>> from llmops_sdk.stats import EwmaChart
        >>> chart = EwmaChart(target=50, sigma=2)
        >>> [chart.update(value).signal for value in (52, 47, 53, 56, 57, 58)]
        [False, False, False, False, True, True]

    Source: NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.4.
    """

    target: float
    sigma: float
    weight: float = 0.3
    width: float = 3.0
    average: float = field(init=False)
    low: float = field(init=False)
    high: float = field(init=False)

    def __post_init__(self) -> None:
        self.average = finite(self.target, "target")
        if positive(self.weight, "weight") > 1:
            raise ValueError(f"weight is {self.weight}: give a number above 0 and up to 1")
        deviation = positive(self.sigma, "sigma") * math.sqrt(self.weight / (2 - self.weight))
        half = positive(self.width, "width") * deviation
        self.low, self.high = self.average - half, self.average + half

    def update(self, value: float) -> EwmaPoint:
        """Add a value and return the average after it.

        Raises:
            ValueError: `value` is not finite.
        """
        self.average += self.weight * (finite(value, "value") - self.average)
        return EwmaPoint(self.average, not self.low <= self.average <= self.high)


@public("llmops_sdk.stats")
class CusumPoint(NamedTuple):
    """The CUSUM chart after one value."""

    high: float
    """The sum of the deviations above the target, less the slack, since it was last 0."""
    low: float
    """The same for the deviations below the target; also positive."""
    signal: bool
    """Whether one of the sums is above the threshold."""


@public("llmops_sdk.stats")
@dataclass(slots=True)
class CusumChart:
    """Watch a mean by the cumulated sums of its deviations, upwards and downwards.

    It finds a shift of twice the slack soonest. The sums go on after a signal: make a new chart to begin again.

    Args:
        target: The mean where nothing is wrong. An estimate from few values makes false alarms more frequent.
        slack: The deviation that does not count, in the unit of the values; half of the shift to find.
        threshold: The sum that signals, in the unit of the values.

    Raises:
        ValueError: An argument is not finite, `slack` is negative or `threshold` is not above 0.

    Example:
        >>> from llmops_sdk.stats import CusumChart
        >>> chart = CusumChart(target=0.20, slack=0.05, threshold=0.5)
        >>> [chart.update(rate).signal for rate in (0.2, 0.18, 0.23, 0.5, 0.6)]
        [False, False, False, False, True]

    Source: NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.3.
    """

    target: float
    slack: float
    threshold: float
    high: float = field(init=False, default=0.0)
    low: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        finite(self.target, "target")
        positive(self.threshold, "threshold")
        if finite(self.slack, "slack") < 0:
            raise ValueError(f"slack is {self.slack}: give 0 or a number above 0")

    def update(self, value: float) -> CusumPoint:
        """Add a value and return both sums after it.

        Raises:
            ValueError: `value` is not finite.
        """
        deviation = finite(value, "value") - self.target
        self.high = max(0.0, self.high + deviation - self.slack)
        self.low = max(0.0, self.low - deviation - self.slack)
        return CusumPoint(self.high, self.low, max(self.high, self.low) > self.threshold)
