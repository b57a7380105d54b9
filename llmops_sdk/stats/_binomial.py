"""The binomial distribution: exact tails in log space, and the exact McNemar test on top of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from llmops_sdk.stats._inputs import count, probability

__all__ = ["binomial_tail", "clopper_pearson", "log_tail", "mcnemar"]


def binomial_tail(events: int, trials: int, rate: float) -> float:
    """Return the probability of at least `events` events in `trials` trials.

    The sum is exact, not a normal approximation. Its relative error is below 1e-7 up to ten million trials, and the
    time grows with the square root of `trials`.

    Args:
        events: How many events were seen, at least 0. More than `trials` gives 0.
        trials: How many trials there were, at least 0.
        rate: The probability of an event in one trial, from 0 to 1.

    Raises:
        ValueError: A count is negative, or `rate` is not from 0 to 1.
        TypeError: A count is not an integer.

    Example:
        Three failures in ten calls are surprising when one call in a hundred may fail:

        >>> from llmops_sdk.stats import binomial_tail
        >>> round(binomial_tail(3, 10, rate=0.01), 6)
        0.000114
    """
    events, trials = count(events, "events"), count(trials, "trials")
    rate = probability(rate, "rate", closed=True)
    return math.exp(log_tail(events, trials, rate, 1 - rate))


def clopper_pearson(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact confidence interval of a rate: it holds at least as often as it says, with any number of trials.

    Args:
        events: How many events were seen, at most `trials`.
        trials: How many trials there were. Without any, the interval is 0 to 1.
        confidence: The chance that the interval holds, above 0 and below 1. Each limit alone holds with half the risk.

    Raises:
        ValueError: A count is negative, `events` exceeds `trials`, or `confidence` is not above 0 and below 1.
        TypeError: A count is not an integer.

    Example:
        >>> from llmops_sdk.stats import clopper_pearson
        >>> [round(limit, 4) for limit in clopper_pearson(2, 50)]
        [0.0049, 0.1371]

    Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934).
    """
    events, trials = count(events, "events"), count(trials, "trials")
    if events > trials:
        raise ValueError(f"there are {events} events in {trials} trials: give at least as many trials as events")
    risk = (1.0 - probability(confidence, "confidence")) / 2.0
    lower = 0.0 if events == 0 else _bisect(lambda rate: binomial_tail(events, trials, rate) > risk)
    upper = 1.0 if events == trials else _bisect(lambda rate: binomial_tail(events + 1, trials, rate) > 1.0 - risk)
    return lower, upper


def _bisect(is_above: Callable[[float], bool]) -> float:
    """Return the rate from which on `is_above` holds."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_above(middle) else (middle, high)
    return (low + high) / 2.0


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p-value of the exact McNemar test on paired right or wrong answers.

    Items that both versions answer alike do not count.

    Args:
        gained: How many items were wrong before and are right now.
        lost: How many items were right before and are wrong now.

    Raises:
        ValueError: A count is negative.
        TypeError: A count is not an integer.

    Example:
        >>> from llmops_sdk.stats import mcnemar
        >>> round(mcnemar(gained=2, lost=10), 4)
        0.0386

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947).
    """
    gained, lost = count(gained, "gained"), count(lost, "lost")
    return min(1.0, 2 * binomial_tail(max(gained, lost), gained + lost, 0.5))


def log_tail(events: int, trials: int, rate: float, complement: float) -> float:
    """Return log P(X >= events).

    `complement` is 1 - rate. It is an argument of its own because 1 - rate loses the digits of a tiny rate. For
    log P(X <= events) call `log_tail(trials - events, trials, complement, rate)`.
    """
    if events <= 0:
        return 0.0
    if events > trials or rate == 0:
        return -math.inf
    if complement == 0:
        return 0.0
    if events <= trials * rate:
        # The terms grow up to the mean. The other tail has falling terms only, so its sum is short and exact.
        return math.log1p(-math.exp(log_tail(trials - events + 1, trials, complement, rate)))
    total = term = 1.0
    odds = rate / complement
    for number in range(events, trials):
        term *= (trials - number) / (number + 1) * odds
        total += term
        if term < total * 1e-17:
            break
    return _log_mass(events, trials, rate, complement) + math.log(total)


def _log_mass(events: int, trials: int, rate: float, complement: float) -> float:
    """Return log P(X = events)."""
    ways = math.lgamma(trials + 1) - math.lgamma(events + 1) - math.lgamma(trials - events + 1)
    # For a number near 1, log1p of its distance from 1 is more exact.
    log_rate = math.log(rate) if rate < 0.5 else math.log1p(-complement)
    log_complement = math.log(complement) if complement < 0.5 else math.log1p(-rate)
    return ways + events * log_rate + (trials - events) * log_complement
