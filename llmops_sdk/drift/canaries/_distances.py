"""The distance between the answers of a day and those of a reference, and what chance alone makes of it."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

__all__ = ["Distance", "Reference", "total_variation"]

_DRAWS = 200
_SEED = 1


def total_variation(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """Return the total variation of two distributions of answers, from 0 for equal ones to 1 for disjoint ones.

    Args:
        first: How often each answer was given.
        second: The same for the other one.
    """
    first_n, second_n = sum(first.values()), sum(second.values())
    answers = {**first, **second}
    return sum(abs(first.get(one, 0) / first_n - second.get(one, 0) / second_n) for one in answers) / 2


@dataclass(frozen=True, slots=True)
class Distance:
    """The mean total variation over prompts, less what chance alone makes of it."""

    value: float
    """The mean total variation."""
    excess: float
    """The mean total variation less its mean without a change, for as many answers."""
    variance: float
    """The variance of the excess by sampling alone."""
    answers: int
    """How many answers were compared."""


@dataclass(slots=True)
class Reference:
    """How often each answer to each prompt was given in the reference."""

    counts: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    _chance: dict[tuple[str, int], tuple[float, float]] = field(
        default_factory=dict[tuple[str, int], tuple[float, float]]
    )

    def add(self, answers: Mapping[str, Counter[str]]) -> None:
        """Add the answers of a day, by prompt."""
        for prompt, counted in answers.items():
            self.counts.setdefault(prompt, Counter()).update(counted)
        self._chance.clear()

    def usual(self) -> float:
        """Return the median number of answers to a prompt; 0 without prompts."""
        return median([one.total() for one in self.counts.values()] or [0])

    def distance(self, answers: Mapping[str, Counter[str]]) -> Distance | None:
        """Return the distance of a day's answers from the reference, or None if they have no prompt in common.

        Args:
            answers: How often each answer was given, by prompt.
        """
        common = [prompt for prompt in answers if prompt in self.counts and answers[prompt].total()]
        if not common:
            return None
        values = [total_variation(self.counts[prompt], answers[prompt]) for prompt in common]
        chance = [self._by_chance(prompt, answers[prompt].total()) for prompt in common]
        mean = math.fsum(values) / len(common)
        return Distance(
            value=mean,
            excess=mean - math.fsum(one for one, _ in chance) / len(common),
            variance=math.fsum(one for _, one in chance) / len(common) ** 2,
            answers=sum(answers[prompt].total() for prompt in common),
        )

    def _by_chance(self, prompt: str, n: int) -> tuple[float, float]:
        """Return the mean and the variance of the total variation of `n` answers from the reference itself."""
        known = self._chance.get((prompt, n))
        if known is None:
            counts = self.counts[prompt]
            draw = random.Random(f"{_SEED}/{prompt}/{n}").choices  # noqa: S311 - a simulation
            answers, weights = list(counts), list(counts.values())
            values = [total_variation(counts, Counter(draw(answers, weights, k=n))) for _ in range(_DRAWS)]
            mean = math.fsum(values) / _DRAWS
            known = (mean, math.fsum((one - mean) ** 2 for one in values) / (_DRAWS - 1))
            self._chance[prompt, n] = known
        return known
