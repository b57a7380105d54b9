"""Traffic control by configuration alone, with calls of the public functions."""

from __future__ import annotations

import pytest

import llmops_sdk as llmops

DOWN = {"failures": {"sequence": ["server"]}}


def test_two_llm_objects_share_the_breaker_and_its_decisions_are_in_sql():
    llmops.configure(model="offline/echo", options=DOWN, retry={"attempts": 1}, breaker={"failures": 1})
    with pytest.raises(llmops.ServerError):
        llmops.LLM().chat("Hi")
    with pytest.raises(llmops.CircuitOpenError) as caught:
        llmops.LLM().chat("Hi")
    assert caught.value.deployment == "offline/echo"
    llmops.flush()
    rows = llmops.query("SELECT policy, decision, deployment FROM traffic ORDER BY time").rows()
    assert [tuple(row) for row in rows] == [("breaker", one, "offline/echo") for one in ("opened", "refused")]


def test_a_breaker_stays_open_after_configure():
    llmops.configure(model="offline/echo", options=DOWN, retry={"attempts": 1}, breaker={"failures": 1})
    with pytest.raises(llmops.ServerError):
        llmops.chat("Hi")
    llmops.configure(model="offline/echo", breaker={"failures": 1})
    with pytest.raises(llmops.CircuitOpenError):
        llmops.chat("Hi")


def test_a_fallback_answers_while_the_breaker_is_open():
    models = {"east": {"model": "offline/echo", "options": DOWN, "breaker": {"failures": 1}}}
    llmops.configure(model="east", models=models, fallbacks=["offline/echo"], retry={"attempts": 1})
    assert [llmops.chat("Hi").text for _ in range(2)] == ["Hi", "Hi"]
