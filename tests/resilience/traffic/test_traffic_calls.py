"""Traffic control by configuration alone, with calls of the public functions."""

from __future__ import annotations

import asyncio

import pytest

import llmops_sdk as llmops
from llmops_sdk.client._shared import CALL_CLOCK
from llmops_sdk.resilience.traffic._registry import deployment_of

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


@pytest.fixture
def limiter():
    llmops.configure(model="offline/echo", limits={"concurrency": 1, "queue_timeout": 600.0}, store={"enabled": False})
    llmops.chat("Hello")
    return deployment_of("offline/echo", CALL_CLOCK).limiter


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_a_deadline_that_ends_in_the_queue_is_a_refusal_and_no_attempt(limiter, way):
    stream = iter(llmops.stream("Hello"))
    next(stream)
    with pytest.raises(llmops.LimitExceededError, match="concurrency = 1 is reached"):
        llmops.chat("Next", timeout=0.5) if way == "chat" else asyncio.run(llmops.achat("Next", timeout=0.5))
    stream.close()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
