"""A baseline that a few outliers do not move: median, MAD and the modified z-score."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.stats._inputs import finite, finite_values

__all__ = ["Baseline", "robust_baseline"]

# The median absolute deviation of a standard normal distribution, its upper quartile.
_NORMAL_MAD = 0.6744897501960817


@public("llmops_sdk.stats")
class Baseline(NamedTuple):
    """What is usual, in the unit of the values."""

    median: float
    mad: float
    """The median of the absolute deviations from the median."""
    scale: float
    """MAD / 0.6745, which estimates the standard deviation of normal values; at least the floor."""

    def score(self, value: float) -> float:
        """Return the modified z-score: how many scales `value` lies above the median.

        Raises:
            ValueError: `value` is not finite.
        """
        return (finite(value, "value") - self.median) / self.scale


def robust_baseline(values: Iterable[float], *, floor: float = 0.0) -> Baseline:
    """Return the median of the values and their scale by the median absolute deviation.

    Up to half of the values may be outliers. The MAD is 0 where more than half of the values are equal, which is
    common with rare traffic: give a floor there.

    Args:
        values: Finite numbers, at least one.
        floor: The least scale, in the unit of the values. For counts, `max(0.05 * median, median**0.5)` is a good one.

    Raises:
        ValueError: There is no value, one is NaN or infinite, or the scale would be 0.

    Example:
        >>> from llmops_sdk.stats import robust_baseline
        >>> usual = robust_baseline([10, 11, 9, 10, 12, 10, 11, 10, 9, 10, 50])
        >>> usual.median, usual.mad, round(usual.score(50), 2)
        (10.0, 1.0, 26.98)

    Source: B. Iglewicz and D. C. Hoaglin, "How to detect and handle outliers" (1993); NIST/SEMATECH e-Handbook of
    Statistical Methods, 1.3.5.17.
    """
    numbers = finite_values(values, "values")
    floor = finite(floor, "floor")
    middle = median(numbers)
    mad = median(abs(number - middle) for number in numbers)
    scale = max(mad / _NORMAL_MAD, floor)
    if scale <= 0:
        raise ValueError("more than half of the values are equal, so that their scale is 0: give a floor above 0")
    return Baseline(middle, mad, scale)
