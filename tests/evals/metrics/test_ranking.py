"""Ranking metrics have trec_eval's values, ties and rules for missing judgments."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.evals import metrics
from llmops_sdk.evals.metrics import (
    average_precision,
    bpref,
    evaluate_run,
    mean_reciprocal_rank,
    ndcg,
    precision_at,
    r_precision,
    recall_at,
    success_at,
)

ALL = (average_precision, bpref, mean_reciprocal_rank, ndcg, precision_at, r_precision, recall_at, success_at)
WITH_CUTOFF = tuple(one for one in ALL if one not in {bpref, r_precision})
# pytrec-eval-terrier 0.5.11 gave the numbers below. "b", "c" and "f" are ties; "x" was not judged; "m" was not found.
GAINS = {"a": 0, "b": 2, "c": 1, "d": 0, "e": 3, "f": 0, "m": 1}
SCORES = {"a": 9.0, "x": 8.0, "b": 7.0, "c": 7.0, "f": 7.0, "d": 1.0, "e": 0.5}
TREC = {
    "average_precision": 0.26964285714285713,
    "average_precision@5": 0.1625,
    "mean_reciprocal_rank": 0.25,
    "ndcg": 0.42452900564507623,
    "ndcg@4": 0.0829414668794317,
    "ndcg@10": 0.42452900564507623,
    "r_precision": 0.25,
    "bpref": 0.16666666666666669,
    "precision_at@5": 0.4,
    "precision_at@10": 0.3,
    "recall_at@5": 0.5,
    "success_at@1": 0.0,
    "success_at@5": 1.0,
}


def test_values_of_trec_eval():
    found = evaluate_run({"q": SCORES}, {"q": GAINS}, TREC)
    assert found.per_query["q"] == pytest.approx(TREC, abs=1e-9)
    assert found.means == found.per_query["q"]


def test_ties_are_ordered_by_id_from_the_last():
    assert mean_reciprocal_rank({"a": 1.0, "b": 1.0, "c": 1.0}, {"a"}) == pytest.approx(1 / 3)
    # trec_eval keeps scores in single precision, where these are equal.
    assert mean_reciprocal_rank({"a": 0.5 + 1e-9, "b": 0.5}, {"a"}) == 0.5


def test_a_repeated_id_counts_once_at_its_first_place():
    repeated = ["a", "a", "b"]
    assert precision_at(repeated, {"a", "b"}, 3) == pytest.approx(2 / 3)
    assert recall_at(repeated, {"a", "b"}, 2) == 0.5
    assert ndcg(repeated, {"a"}) == 1.0
    assert average_precision(repeated, {"a", "b"}) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("metric", ALL)
def test_without_judgments_there_is_no_value_and_without_relevant_ids_it_is_zero(metric):
    assert metric(["a"], {}) is None
    assert metric(["a"], set()) is None
    assert metric(["a"], {"a": 0, "b": 0}) == 0.0
    assert metric([], {"a": 1}) == 0.0
    assert metric(["a"], {"a": -1, "b": 1}) == 0.0  # a negative gain: not judged


def test_precision_without_cutoff_takes_the_ranking_and_with_one_fills_up():
    assert precision_at(["a"], {"a"}) == 1.0
    assert precision_at(["a"], {"a"}, 4) == 0.25


def test_a_run_counts_what_it_skips():
    run = {"q1": ["a", "b"], "q2": ["c"]}
    judgments = {"q1": {"b"}, "q3": {"d"}, "q4": {}}
    found = evaluate_run(run, judgments, ["mean_reciprocal_rank", "ndcg@1"])
    assert found.means == {"mean_reciprocal_rank": 0.5, "ndcg@1": 0.0}
    assert (found.not_judged, found.not_answered) == (("q2",), ("q3", "q4"))
    every = evaluate_run(run, judgments, ["mean_reciprocal_rank"], count_missing=True)
    assert every.means == {"mean_reciprocal_rank": 0.25}
    assert set(every.per_query) == {"q1", "q3"}
    assert evaluate_run({}, {}, ["ndcg"]).means == {"ndcg": None}


@pytest.mark.parametrize("name", ["nDCG", "ndcg@", "ndcg@x", "ndcg@-1", "bpref@3", "", "ndcg@0", "ndcg@1.5"])
def test_an_unknown_metric_is_an_error(name):
    with pytest.raises(ValueError, match=r"ranking metric|at least 1"):
        evaluate_run({}, {}, [name])


@pytest.mark.parametrize("metric", WITH_CUTOFF)
def test_bad_arguments_are_typed_errors(metric):
    with pytest.raises(ValueError, match="k is 0"):
        metric(["a"], {"a"}, 0)
    with pytest.raises(TypeError):
        metric(["a"], {"a"}, 1.5)
    with pytest.raises(TypeError, match="ranking is one string"):
        metric("abc", {"a"})
    with pytest.raises(TypeError, match="relevance is one string"):
        metric(["a"], "abc")
    with pytest.raises(TypeError, match="an id is NoneType"):
        metric(["a", None], {"a"})
    with pytest.raises(ValueError, match="finite"):
        metric({"a": math.nan}, {"a"})
    with pytest.raises(ValueError, match="finite"):
        metric(["a"], {"a": math.inf})


ids = st.sampled_from("abcdefgh\ud800")
rankings = st.one_of(st.lists(ids, max_size=12), st.dictionaries(ids, st.floats(-5, 5), max_size=9))
judgments = st.one_of(st.sets(ids), st.dictionaries(ids, st.integers(-1, 3)))


@given(rankings, judgments, st.none() | st.integers(1, 15))
def test_every_value_is_from_0_to_1(ranking, relevance, k):
    for metric in ALL:
        value = metric(ranking, relevance, k) if metric in WITH_CUTOFF else metric(ranking, relevance)
        assert (value is None) == (not relevance)
        assert value is None or 0 <= value <= 1 + 1e-12


@given(st.lists(ids, unique=True, min_size=1), st.dictionaries(ids, st.integers(0, 3), min_size=1))
def test_the_best_order_is_at_least_as_good(ranking, gains):
    best = sorted(ranking, key=lambda one: -gains.get(one, 0))
    for metric in (average_precision, mean_reciprocal_rank, ndcg):
        assert metric(best, gains) >= metric(ranking, gains) - 1e-12


@given(st.dictionaries(st.sampled_from("pqrst"), st.lists(ids, unique=True), min_size=1), st.randoms())
def test_the_order_of_queries_does_not_count(run, rng):
    judged = {query: {"a": 1, "b": 0, "c": 2} for query in run}
    shuffled = list(run)
    rng.shuffle(shuffled)
    first = evaluate_run(run, judged)
    second = evaluate_run({one: run[one] for one in shuffled}, judged)
    assert first.means == second.means


def test_names_are_exported():
    assert {one.__name__ for one in ALL} <= set(metrics.__all__)
    assert set(dir(metrics)) >= set(metrics.__all__)
