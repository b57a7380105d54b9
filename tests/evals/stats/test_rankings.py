"""Ratings by Bradley and Terry: closed forms, the likelihood's gradient, coverage, hostile comparisons."""

from __future__ import annotations

import math
import pickle
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import MissingScoreError
from llmops_sdk.evals.stats import bradley_terry

ELO = 400 / math.log(10)
OUTCOMES = st.lists(st.sampled_from([0, 0.5, 1]), min_size=6, max_size=40)


def simulated(generator: np.random.Generator, strengths: list[float], each: int) -> list[tuple[int, int, float]]:
    """Return comparisons of all pairs, a fifth of them ties."""
    games = []
    for one, other in combinations(range(len(strengths)), 2):
        chance = 1 / (1 + math.exp(strengths[other] - strengths[one]))
        wins = 0.8 * chance + 0.1 * (2 * chance - 1)  # with ties as halves, the mean stays `chance`
        outcomes = generator.choice([1.0, 0.5, 0.0], p=[wins, 2 * (chance - wins), 1 - 2 * chance + wins], size=each)
        games += [(one, other, float(outcome)) for outcome in outcomes]
    return games


def test_two_names_have_the_odds_of_their_wins():
    ranking = bradley_terry([("a", "b", 1)] * 30 + [("b", "a", 1)] * 10)
    gap = ELO * math.log(3)

    assert ranking.ratings["a"].rating == pytest.approx(1_000 + gap / 2)
    assert ranking.ratings["b"].rating == pytest.approx(1_000 - gap / 2)
    # The standard error of a log odds is sqrt(1/30 + 1/10); that of each rating is half of it.
    assert ranking.ratings["a"].standard_error == pytest.approx(ELO / 2 * math.sqrt(1 / 30 + 1 / 10), rel=0.02)
    assert not ranking.tied("a", "b")
    assert list(ranking.ratings) == ["a", "b"]
    assert pickle.loads(pickle.dumps(ranking)) == ranking


@given(OUTCOMES)
def test_ratings_solve_the_likelihood_equations(outcomes: list[float]):
    pairs = list(combinations("abcd", 2))
    games = [(*pairs[index % 6], outcome) for index, outcome in enumerate(outcomes)]
    ranking = bradley_terry(games, prior=0.5)
    strength = {name: one.rating / ELO for name, one in ranking.ratings.items()}
    games += [(*pair, 0.5) for pair in set(pairs) & {game[:2] for game in games} for _ in range(1)]
    surplus = dict.fromkeys("abcd", 0.0)
    for index, (one, other, outcome) in enumerate(games):
        weight = 1.0 if index < len(outcomes) else 0.5
        surplus[one] += weight * (outcome - 1 / (1 + math.exp(strength[other] - strength[one])))
        surplus[other] -= weight * (outcome - 1 / (1 + math.exp(strength[other] - strength[one])))

    assert [surplus[name] for name in strength] == pytest.approx([0] * len(strength), abs=1e-8)
    assert np.mean([one.rating for one in ranking.ratings.values()]) == pytest.approx(1_000)
    assert [one.rating for one in ranking.ratings.values()] == sorted(
        (one.rating for one in ranking.ratings.values()), reverse=True
    )


@given(OUTCOMES)
def test_exchanged_sides_are_the_same_comparison(outcomes: list[float]):
    pairs = list(combinations("abc", 2))
    games = [(*pairs[index % 3], outcome) for index, outcome in enumerate(outcomes)]
    one = bradley_terry(games, prior=1)
    other = bradley_terry([(second, first, 1 - outcome) for first, second, outcome in games], prior=1)

    for name in "abc":
        assert other.ratings[name].rating == pytest.approx(one.ratings[name].rating)
        assert other.ratings[name].interval == pytest.approx(one.ratings[name].interval)


def test_intervals_cover_with_ties():
    generator = np.random.default_rng(1)
    strengths = [0.6, 0.1, 0.0, -0.7]
    truth = [1_000 + ELO * strength for strength in strengths]
    covered = tied = 0
    for _ in range(200):
        ranking = bradley_terry(simulated(generator, strengths, each=40))
        covered += sum(
            ranking.ratings[name].interval.low <= rating <= ranking.ratings[name].interval.high
            for name, rating in enumerate(truth)
        )
        tied += ranking.tied(1, 2)

    assert 0.93 <= covered / 800 <= 0.97
    assert tied >= 0.85 * 200


def test_repeated_questions_do_not_make_ratings_surer():
    games = simulated(np.random.default_rng(2), [0.3, 0.0, -0.3], each=30)
    alone, copied = (bradley_terry(games * copies, clusters=list(range(len(games))) * copies) for copies in (1, 10))

    assert copied.ratings[0].standard_error == pytest.approx(alone.ratings[0].standard_error)
    assert (copied.comparisons, copied.clusters) == (900, 90)
    assert bradley_terry(games * 10).ratings[0].standard_error < alone.ratings[0].standard_error / 3
    assert alone.ratings[0].comparisons == 60


def test_ties_alone_are_a_tie():
    ranking = bradley_terry([("a", "b", 0.5)] * 10)

    assert ranking.difference("a", "b") == (0, 0)
    assert ranking.tied("a", "b")


@pytest.mark.parametrize(
    ("games", "message"),
    [
        ([("a", "b", 1)] * 9, "'a' never lost or tied against 'b'.*prior=0.5"),
        ([("a", "b", 0)] * 9, "'a' never won or tied against 'b'.*prior=0.5"),
        ([("a", "b", 1), ("a", "b", 0), ("c", "d", 1), ("d", "c", 1)], "'a', 'b' were never compared with 'c', 'd'"),
    ],
)
def test_ratings_without_a_finite_value_are_refused(games, message: str):
    with pytest.raises(ValueError, match=message):
        bradley_terry(games)


def test_a_prior_makes_ratings_finite():
    ratings = bradley_terry([("a", "b", 1)] * 9, prior=0.5).ratings

    assert ratings["a"].rating - ratings["b"].rating == pytest.approx(ELO * math.log(9.25 / 0.25))


@pytest.mark.parametrize(
    ("games", "options", "error", "message"),
    [
        ([], {}, ValueError, "is empty"),
        ([("a", "b", 0.5)], {}, ValueError, "at least two"),
        ([("a", "a", 1)], {}, ValueError, "compares 'a' with itself"),
        ([("a", "b", 1.5)], {}, ValueError, r"outcome\[0\] is 1.5"),
        ([("a", "b", -1)], {}, ValueError, r"outcome\[0\] is -1"),
        ([("a", "b", math.nan)], {}, MissingScoreError, "count an unreadable verdict as a tie"),
        ([("a", "b", None)], {}, MissingScoreError, "count an unreadable verdict as a tie"),
        ([("a", "b", "a")], {}, TypeError, r"outcome\[0\] is a text"),
        ([("a", "b", 0), ("a", "b", 1)], {"prior": -1}, ValueError, "prior is -1"),
        ([("a", "b", 0), ("a", "b", 1)], {"confidence": 1}, ValueError, "confidence"),
        ([("a", "b", 0), ("a", "b", 1)], {"clusters": ["x"]}, ValueError, "2 comparisons and 1 cluster"),
        ([("a", "b", 0), ("a", "b", 1)], {"clusters": ["x", "x"]}, ValueError, "at least two"),
        ([(index, -1, 0.5) for index in range(101)], {}, ValueError, "102 names"),
    ],
)
def test_comparisons_that_give_no_rating_are_refused(games, options, error, message: str):
    with pytest.raises(error, match=message):
        bradley_terry(games, **options)


def test_unknown_names_are_told():
    ranking = bradley_terry([("a", "b", 1), ("a", "b", 0)])

    with pytest.raises(ValueError, match="'c' was in no comparison: the names are 'a', 'b'"):
        ranking.tied("a", "c")
