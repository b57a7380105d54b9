"""Agreement of raters: published tables, definitions by enumeration, hostile ratings."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.evals.stats import agreement

# Krippendorff (2011), section C: four observers, twelve units, missing ratings.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
TABLES = st.lists(st.lists(st.none() | st.integers(1, 4), min_size=3, max_size=3), min_size=4, max_size=12)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_krippendorffs_example(level, alpha: float):
    result = agreement(*OBSERVERS, level=level)

    assert result.alpha == pytest.approx(alpha, abs=5e-4)
    assert (result.items, result.ratings, result.missing) == (11, 40, 7)


def test_kappa_is_that_of_a_published_table():
    # A worked example that textbooks share: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    result = agreement(first, second)

    assert result.share == pytest.approx(0.7)
    assert result.kappa == pytest.approx(0.4)


@given(TABLES, st.sampled_from(["nominal", "interval", "ordinal"]))
def test_alpha_equals_its_definition(rows: list[list[int | None]], level):
    units = [[rating for rating in row if rating is not None] for row in rows]
    units = [unit for unit in units if len(unit) > 1]
    pooled = [rating for unit in units for rating in unit]
    if len(set(pooled)) < 2:
        return

    def distance(one: int, other: int) -> float:
        if level == "nominal":
            return float(one != other)
        if level == "interval":
            return (one - other) ** 2
        low, high = min(one, other), max(one, other)
        between = sum(low <= rating <= high for rating in pooled)
        return (between - (pooled.count(low) + pooled.count(high)) / 2) ** 2 if low != high else 0.0

    observed = sum(distance(*pair) / (len(unit) - 1) for unit in units for pair in permutations(unit, 2)) / len(pooled)
    expected = sum(distance(*pair) for pair in permutations(pooled, 2)) / (len(pooled) * (len(pooled) - 1))
    result = agreement(*zip(*rows, strict=True), level=level)

    assert result.alpha == pytest.approx(1 - observed / expected, abs=1e-9)
    equal = [one == other for unit in units for one, other in combinations(unit, 2)]
    weights = [2 for unit in units for _ in combinations(unit, 2)]
    assert result.share == pytest.approx(np.average(equal, weights=weights))


@given(TABLES, st.randoms())
def test_order_of_raters_and_items_and_names_of_categories_do_not_matter(rows, random):
    if not any(sum(rating is not None for rating in row) > 1 for row in rows):
        return
    result = agreement(*zip(*rows, strict=True))
    renamed = [[rating if rating is None else "abcd"[rating - 1] for rating in row] for row in rows]
    shuffled = random.sample(renamed, len(rows))
    again = agreement(*random.sample(list(zip(*shuffled, strict=True)), 3))

    assert again[3:] == result[3:]
    for one, other in zip(again[:3], result[:3], strict=True):
        assert one == pytest.approx(other, abs=1e-12)


def test_perfect_chance_and_contrary_raters():
    ratings = ["a", "b"] * 20

    assert agreement(ratings, ratings)[:3] == (1, 1, 1)
    assert agreement(ratings, ratings[1:] + ratings[:1]).kappa == -1
    assert agreement(["a"] * 20 + ["b"] * 20, ratings).kappa == 0
    # Without any variety chance explains everything.
    assert agreement(["a"] * 5, ["a"] * 5)[:3] == (1, None, None)
    assert agreement(["a"] * 5, ["a"] * 5, ["a"] * 4 + ["b"]).kappa is None


def test_missing_ratings_are_left_out_and_counted():
    result = agreement([1, 1, None, 0, math.nan], [1, 0, 1, 0, None])

    assert (result.share, result.items, result.missing) == (2 / 3, 3, 3)
    assert agreement(np.array([1, 1, 0]), np.array([1, 1, 0])).kappa == 1


@pytest.mark.parametrize(
    ("raters", "options", "error", "message"),
    [
        ([[1, 0]], {}, ValueError, "1 raters"),
        ([[1, 0], [1]], {}, ValueError, "2, 1 ratings"),
        ([[], []], {}, ValueError, "no item has two"),
        ([[1, None], [None, 1]], {}, ValueError, "no item has two"),
        ([[1, 0], [1, 0]], {"level": "ratio"}, ValueError, "level is 'ratio'"),
        ([[1, 0], [1, math.inf]], {"level": "interval"}, ValueError, "rating 1 of rater 2 is inf"),
        (["10", [1, 0]], {}, TypeError, "rater 1 is a text"),
        ([["1", "0"], [1, 0]], {}, TypeError, "one rater gives texts"),
        ([[1, 0], [1, "0"]], {"level": "ordinal"}, TypeError, "rating 1 of rater 2 is a text"),
        ([[[1], [0]], [1, 0]], {}, TypeError, "unhashable"),
    ],
)
def test_ratings_that_cannot_be_compared_are_refused(raters, options, error, message: str):
    with pytest.raises(error, match=message):
        agreement(*raters, **options)
