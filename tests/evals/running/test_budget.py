"""Budgets: a run stops before it spends more, and what is left undone is a random sample."""

from __future__ import annotations

import pytest

import llmops_sdk as llmops
from llmops_sdk.evals import evaluate, scorer
from llmops_sdk.providers import Response
from llmops_sdk.testing import ScriptedProvider, use_provider

ROWS = [{"input": f"q{number}", "expected": str(number // 50)} for number in range(100)]


@scorer
def half(expected):
    return float(expected)


def ask(text):
    return llmops.chat(text, model="openai/unpriced").text


def priced(cost):
    return use_provider(ScriptedProvider([Response(text="yes", model="m", cost=cost)], repeat=True))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_run_stops_at_its_budget_and_gives_partial_estimates(concurrency):
    with priced(0.01):
        experiment = evaluate(ask, ROWS, half, name="budget", budget=0.30, concurrency=concurrency)
    assert (experiment.status, experiment.reason) == ("stopped", "budget")
    assert experiment.cost == pytest.approx(0.30)
    assert experiment.counts["ok"] == 30
    row = experiment.summary()[0]
    assert (row["n"], row["not_run"], row["failed"]) == (30, 70, 0)
    # The items are ordered by their label; the first 30 alone would all be 0.
    assert 0.2 < row["mean"] < 0.8
    low, high = row["interval"]
    assert low < 0.5 < high
    assert row["worst_case"][0] == pytest.approx(row["mean"] * 0.3)
    assert row["worst_case"][1] == pytest.approx(row["mean"] * 0.3 + 0.7)


def test_a_stopped_run_goes_on_with_more_money_and_pays_only_for_the_rest():
    with priced(0.01):
        first = evaluate(ask, ROWS, half, name="more", budget=0.30)
        second = evaluate(ask, ROWS, half, name="more", budget=2.0)
    assert second.status == "completed"
    assert (second.id, second.counts["reused"]) == (first.id, 30)
    assert second.cost == pytest.approx(0.70)


def test_calls_of_scorers_count():
    @scorer
    async def judge(output):
        return len((await llmops.achat(output, model="openai/unpriced")).text)

    with priced(0.01):
        experiment = evaluate(lambda text: text, ROWS, judge, name="judge", budget=0.1)
    assert experiment.cost == pytest.approx(0.1)
    assert experiment.reason == "budget"


def test_a_call_that_does_not_fit_is_refused_before_it_is_sent():
    llmops.configure(
        model="openai/dear",
        prices={"openai/dear": {"input": 1.0, "output": 1000.0}},
    )
    provider = ScriptedProvider(["yes"], repeat=True)

    def dear(text):
        return llmops.chat(text, max_tokens=1_000).text  # up to 1 USD

    with use_provider(provider):
        experiment = evaluate(dear, ROWS, half, name="refused", budget=0.5)
    assert (experiment.status, experiment.reason) == ("stopped", "budget")
    assert provider.requests == ()
    assert experiment.counts == {"ok": 0, "error": 0, "timeout": 0, "not_run": 100, "reused": 0}


def test_unpriced_calls_never_stop_a_run():
    with priced(None):
        experiment = evaluate(ask, ROWS, half, name="unpriced", budget=0.001)
    assert experiment.status == "completed"
    assert experiment.counts["ok"] == 100


def test_reused_results_cost_nothing():
    with priced(0.01):
        evaluate(ask, ROWS[:50], half, name="reuse")
        experiment = evaluate(ask, ROWS[:50], half, name="reuse", budget=0.001)
    assert (experiment.status, experiment.counts["reused"]) == ("completed", 50)
