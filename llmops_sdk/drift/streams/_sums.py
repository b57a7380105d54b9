"""Compare the means of two groups of bounded scores by their counts and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Sums", "entropy", "scale_of", "signed_root"]

_TINY = 1e-12


@dataclass(slots=True)
class Sums:
    """The count, the sum and the sum of squares of scores, each scaled to 0..1."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, score: float) -> None:
        """Add a score from 0 to 1."""
        self.n += 1
        self.total += score
        self.squares += score * score

    def plus(self, other: Sums) -> Sums:
        """Return the sums of both groups together."""
        return Sums(self.n + other.n, self.total + other.total, self.squares + other.squares)

    def minus(self, other: Sums) -> Sums:
        """Return the sums without the scores of `other`, which must be a part of this group."""
        return Sums(self.n - other.n, self.total - other.total, self.squares - other.squares)

    @property
    def mean(self) -> float:
        """Return the mean; 0 for no scores."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Return the variance, with the count as divisor."""
        return max(0.0, self.squares / self.n - self.mean**2) if self.n else 0.0


def entropy(total: float, n: int) -> float:
    """Return the maximum of the Bernoulli log-likelihood of `total` out of `n`, at least 1."""
    rest = n - total
    return (total * math.log(total / n) if total > _TINY else 0.0) + (
        rest * math.log(rest / n) if rest > _TINY else 0.0
    )


def signed_root(before: Sums, after: Sums) -> float:
    """Return the signed root of the log-likelihood ratio that the two means differ.

    It is standard normal without a change, and more exactly so than a z-value where the rate is near 0 or 1. Scores
    between 0 and 1 vary less than a Bernoulli variable of their mean: the ratio is divided by this dispersion, which is
    1 for scores of 0 and 1.

    Args:
        before: The scores before the supposed change.
        after: The scores after it.

    Returns:
        A number above 0 where the mean went up; 0 where nothing is known.
    """
    if not before.n or not after.n:
        return 0.0
    both = before.plus(after)
    ratio = entropy(before.total, before.n) + entropy(after.total, after.n) - entropy(both.total, both.n)
    root = math.sqrt(max(0.0, ratio * scale_of(both)))
    return root if after.mean >= before.mean else -root


def scale_of(both: Sums) -> float:
    """Return what a Bernoulli log-likelihood ratio is multiplied by to be a squared normal variable.

    Args:
        both: The scores before and after together.
    """
    bernoulli, variance = both.mean * (1 - both.mean), both.variance
    return 0.0 if variance <= _TINY or bernoulli <= _TINY else 2 * bernoulli / variance
