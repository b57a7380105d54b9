"""How small a difference a comparison can find, and how many items it needs."""

from __future__ import annotations

import math

from llmops_sdk.stats._inputs import count, finite, positive, probability
from llmops_sdk.stats._intervals import normal_quantile

__all__ = ["minimum_detectable_effect", "required_n"]


def minimum_detectable_effect(
    n: int,
    *,
    sd: float | None = None,
    rate: float | None = None,
    rho: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> float:
    """Return the smallest true difference that a two-sided comparison of `n` items finds with this power.

    Give one of these:

    - `sd`: paired scores, whose differences have this standard deviation.
    - `rate` and `rho`: paired right or wrong answers.
    - `rate` alone: right or wrong answers of two independent groups of `n` items each.

    For rates the change is one towards 1/2, which is the harder one to find. The figures are those of the normal
    approximation: below about 30 items the true effect is larger.

    Args:
        n: How many items there are, at least 2.
        sd: The standard deviation of the paired differences, in the unit of the scores.
        rate: The rate of right answers of the baseline, above 0 and below 1.
        rho: The correlation of the answers of both versions, from -1 to 1. Answers of two versions of one application
            are often near 0.5; 1 means that they differ only where the rate forces them to.
        alpha: The chance to find a difference where there is none, above 0 and below 1.
        power: The chance to find the difference where there is one, above 0 and below 1.
        design_effect: How many times larger the variance is because items come in clusters: the square of the
            clustered standard error by the plain one. 1 means independent items.

    Returns:
        The difference, in the unit of the scores; infinity where `n` items cannot find any.

    Raises:
        ValueError: An argument is out of its range, or `sd` and `rate` are both given or both missing.
        TypeError: `n` is no integer.

    Example:
        >>> from llmops_sdk.stats import minimum_detectable_effect
        >>> effect = minimum_detectable_effect(500, rate=0.8, rho=0.5)
        >>> f"500 items show a change of {effect:.1%} or more, with a chance of 80 %"
        '500 items show a change of 5.2% or more, with a chance of 80 %'

    Source: E. Miller, "Adding error bars to evals", arXiv 2411.00640, section 5.
    """
    n = count(n, "n", least=2)
    factor = _quantiles(alpha, power) ** 2 * _at_least_one(design_effect)
    _check_one_of(sd, rate, rho)
    if rate is None:
        return math.sqrt(factor / n) * positive(0.0 if sd is None else sd, "sd")
    return _smallest_effect(factor / n, probability(rate, "rate"), _correlation(rho))


def _smallest_effect(factor: float, rate: float, rho: float) -> float:
    """Return the smallest effect whose square is at least `factor` times its variance."""
    direction = -1.0 if rate > 0.5 else 1.0
    low, high = 0.0, max(rate, 1 - rate)

    def is_found(effect: float) -> bool:
        return factor * _variance(rate, rate + direction * effect, rho) <= effect * effect

    if not is_found(high):
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def required_n(
    effect: float,
    *,
    sd: float | None = None,
    rate: float | None = None,
    rho: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    design_effect: float = 1.0,
) -> int:
    """Return how many items a two-sided comparison needs to find a true difference with this power.

    For two independent groups (`rate` without `rho`), each group needs that many.

    Args:
        effect: The difference, not 0. For rates, negative for a loss.
        sd: As for `minimum_detectable_effect`.
        rate: As for `minimum_detectable_effect`; `rate + effect` must be from 0 to 1.
        rho: As for `minimum_detectable_effect`.
        alpha: As for `minimum_detectable_effect`.
        power: As for `minimum_detectable_effect`.
        design_effect: As for `minimum_detectable_effect`.

    Raises:
        ValueError: An argument is out of its range, or `sd` and `rate` are both given or both missing.

    Example:
        >>> from llmops_sdk.stats import required_n
        >>> required_n(-0.1, rate=0.8, rho=0.5), required_n(-0.1, rate=0.8)
        (147, 291)

    Source: as `minimum_detectable_effect`.
    """
    effect = finite(effect, "effect")
    if effect == 0:
        raise ValueError("effect is 0: give the difference to find")
    factor = _quantiles(alpha, power) ** 2 * _at_least_one(design_effect)
    _check_one_of(sd, rate, rho)
    if rate is None:
        variance = positive(0.0 if sd is None else sd, "sd") ** 2
    else:
        after = probability(rate, "rate") + effect
        if not -1e-12 <= after <= 1 + 1e-12:
            raise ValueError(f"rate + effect is {after}: it must be from 0 to 1")
        variance = _variance(rate, after, _correlation(rho))
    return max(2, math.ceil(factor * variance / (effect * effect)))


def _variance(before: float, after: float, rho: float) -> float:
    """Return the variance of the difference of two answers."""
    spread = before * (1 - before)
    other = max(0.0, after * (1 - after))
    effect = abs(after - before)
    # At least so many answers change as the rate does.
    return max(spread + other - 2 * rho * math.sqrt(spread * other), effect * (1 - effect))


def _quantiles(alpha: float, power: float) -> float:
    alpha, power = probability(alpha, "alpha"), probability(power, "power")
    if power <= alpha:
        raise ValueError(f"power is {power}: give a number above alpha ({alpha})")
    return normal_quantile(1 - alpha / 2) + normal_quantile(power)


def _at_least_one(design_effect: float) -> float:
    if (number := finite(design_effect, "design_effect")) < 1:
        raise ValueError(f"design_effect is {number}: give 1 or more")
    return number


def _correlation(rho: float | None) -> float:
    if rho is None:
        return 0.0
    if not -1 <= (number := finite(rho, "rho")) <= 1:
        raise ValueError(f"rho is {number}: give a number from -1 to 1")
    return number


def _check_one_of(sd: float | None, rate: float | None, rho: float | None) -> None:
    if (sd is None) == (rate is None):
        raise ValueError("give either sd (of the paired differences) or rate (of right answers)")
    if rate is None and rho is not None:
        raise ValueError("rho is for rates: sd is already that of the paired differences")
