"""How far raters agree: the share of equal ratings, Cohen's kappa, Krippendorff's alpha."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate, combinations
from typing import Any, Literal, NamedTuple

from llmops_sdk._util._public import public
from llmops_sdk.stats._inputs import finite

__all__ = ["Agreement", "agreement"]

Level = Literal["nominal", "ordinal", "interval"]


@public("llmops_sdk.evals.stats")
class Agreement(NamedTuple):
    """How far two or more raters agree."""

    share: float
    """Of the pairs of ratings of one item, the share that is equal, from 0 to 1."""
    kappa: float | None
    """Cohen's kappa; with more than two raters the mean over all pairs of raters. None where a rater or a pair used
    only one category, so that chance explains everything."""
    alpha: float | None
    """Krippendorff's alpha at the level of measurement. None where all ratings are equal."""
    items: int
    """How many items have at least two ratings."""
    ratings: int
    """How many ratings these items have."""
    missing: int
    """How many ratings are missing, of all items."""


def agreement(*raters: Iterable[Hashable], level: Level = "nominal") -> Agreement:
    """Return how far raters agree, with correction for agreement by chance.

    Args:
        raters: For each rater, two or more, the ratings of the same items in the same order. None and NaN are missing
            ratings; an item counts if at least two raters rated it. A judge's unreadable verdict is not missing: give
            it a category of its own, so that it counts as a disagreement.
        level: How alpha weighs a disagreement: "nominal" (categories: all the same), "ordinal" (grades: by how many
            ratings lie between) or "interval" (scores: by the squared distance). Kappa is always nominal.

    Raises:
        ValueError: There are fewer than two raters, the lengths differ, no item has two ratings, `level` is none of
            the above, or a number is infinite.
        TypeError: A rater is a text, a rating of a level other than "nominal" is no number, or one rater gives texts
            and another one numbers.

    Example:
        >>> from llmops_sdk.evals.stats import agreement
        >>> people = ["good", "good", "bad", "bad", "good", "bad", "good", None]
        >>> judge = ["good", "good", "bad", "good", "good", "bad", "bad", "good"]
        >>> result = agreement(people, judge)
        >>> round(result.share, 3), round(result.kappa, 3), round(result.alpha, 3)
        (0.714, 0.417, 0.458)

    Source: J. Cohen, "A coefficient of agreement for nominal scales", Educ. Psychol. Meas. 20 (1960); R. J. Light,
    "Measures of response agreement for qualitative data", Psychol. Bull. 76 (1971); K. Krippendorff, "Computing
    Krippendorff's alpha-reliability" (2011).
    """
    if level not in {"nominal", "ordinal", "interval"}:
        raise ValueError(f'level is {level!r}: give "nominal", "ordinal" or "interval"')
    table = _table(raters, numeric=level != "nominal")
    units = [[rating for rating in row if rating is not None] for row in zip(*table, strict=True)]
    missing = sum(len(table) - len(unit) for unit in units)
    units = [unit for unit in units if len(unit) > 1]
    if not units:
        raise ValueError("no item has two ratings: give ratings of the same items in the same order")
    pairs = sum(len(unit) * (len(unit) - 1) for unit in units)
    equal = sum(number * (number - 1) for unit in units for number in Counter(unit).values())
    kappas = [_kappa(first, second) for first, second in combinations(table, 2)]
    defined = [kappa for kappa in kappas if kappa is not None]
    return Agreement(
        equal / pairs,
        math.fsum(defined) / len(defined) if len(defined) == len(kappas) else None,
        _alpha(units, level),
        len(units),
        sum(map(len, units)),
        missing,
    )


def _table(raters: Sequence[Iterable[Hashable]], *, numeric: bool) -> list[list[Any]]:
    """Return the ratings of each rater, with None for missing ones."""
    if len(raters) < 2:
        raise ValueError(f"there are {len(raters)} raters: give the ratings of each as one argument, at least two")
    for number, rater in enumerate(raters, 1):
        if isinstance(rater, str | bytes):
            raise TypeError(f"rater {number} is a text: give a sequence of ratings")
    table = [[None if rating != rating else rating for rating in rater] for rater in raters]  # noqa: PLR0124 - NaN
    if len({len(ratings) for ratings in table}) > 1:
        raise ValueError(
            f"the raters have {', '.join(str(len(ratings)) for ratings in table)} ratings: give each item of each "
            "rater, with None for a missing rating"
        )
    if numeric:
        return [
            [
                None if one is None else _number(one, f"rating {place} of rater {number}")
                for place, one in enumerate(row)
            ]
            for number, row in enumerate(table, 1)
        ]
    kinds = {all(isinstance(one, str) for one in row if one is not None) for row in table if any(_rated(row))}
    if len(kinds) > 1:
        raise TypeError("one rater gives texts and another one other values: give the same categories to both")
    return table


def _rated(ratings: list[Any]) -> Iterable[bool]:
    return (rating is not None for rating in ratings)


def _number(rating: Any, name: str) -> float:
    if isinstance(rating, str | bytes):
        raise TypeError(f"{name} is a text: ordinal and interval ratings are numbers")
    return finite(rating, name)


def _kappa(first: list[Any], second: list[Any]) -> float | None:
    both = [(one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None]
    if not both:
        return None
    n = len(both)
    equal = sum(one == other for one, other in both)
    of_first, of_second = Counter(one for one, _ in both), Counter(other for _, other in both)
    by_chance = sum(number * of_second[category] for category, number in of_first.items())
    return (equal * n - by_chance) / (n * n - by_chance) if by_chance < n * n else None


def _alpha(units: list[list[Any]], level: Level) -> float | None:
    """Return 1 - observed / expected disagreement; all three levels are sums that need one pass."""
    counts = Counter(rating for unit in units for rating in unit)
    total = sum(counts.values())
    if len(counts) == 1:
        return None
    if level == "nominal":
        # Twice the number of unequal pairs.
        observed = math.fsum(
            (len(unit) ** 2 - sum(number * number for number in Counter(unit).values())) / (len(unit) - 1)
            for unit in units
        )
        expected = float(total * total - sum(number * number for number in counts.values()))
    else:
        places = _midranks(counts) if level == "ordinal" else {rating: float(rating) for rating in counts}
        observed = math.fsum(
            _squared_distances([places[rating] for rating in unit]) / (len(unit) - 1) for unit in units
        )
        expected = _squared_distances([places[rating] for unit in units for rating in unit])
    return 1 - (total - 1) * observed / expected if expected > 0 else None


def _midranks(counts: Counter[Any]) -> dict[Any, float]:
    """Return the middle place of each rating: the ordinal distance is the difference of two of them."""
    ordered = sorted(counts)
    ends = accumulate(counts[rating] for rating in ordered)
    return {rating: end - counts[rating] / 2 for rating, end in zip(ordered, ends, strict=True)}


def _squared_distances(values: list[float]) -> float:
    """Return the sum of the squared distances of all ordered pairs."""
    mean = math.fsum(values) / len(values)
    return 2 * len(values) * math.fsum((value - mean) ** 2 for value in values)
