"""Student's t distribution, without scipy: the tail by the incomplete beta function, the quantile by Newton steps."""

from __future__ import annotations

import math

from llmops_sdk.stats._inputs import finite, positive, probability
from llmops_sdk.stats._intervals import normal_quantile

__all__ = ["student_quantile", "student_tail"]

# With more degrees of freedom the normal distribution differs by less than 1e-7 of the result.
_NORMAL_FROM = 1e8


def student_tail(value: float, degrees: float) -> float:
    """Return the probability that Student's t is at least `value`.

    The relative error is below 1e-9 up to a million degrees of freedom, also for probabilities as small as 1e-250. A
    two-sided p-value is twice the tail of the absolute value.

    Args:
        value: A finite number.
        degrees: The degrees of freedom, above 0. They may have a fraction.

    Raises:
        ValueError: `value` is not finite, or `degrees` is not above 0.

    Example:
        >>> from llmops_sdk.stats import student_tail
        >>> round(2 * student_tail(2.5, 9), 4)
        0.0339

    Source: M. Abramowitz and I. A. Stegun, "Handbook of mathematical functions" (1964), 26.5.8 and 26.7.1.
    """
    value, degrees = finite(value, "value"), positive(degrees, "degrees")
    half = _half_tail(abs(value), degrees)
    return half if value >= 0 else 1.0 - half


def student_quantile(share: float, degrees: float) -> float:
    """Return the value below which this share of Student's t distribution lies.

    The relative error is below 1e-9 for shares from 1e-12 to 1 - 1e-12 and up to a million degrees of freedom.

    Args:
        share: Above 0 and below 1.
        degrees: The degrees of freedom, above 0. They may have a fraction.

    Raises:
        ValueError: `share` is not above 0 and below 1, or `degrees` is not above 0.

    Example:
        >>> from llmops_sdk.stats import student_quantile
        >>> round(student_quantile(0.975, 9), 4)
        2.2622

    Source: as `student_tail`.
    """
    share, degrees = probability(share, "share"), positive(degrees, "degrees")
    if share == 0.5:
        return 0.0
    if degrees > _NORMAL_FROM:
        return normal_quantile(share)
    tail = min(share, 1.0 - share)
    low, high = 0.0, 2.0
    while _half_tail(high, degrees) > tail and high < 1e300:
        low, high = high, high * 2.0
    value = max(low, min(high, -normal_quantile(tail)))
    for _ in range(200):
        above = _half_tail(value, degrees) - tail
        low, high = (value, high) if above > 0 else (low, value)
        density = _density(value, degrees)
        proposal = value + above / density if density > 0 else math.inf
        # A step that leaves the bracket is replaced by a bisection.
        proposal = proposal if low < proposal < high else (low + high) / 2.0
        if abs(proposal - value) <= 1e-13 * value:
            break
        value = proposal
    return value if share > 0.5 else -value


def _half_tail(value: float, degrees: float) -> float:
    """Return P(T >= value) for a value that is not negative."""
    if degrees > _NORMAL_FROM:
        return math.erfc(value / math.sqrt(2.0)) / 2.0
    if value == 0:
        return 0.5
    # The tail is half of the incomplete beta function I_x(degrees / 2, 1 / 2) at x = degrees / (degrees + value^2).
    ratio = value / math.sqrt(degrees)
    square = ratio * ratio
    x, rest = 1.0 / (1.0 + square), square / (1.0 + square)
    a = degrees / 2.0
    log_front = -a * math.log1p(square) + 0.5 * _log(rest) + _log_beta_inverse(a)
    front = math.exp(log_front)
    if x < (a + 1.0) / (a + 2.5):
        return front * _fraction(x, a, 0.5) / a / 2.0
    return (1.0 - front * _fraction(rest, 0.5, a) / 0.5) / 2.0


def _density(value: float, degrees: float) -> float:
    square = value / degrees * value
    return math.exp(_log_beta_inverse(degrees / 2.0) - (degrees + 1.0) / 2.0 * math.log1p(square)) / math.sqrt(degrees)


def _log(number: float) -> float:
    return math.log(number) if number > 0 else -math.inf


def _log_beta_inverse(a: float) -> float:
    """Return log of 1 / B(a, 1/2)."""
    if a < 100:
        difference = math.lgamma(a + 0.5) - math.lgamma(a)
    else:
        # The two logarithms would cancel; this is the asymptotic series of their difference.
        difference = 0.5 * math.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5)
    return difference - 0.5 * math.log(math.pi)


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of the incomplete beta function, by the method of Lentz."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0), tiny)
    result = d
    for step in range(1, 100_000):
        twice = a + 2 * step
        for term in (
            step * (b - step) * x / ((twice - 1.0) * twice),
            -(a + step) * (a + b + step) * x / (twice * (twice + 1.0)),
        ):
            d = 1.0 / _away_from_zero(1.0 + term * d, tiny)
            c = _away_from_zero(1.0 + term / c, tiny)
            result *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return result


def _away_from_zero(number: float, tiny: float) -> float:
    return number if abs(number) > tiny else tiny
