"""A test of a mean that may be looked at after every value, by betting against the null mean."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from llmops_sdk._util._public import public
from llmops_sdk.stats._evidence import Evidence
from llmops_sdk.stats._inputs import finite, probability, score
from llmops_sdk.stats._intervals import Interval

__all__ = ["EProcess"]

# The shares of the wealth that are bet. Small ones find small differences, large ones find large differences soon.
_BETS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
_ALTERNATIVES = ("two-sided", "greater", "less")
# The interval counts the values on a grid of this many steps, so that a long stream needs bounded memory.
_STEPS = 2_000


@public("llmops_sdk.stats")
@dataclass(slots=True)
class EProcess(Evidence):
    """Test the mean of bounded values, with any number of looks.

    Give `update` one value an item: a paired difference of scores, from -1 to 1, or a binary outcome with `low=0`.
    Stop whenever you like. Under the null the chance that the e-value ever reaches 1 / alpha is at most alpha, even
    with a look after every item; a p-value that is looked at after every item errs far more often.

    The e-value is the wealth of a player who starts with 1 and splits it over fixed bets on the mean being above the
    null and as many on it being below. One fixed bet multiplies its part by 1 + bet × (value - null) / range. The
    average of fixed bets needs no estimate from the first values, which a plug-in bet does.

    The order of the items must not depend on their outcome. Items sorted by label or by topic stop the test too early:
    shuffle them. Items of one cluster count once: give the mean of each cluster.

    Args:
        null: The mean under the null, between `low` and `high`. For a gate with a margin give minus the margin and
            `alternative="less"`: the test then rejects where the loss is larger than the margin.
        alternative: "two-sided"; "greater" tests whether the mean is above the null, "less" whether it is below.
        low: The lowest possible value.
        high: The highest possible value.

    Raises:
        ValueError: `null` is not between `low` and `high`, or `alternative` is none of the above.

    Example:
        >>> from llmops_sdk.stats import EProcess
        >>> process = EProcess()
        >>> for old, new in [(1, 0)] * 9 + [(1, 1)] * 3:
        ...     _ = process.update(new - old)
        >>> round(process.e_value, 1), process.rejects(0.05)
        (24.8, True)

    Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", J. R. Statist.
    Soc. B 86 (2024).
    """

    null: float = 0.0
    alternative: Literal["two-sided", "greater", "less"] = "two-sided"
    low: float = -1.0
    high: float = 1.0
    n: int = field(init=False, default=0)
    """How many values there were."""
    peak_log_e: float = field(init=False, default=0.0)
    """The largest `log_e` so far, at least 0."""
    _bets: list[float] = field(init=False, repr=False)
    _logs: list[float] = field(init=False, repr=False)
    _counts: dict[tuple[int, int], int] = field(init=False, repr=False, default_factory=Counter[tuple[int, int]])

    def __post_init__(self) -> None:
        low, high, null = finite(self.low, "low"), finite(self.high, "high"), finite(self.null, "null")
        if not low < null < high:
            raise ValueError(f"null is {null}: give a number between low ({low}) and high ({high})")
        if self.alternative not in _ALTERNATIVES:
            raise ValueError(f'alternative is {self.alternative!r}: give "two-sided", "greater" or "less"')
        above = [] if self.alternative == "less" else [bet / (null - low) for bet in _BETS]
        below = [] if self.alternative == "greater" else [-bet / (high - null) for bet in _BETS]
        self.low, self.high, self.null = low, high, null
        self._bets = above + below
        self._logs = [0.0] * len(self._bets)

    def update(self, value: float) -> float:
        """Add a value and return `log_e` after it.

        Raises:
            MissingScoreError: `value` is None or NaN.
            ValueError: `value` is not from `low` to `high`.
            TypeError: `value` is no number.
        """
        number = score(value, "value", missing="leave failed items out and report how many there were")
        if not self.low <= number <= self.high:
            raise ValueError(
                f"value is {number}: give a number from {self.low} to {self.high}, or set low and high to the bounds "
                "of the values"
            )
        surplus = number - self.null
        self._logs = [log + math.log1p(bet * surplus) for log, bet in zip(self._logs, self._bets, strict=True)]
        place = (number - self.low) / (self.high - self.low) * _STEPS
        # Values on the grid keep their place in spite of rounding errors.
        self._counts[math.floor(place + 1e-9), math.ceil(place - 1e-9)] += 1
        self.n += 1
        log_e = self.log_e
        self.peak_log_e = max(self.peak_log_e, log_e)
        return log_e

    @property
    def log_e(self) -> float:
        """Return the natural logarithm of the e-value now."""
        return _log_mean(self._logs)

    def interval(self, alpha: float = 0.05) -> Interval:
        """Return an interval of the mean that holds at all times together with a chance of at least 1 - alpha.

        It holds every mean that the two-sided test does not reject now. Values are rounded outwards by at most 1/2,000
        of the range, so the interval is never too narrow. It takes up to 0.1 s on values with many digits.

        Args:
            alpha: The chance that the interval ever misses the mean, above 0 and below 1.

        Raises:
            ValueError: `alpha` is not above 0 and below 1.
        """
        # Half of the wealth bets on each side.
        threshold = math.log(2.0 / probability(alpha, "alpha"))
        floors: Counter[int] = Counter()
        flipped_ceilings: Counter[int] = Counter()
        for (below, above), number in self._counts.items():
            floors[below] += number
            flipped_ceilings[_STEPS - above] += number
        span = self.high - self.low
        low, high = (_lower_limit(counts, threshold) for counts in (floors, flipped_ceilings))
        return Interval(self.low + span * low, self.high - span * high)


def _log_mean(logs: list[float]) -> float:
    largest = max(logs)
    return largest + math.log(math.fsum(math.exp(log - largest) for log in logs) / len(logs))


def _lower_limit(counts: Counter[int], threshold: float) -> float:
    """Return the lowest mean, as a share of the range, that bets on a higher mean do not reject."""
    values = [(step / _STEPS, number) for step, number in counts.items()]

    def is_rejected(mean: float) -> bool:
        logs = [sum(number * math.log(1 - bet + bet * value / mean) for value, number in values) for bet in _BETS]
        return _log_mean(logs) >= threshold

    return _last(is_rejected) if any(value for value, _ in values) else 0.0


def _last(holds: Callable[[float], bool]) -> float:
    """Return the share up to which `holds` is true, from below."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
