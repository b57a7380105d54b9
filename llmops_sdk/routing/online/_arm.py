"""The scores of one model: old ones count less and less, and not at all before a change."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Arm", "Estimate", "change_point"]

MOST_SCORES = 400
"""Older scores are gone."""
_LEAST_SIDE = 4
_CERTAIN = 5.0
"""Standard errors by which two parts must differ. The error is that of all scores together, so a change needs about
25 scores on which to stand out."""
_LEAST_SPREAD = 0.05
_USUAL_VARIANCE = 0.04
_USUAL_WEIGHT = 2.0
"""Few scores say little about their spread: it counts as if there were two more, with a spread of 0.2."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a model.

    Attributes:
        n: Its scores since the last change.
        weight: How many scores of today they are worth.
        mean: Their weighted mean.
        variance: The variance of one score.
        cost: Their mean cost in USD, or None where unknown.
    """

    n: int
    weight: float
    mean: float
    variance: float
    cost: float | None

    @property
    def error(self) -> float:
        """Return the standard error of the mean; infinite without scores."""
        return math.sqrt(self.variance / self.weight) if self.weight else math.inf

    def with_prior(self, prior: Estimate, most: float) -> Estimate:
        """Return the estimate together with a wider one, which counts as some of its scores.

        Args:
            prior: That of all kinds.
            most: How many scores it counts as at most.
        """
        share = min(prior.weight, most)
        weight = self.weight + share
        if not weight:
            return self
        mean = (self.weight * self.mean + share * prior.mean) / weight
        variance = (self.weight * self.variance + share * prior.variance) / weight
        return Estimate(self.n, weight, mean, variance, prior.cost if self.cost is None else self.cost)


class Arm:
    """The scores of one model, and their costs.

    Args:
        keep: The share that a score still counts after the next one: 1 forgets nothing.
        entries: The number of each score in the order of all models' scores, the score, and its cost or None.
    """

    def __init__(self, keep: float, entries: Sequence[tuple[int, float, float | None]] = ()) -> None:
        self._keep = keep
        self.entries = list(entries)
        self._sum_up()

    def _sum_up(self) -> None:
        self._at = self.entries[-1][0] if self.entries else 0
        self._weight = self._total = self._squares = self._doubled = self._cost = self._cost_weight = 0.0
        for number, score, cost in self.entries:
            self._add(self._keep ** (self._at - number), score, cost)

    def _add(self, share: float, score: float, cost: float | None) -> None:
        self._weight += share
        self._total += share * score
        self._squares += share * score * score
        self._doubled += share * share
        if cost is not None:
            self._cost += share * cost
            self._cost_weight += share

    def add(self, number: int, score: float, cost: float | None) -> int | None:
        """Add a score. If the scores have changed, drop those before the change, and return how many remain.

        Args:
            number: Its number in the order of all models' scores; larger than those before.
            score: From 0 to 1.
            cost: USD, or None where unknown.
        """
        faded = self._keep ** (number - self._at)
        self._weight *= faded
        self._total *= faded
        self._squares *= faded
        self._doubled *= faded * faded
        self._cost *= faded
        self._cost_weight *= faded
        self._at = number
        self._add(1.0, score, cost)
        self.entries.append((number, score, cost))
        changed = change_point([score for _, score, _ in self.entries])
        if changed is not None:
            self.entries = self.entries[changed:]
        elif len(self.entries) > MOST_SCORES:
            self.entries = self.entries[-MOST_SCORES:]
        else:
            return None
        self._sum_up()
        return len(self.entries) if changed is not None else None

    def estimate(self, now: int) -> Estimate:
        """Return what is known.

        Args:
            now: The number of the next score.
        """
        if not self.entries:
            return Estimate(0, 0.0, 0.0, 0.0, None)
        mean = self._total / self._weight
        variance = max(self._squares / self._weight - mean * mean, 0.0)
        effective = self._weight * self._weight / self._doubled
        variance = (variance * effective + _USUAL_VARIANCE * _USUAL_WEIGHT) / (effective + _USUAL_WEIGHT)
        # Scores of yesterday say less about today: the weight fades also while no new ones come.
        weight = min(effective, self._weight) * self._keep ** max(now - self._at, 0)
        cost = self._cost / self._cost_weight if self._cost_weight else None
        return Estimate(len(self.entries), weight, mean, variance, cost)


def change_point(scores: Sequence[float]) -> int | None:
    """Return how many scores precede the most likely change of their mean, or None without a clear one.

    Args:
        scores: In the order of time.

    Example:
        >>> from llmops_sdk.routing.online._arm import change_point
        >>> change_point([0.9] * 30 + [0.4] * 10), change_point([0.9, 0.4] * 20)
        (30, None)
    """
    n = len(scores)
    sums = list(itertools.accumulate(scores, initial=0.0))
    total = sums[-1]
    mean = total / n if n else 0.0
    variance = max(sum(score * score for score in scores) / n - mean * mean, _LEAST_SPREAD**2) if n else 1.0
    largest, place = _CERTAIN * _CERTAIN * variance, None
    for before in range(_LEAST_SIDE, n - _LEAST_SIDE + 1):
        gap = sums[before] / before - (total - sums[before]) / (n - before)
        size = gap * gap * before * (n - before) / n
        if size > largest:
            largest, place = size, before
    return place
