"""Ratings from pairwise comparisons: the model of Bradley and Terry, on the Elo scale."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.evals.stats._linear import inverse, product, transposed
from llmops_sdk.stats import Interval, student_quantile
from llmops_sdk.stats._inputs import finite, probability, score

__all__ = ["Ranking", "Rating", "bradley_terry"]

_ELO = 400 / math.log(10)
_MEAN = 1000.0
_MOST_NAMES = 100  # the time grows with the cube: 100 take some seconds


@public("llmops_sdk.evals.stats")
class Rating(NamedTuple):
    """The rating of one name."""

    rating: float
    """On the Elo scale: 400 more are odds of 10 to 1. The mean of all ratings is 1000."""
    interval: Interval
    standard_error: float
    comparisons: int


@public("llmops_sdk.evals.stats")
@dataclass(frozen=True, slots=True)
class Ranking:
    """The ratings of all names, from the best to the worst."""

    ratings: Mapping[Hashable, Rating]
    """The rating of each name, the best first."""
    comparisons: int
    """How many comparisons there were."""
    clusters: int
    """How many clusters there were; without cluster labels this is `comparisons`."""
    confidence: float
    """Of the intervals."""
    _places: dict[Hashable, int] = field(repr=False)
    _covariance: list[list[float]] = field(repr=False)

    def difference(self, first: Hashable, second: Hashable) -> Interval:
        """Return the interval of the first rating minus the second, on the Elo scale.

        Args:
            first: A name.
            second: Another name.

        Raises:
            ValueError: A name was in no comparison.
        """
        one, other = self._place(first), self._place(second)
        covariance = self._covariance
        variance = covariance[one][one] + covariance[other][other] - 2 * covariance[one][other]
        middle = self.ratings[first].rating - self.ratings[second].rating
        half = student_quantile((1 + self.confidence) / 2, self.clusters - 1) * math.sqrt(max(0.0, variance))
        return Interval(middle - half, middle + half)

    def tied(self, first: Hashable, second: Hashable) -> bool:
        """Return whether the comparisons leave open which of two names is better.

        Args:
            first: A name.
            second: Another name.

        Raises:
            ValueError: A name was in no comparison.
        """
        low, high = self.difference(first, second)
        return low <= 0 <= high

    def _place(self, name: Hashable) -> int:
        if name not in self._places:
            raise ValueError(f"{name!r} was in no comparison: the names are {', '.join(map(repr, self.ratings))}")
        return self._places[name]


def bradley_terry(
    comparisons: Iterable[tuple[Hashable, Hashable, float]],
    clusters: Iterable[Hashable] | None = None,
    *,
    prior: float = 0.0,
    confidence: float = 0.95,
) -> Ranking:
    """Return ratings of two or more names from comparisons of pairs.

    A tie counts as half a win and half a loss. The intervals take the sandwich variance, so ties and repeated questions
    do not make them wrong. Do not read a rank as a fact where `tied` is true.

    Args:
        comparisons: (first, second, outcome): 1 if the first is better, 0 if the second is, 0.5 for a tie. Values
            between are partial wins. At most 100 names.
        clusters: One label a comparison, such as the question: at least two different ones.
        prior: How many ties to add to each pair that was compared. A little, such as 0.5, gives finite ratings where a
            name won or lost everything; it pulls the ratings together.
        confidence: Of the intervals, above 0 and below 1.

    Raises:
        MissingScoreError: An outcome is None or NaN.
        ValueError: There are fewer than two comparisons, an outcome is not from 0 to 1, a comparison has the same name
            twice, the comparisons do not connect all names, a name (or group) has won or lost everything and there is
            no prior, or a setting is out of its range.
        TypeError: An outcome is no number.

    Example:
        >>> from llmops_sdk.evals.stats import bradley_terry
        >>> games = [("new", "old", 1)] * 30 + [("new", "old", 0)] * 15 + [("old", "tiny", 1)] * 20
        >>> ranking = bradley_terry(games + [("old", "tiny", 0.5)] * 10)
        >>> {name: round(one.rating) for name, one in ranking.ratings.items()}
        {'new': 1173, 'old': 1053, 'tiny': 773}
        >>> ranking.tied("new", "old")
        False

    Source: R. A. Bradley and M. E. Terry, "Rank analysis of incomplete block designs", Biometrika 39 (1952). The
    condition for finite ratings: L. R. Ford, "Solution of a ranking problem from binary comparisons", Am. Math. Mon. 64
    (1957).
    """
    confidence = probability(confidence, "confidence")
    if finite(prior, "prior") < 0:
        raise ValueError(f"prior is {prior}: give 0 or a number above 0")
    names, games = _read(comparisons)
    labels = list(range(len(games))) if clusters is None else list(clusters)
    if len(labels) != len(games):
        raise ValueError(f"there are {len(games)} comparisons and {len(labels)} cluster labels: give one label each")
    groups = len(set(labels))
    if groups < 2:
        raise ValueError("there is one comparison or one cluster: an interval needs at least two")
    wins = _wins(len(names), games, prior)
    _check_finite(names, wins)
    strengths, inverted = _fit(wins)
    covariance = _sandwich(strengths, inverted, games, labels, groups)
    return _ranking(names, strengths, covariance, games, groups, confidence)


def _ranking(
    names: list[Hashable],
    strengths: list[float],
    covariance: list[list[float]],
    games: Sequence[tuple[int, int, float]],
    groups: int,
    confidence: float,
) -> Ranking:
    quantile = student_quantile((1 + confidence) / 2, groups - 1)
    played = Counter(place for game in games for place in game[:2])
    ratings: dict[Hashable, Rating] = {}
    for place in sorted(range(len(names)), key=lambda index: -strengths[index]):
        rating, error = _MEAN + _ELO * strengths[place], math.sqrt(max(0.0, covariance[place][place]))
        interval = Interval(rating - quantile * error, rating + quantile * error)
        ratings[names[place]] = Rating(rating, interval, error, played[place])
    places = {name: place for place, name in enumerate(names)}
    return Ranking(ratings, len(games), groups, confidence, places, covariance)


def _read(
    comparisons: Iterable[tuple[Hashable, Hashable, float]],
) -> tuple[list[Hashable], list[tuple[int, int, float]]]:
    """Return the names, and the comparisons by the places of the names."""
    places: dict[Hashable, int] = {}
    games: list[tuple[int, int, float]] = []
    for index, (first, second, outcome) in enumerate(comparisons):
        number = score(outcome, "outcome", index, missing="count an unreadable verdict as a tie (0.5) or leave it out")
        if not 0 <= number <= 1:
            raise ValueError(f"outcome[{index}] is {number}: give 1 (the first is better), 0.5 (a tie) or 0")
        if first == second:
            raise ValueError(f"comparison {index} compares {first!r} with itself: leave it out")
        games.append((places.setdefault(first, len(places)), places.setdefault(second, len(places)), number))
    if not games:
        raise ValueError("comparisons is empty: give at least two")
    if len(places) > _MOST_NAMES:
        raise ValueError(f"there are {len(places)} names: give at most {_MOST_NAMES}")
    return list(places), games


def _wins(size: int, games: Sequence[tuple[int, int, float]], prior: float) -> list[list[float]]:
    """Return how often the row's name beat the column's."""
    wins = [[0.0] * size for _ in range(size)]
    for first, second, outcome in games:
        wins[first][second] += outcome
        wins[second][first] += 1 - outcome
    for first, second in {(min(game[:2]), max(game[:2])) for game in games}:
        wins[first][second] += prior / 2
        wins[second][first] += prior / 2
    return wins


def _check_finite(names: list[Hashable], wins: list[list[float]]) -> None:
    """Raise an error unless each name has beaten or tied each other one, directly or over others."""
    size = len(names)
    beaten = [[other for other in range(size) if wins[one][other] > 0] for one in range(size)]
    met = [[other for other in range(size) if wins[one][other] + wins[other][one] > 0] for one in range(size)]
    for reaches, problem, remedy in (
        (met, "were never compared with", "rate the groups apart, or add comparisons between them"),
        (beaten, "never won or tied against", "give prior=0.5, or more comparisons"),
        (_backwards(beaten), "never lost or tied against", "give prior=0.5, or more comparisons"),
    ):
        seen, ahead = {0}, [0]
        while ahead:
            new = set(reaches[ahead.pop()]) - seen
            seen |= new
            ahead.extend(new)
        if len(seen) < size:
            some, others = (
                ", ".join(repr(names[place]) for place in sorted(group)[:5])
                for group in (seen, set(range(size)) - seen)
            )
            raise ValueError(f"{some} {problem} {others}: the ratings have no finite values; {remedy}")


def _backwards(edges: list[list[int]]) -> list[list[int]]:
    """Return the edges backwards."""
    backwards: list[list[int]] = [[] for _ in edges]
    for start, ends in enumerate(edges):
        for end in ends:
            backwards[end].append(start)
    return backwards


def _fit(wins: list[list[float]]) -> tuple[list[float], list[list[float]]]:
    """Return the log strengths with mean 0, and the pseudo-inverse of the information, by Newton steps."""
    size = len(wins)
    strengths, reached = [0.0] * size, -math.inf
    inverted: list[list[float]] = []
    for _ in range(100):
        gradient, information = [0.0] * size, [[1.0 / size] * size for _ in range(size)]
        likelihood = 0.0
        for one in range(size):
            for other in range(one + 1, size):
                games = wins[one][other] + wins[other][one]
                if not games:
                    continue
                gap = strengths[one] - strengths[other]
                expected = 1 / (1 + math.exp(-gap))
                surplus, weight = wins[one][other] - games * expected, games * expected * (1 - expected)
                likelihood += wins[one][other] * gap - games * max(0.0, gap) - games * math.log1p(math.exp(-abs(gap)))
                gradient[one] += surplus
                gradient[other] -= surplus
                information[one][one] += weight
                information[other][other] += weight
                information[one][other] -= weight
                information[other][one] -= weight
        inverted = inverse(information)
        step = [math.fsum(a * b for a, b in zip(row, gradient, strict=True)) for row in inverted]
        if max(map(abs, step)) < 1e-12 or (likelihood <= reached and max(map(abs, step)) < 1e-8):
            break
        reached = likelihood
        longest = max(map(abs, step))
        # The likelihood is concave; a bounded step keeps the exponentials and the information in range.
        scale = min(1.0, 1.0 / longest)
        strengths = [strength + scale * part for strength, part in zip(strengths, step, strict=True)]
    return strengths, [[one - 1 / size for one in row] for row in inverted]


def _sandwich(
    strengths: list[float],
    inverted: list[list[float]],
    games: Sequence[tuple[int, int, float]],
    labels: Sequence[Hashable],
    groups: int,
) -> list[list[float]]:
    """Return the covariance of the ratings on the Elo scale, robust to ties and to clusters."""
    size = len(strengths)
    surpluses: dict[Hashable, dict[int, float]] = {}
    for (first, second, outcome), label in zip(games, labels, strict=True):
        surplus = outcome - 1 / (1 + math.exp(strengths[second] - strengths[first]))
        of_cluster = surpluses.setdefault(label, {})
        of_cluster[first] = of_cluster.get(first, 0.0) + surplus
        of_cluster[second] = of_cluster.get(second, 0.0) - surplus
    middle = [[0.0] * size for _ in range(size)]
    for of_cluster in surpluses.values():
        for one, first in of_cluster.items():
            for other, second in of_cluster.items():
                middle[one][other] += first * second
    correction = _ELO * _ELO * groups / (groups - 1)
    covariance = product(product(inverted, middle), transposed(inverted))
    return [[correction * value for value in row] for row in covariance]
