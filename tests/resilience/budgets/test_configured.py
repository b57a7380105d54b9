"""`[[budgets]]` around real calls."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.testing import FailingProvider, ManualClock, ScriptedProvider, use_clock, use_provider

USED = 8
"""Tokens of one call: the answer of the script says so."""
ANSWER = llmops.Response(text="ok", usage=llmops.Usage(input_tokens=5, output_tokens=3), cost=1.0)


def configure(*budgets, fallbacks=(), **more):
    store = more.pop("store", {"enabled": False})
    llmops.configure(
        model="first",
        models={"first": {"model": "offline/echo", "fallbacks": fallbacks}, "second": {"model": "offline/echo"}},
        budgets=[{"name": "b", **one} for one in budgets],
        store=store,
        **more,
    )


@pytest.fixture
def model():
    with use_provider(ScriptedProvider([ANSWER], repeat=True)) as scripted:
        yield scripted


def calls_that_pass(most=9, **options):
    for number in range(most):
        try:
            llmops.chat("hi", max_tokens=3, **options)
        except llmops.BudgetExceededError:
            return number
    return most


def test_every_way_of_calling_counts(model):
    configure({"limit_tokens": 5 * USED})
    llmops.chat("hi", max_tokens=3)
    with llmops.stream("hi", max_tokens=3) as chunks:
        assert "".join(chunk.text for chunk in chunks) == "ok"

    async def go():
        await llmops.achat("hi", max_tokens=3)
        async with llmops.astream("hi", max_tokens=3) as chunks:
            assert "".join([chunk.text async for chunk in chunks]) == "ok"

    asyncio.run(go())
    with pytest.raises(llmops.BudgetExceededError):
        llmops.embed(["x" * 4 * (USED + 1)])
    assert calls_that_pass() == 1
    assert calls_that_pass(model="second") == 0
    assert len(model.requests) == 5


def test_cached_answers_cost_nothing(model):
    configure({"limit_tokens": 2 * USED})
    assert calls_that_pass(cache=True) == 9
    assert len(model.requests) == 1


def test_budget_lasts_over_a_new_configuration(model):
    configure({"limit_tokens": 2 * USED})
    assert calls_that_pass() == 2
    configure({"limit_tokens": 2 * USED}, retry={"attempts": 2})
    assert calls_that_pass() == 0
    configure({"limit_tokens": 3 * USED})
    assert calls_that_pass() == 1


def test_window_starts_again(model):
    clock = ManualClock()
    with use_clock(clock):
        configure({"limit_usd": 2, "window": "minute", "unknown_cost": 1.0})
        assert calls_that_pass() == 2
        clock.advance(60)
        assert calls_that_pass() == 2


@pytest.mark.parametrize(("per", "served"), [("model", 3), ("all", 0), ("user", 0)])
def test_budget_of_one_model_falls_back_to_another(model, per, served):
    configure({"limit_tokens": 2 * USED, "per": per}, fallbacks=["second"])
    assert calls_that_pass(2) == 2
    assert calls_that_pass(3) == min(served, 2)  # the second model has a budget of the same size


def test_refused_call_is_not_retried_and_failed_calls_cost_nothing():
    configure({"limit_tokens": 2 * USED})
    busy = llmops.ServerError("busy", status_code=503)
    with use_provider(FailingProvider(busy, then=ScriptedProvider([ANSWER], repeat=True), times=3)) as provider:
        assert calls_that_pass(retry={"attempts": 4, "base": 0.001}) == 2
        assert len(provider.requests) == 5


def test_decisions_are_rows_of_the_view_traffic(model, tmp_path):
    configure(
        {"limit_tokens": USED, "per": "user", "name": "hard"},
        {"limit_usd": 0.5, "mode": "soft", "name": "soft", "unknown_cost": 0.1},
        store={"path": tmp_path / "traces"},
    )
    with llmops.context(user_id="ada"):
        assert calls_that_pass() == 1
        assert calls_that_pass(2) == 0
    with llmops.context(user_id="bob"):
        assert calls_that_pass(1) == 1
    rows = llmops.query("SELECT policy, decision, deployment, subject, value, limit_value FROM traffic ORDER BY time")
    assert [tuple(row) for row in rows] == [
        ("budget", "refused", "first", "hard:ada", 8.0, 8.0),
        ("budget", "refused", "first", "hard:ada", 8.0, 8.0),
        ("budget", "exceeded", "first", "soft", 1.1, 0.5),
    ]


PROGRAM = """
import sys, llmops_sdk as llmops
llmops.configure(model="offline/echo", store={"path": "traces"}, budgets=[{
    "name": "b", "limit_tokens": 60, "per": "user", "window": "month"}])
passed = 0
with llmops.context(user_id=sys.argv[1]):
    for _ in range(9):
        try:
            llmops.chat("hi there", max_tokens=10)
        except llmops.BudgetExceededError as error:
            break
        passed += 1
print(passed)
"""


def run(user):
    done = subprocess.run([sys.executable, "-c", PROGRAM, user], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_new_process_goes_on_with_what_the_store_has(own_surroundings: Path):
    first = run("ada")
    assert 1 <= first < 9
    assert run("ada") == 0
    assert run("bob") == first


@pytest.mark.parametrize("budget", [{"per": "model"}, {"model": "first"}])
def test_a_budget_of_one_model_goes_on_to_the_next_one(model, budget):
    configure({"limit_tokens": USED, **budget}, fallbacks=["second"])
    answers = [llmops.chat("hi", max_tokens=3) for _ in range(2)]
    assert [one.deployment for one in answers] == ["first", "second"]
    assert answers[1].attempts[0].reason == "fallback"
