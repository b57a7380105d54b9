"""Case 11: rankings with ties, duplicates, and without judgments; trec_eval's value, or a counted skip."""

from __future__ import annotations

import itertools
import math

import pytest

from llmops_sdk.evals import evaluate, scorer
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

METRICS = (average_precision, bpref, mean_reciprocal_rank, ndcg, r_precision)
AT_K = (precision_at, recall_at, success_at, ndcg)


def by_hand(gains, ideal):
    """Return trec_eval's nDCG: linear gain, log2 of the rank plus one."""
    dcg = [sum(gain / math.log2(rank + 2) for rank, gain in enumerate(one)) for one in (gains, sorted(ideal)[::-1])]
    return dcg[0] / dcg[1]


def test_case_11_ties_are_broken_by_id_from_the_largest_down():
    scores = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.5}
    relevance = {"c": 3, "a": 1, "d": 2}
    # trec_eval's order: c, b, a, d.
    assert ndcg(scores, relevance) == pytest.approx(by_hand([3, 0, 1, 2], [3, 1, 2]), abs=1e-12)
    assert mean_reciprocal_rank(scores, {"a"}) == pytest.approx(1 / 3)
    assert precision_at(scores, {"c"}, 1) == 1.0
    for order in itertools.permutations(scores):
        assert ndcg({name: scores[name] for name in order}, relevance) == ndcg(scores, relevance)


def test_case_11_ids_are_compared_as_text():
    assert mean_reciprocal_rank({"10": 1.0, "9": 1.0}, {"9"}) == 1.0
    # trec_eval holds scores in single precision: these are equal there.
    assert mean_reciprocal_rank({"a": 1.0, "b": 1.0 - 1e-12}, {"b"}) == 1.0


@pytest.mark.parametrize("cutoff", [1, 2, 3, 10])
def test_case_11_ndcg_with_a_cutoff_cuts_the_ideal_too(cutoff):
    relevance = {"a": 1, "b": 3, "c": 2, "e": 2}
    ranking = ["a", "x", "b", "c"]
    gains = [relevance.get(name, 0) for name in ranking][:cutoff]
    ideal = sorted(relevance.values(), reverse=True)[:cutoff]
    assert ndcg(ranking, relevance, cutoff) == pytest.approx(by_hand(gains, ideal), abs=1e-12)


@pytest.mark.parametrize("metric", [*METRICS, *AT_K])
def test_case_11_duplicates_never_count_twice(metric):
    relevance = {"a": 2, "b": 0, "c": 1}
    doubled = ["a", "a", "b", "a", "c", "c"]
    value = metric(doubled, relevance)

    assert value is not None
    assert 0.0 <= value <= 1.0
    assert value <= metric(["a", "c", "b"], relevance)


@pytest.mark.parametrize("metric", [*METRICS, *AT_K])
def test_case_11_without_anything_relevant_there_is_a_zero_or_a_skip_and_no_nan(metric):
    for relevance in ({}, set(), {"a": 0, "b": 0}):
        value = metric(["a", "b"], relevance)
        assert value is None or value == 0.0
    for ranking in ([], {}):
        assert metric(ranking, {"a": 1, "b": 0}) == 0.0


# For bpref trec_eval takes a document with such a rating as not judged.
@pytest.mark.parametrize("metric", [one for one in (*METRICS, *AT_K) if one is not bpref])
def test_case_11_negative_gains_are_not_relevant(metric):
    """trec_eval counts judgments below 1 as not relevant; ratings of -1 and -2 mark spam."""
    value = metric(["spam", "a"], {"spam": -2, "a": 1})
    assert value is not None
    assert 0.0 <= value <= 1.0
    assert value == metric(["spam", "a"], {"spam": 0, "a": 1})


def test_case_11_queries_without_judgments_are_counted_and_in_no_mean():
    run = {"q1": ["a", "b"], "q2": ["c"], "q3": ["d"]}
    judgments = {"q1": {"b": 1}, "q3": {"x": 0}, "q4": {"z": 1}}
    found = evaluate_run(run, judgments, ["mean_reciprocal_rank", "ndcg@10", "average_precision"])

    assert found.not_judged == ("q2",)
    assert found.not_answered == ("q4",)
    assert all(mean is not None and math.isfinite(mean) for mean in found.means.values())
    # trec_eval averages over q1 and q3 with a 0 for q3, or skips q3.
    assert found.means["mean_reciprocal_rank"] in (pytest.approx(0.25), pytest.approx(0.5))
    assert ("q3" in found.per_query) == (found.means["mean_reciprocal_rank"] < 0.3)
    nothing = evaluate_run({"q9": ["a"]}, {}, ["ndcg@10"])
    assert nothing.means == {"ndcg@10": None}


def test_case_11_a_skipped_query_is_a_column_of_the_experiment(store):
    @scorer
    def gain(output, expected):
        return ndcg(output, expected, 10) if expected else None

    rows = [
        {"id": "q1", "input": ["a", "b"], "expected": {"b": 1}},
        {"id": "q2", "input": ["a", "b"], "expected": {}},
    ]
    (row,) = evaluate(list, rows, gain, name="ranked", progress=False).summary()
    assert (row["n"], row["skipped"], row["failed"]) == (1, 1, 0)
    assert row["mean"] == pytest.approx(1 / math.log2(3))
