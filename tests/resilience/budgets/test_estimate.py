"""Estimates of calls."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk.config import PriceSettings, Settings, resolve_model
from llmops_sdk.pricing._cost import ModelPrice
from llmops_sdk.providers import Request
from llmops_sdk.resilience.budgets._estimate import PART_TOKENS, Estimator, estimate_call, estimate_texts

PRICE = ModelPrice(((-1, PriceSettings(input=1_000_000, output=2_000_000)),))  # USD 1 and 2 for a token


def request(*messages, **fields):
    return Request(model="a/b", messages=messages, **fields)


def said(content, **fields):
    return {"role": "user", "content": content, **fields}


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        (request(), 0),
        (request(said("abcd")), 1 + 3),
        (request(said("abcde"), said("abc")), 2 + 6),
        (request(said("日本語")), 3 + 3),  # nine bytes
        (request(said([{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {"url": "x" * 9_000}}])),
         1 + 3 + PART_TOKENS),
        (request(said(None, tool_calls=["x" * 396])), 3 + 100),
        (request(said(7)), 3),
    ],
)  # fmt: skip
def test_prompt_counts_bytes_messages_and_parts(asked, prompt):
    assert estimate_call(asked, None).input_tokens == prompt


def test_tools_and_schema_count():
    plain = estimate_call(request(said("x")), None).input_tokens
    tool = {"type": "function", "function": {"name": "find", "description": "d" * 400}}
    assert estimate_call(request(said("x"), tools=[tool]), None).input_tokens > plain + 100
    assert estimate_call(request(said("x"), response_schema={"title": "d" * 400}), None).input_tokens > plain + 100


def test_definition_that_is_no_json_has_an_estimate():
    circle: dict[str, object] = {}
    circle["self"] = circle
    for odd in (circle, {"x": object()}, {"x": 1 << 70}):
        assert estimate_call(request(said("x"), tools=[odd]), None).input_tokens >= 500


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, 40),
        ({"params": {"max_tokens": 7}}, 7),
        ({"params": {"max_completion_tokens": 8}}, 8),
        ({"extra": {"max_output_tokens": 9}}, 9),
        ({"params": {"max_tokens": 7, "n": 3}}, 21),
        ({"params": {"max_tokens": -7}}, 40),
        ({"params": {"max_tokens": True}}, 40),
        ({"params": {"max_tokens": "many"}}, 40),
        ({"params": {"max_tokens": 10**30, "n": 10**30}}, 10_000_000),
    ],
)
def test_answer_counts_as_its_limit_else_as_the_usual_length(fields, output):
    assert estimate_call(request(**fields), None, usual_output=40.4).output_tokens == output


def test_cost_follows_the_price_and_is_unknown_without_one():
    asked = request(said("abcd"), params={"max_tokens": 10})
    assert estimate_call(asked, PRICE).usd == pytest.approx(4 + 20)
    assert estimate_call(asked, None).usd is None
    assert estimate_texts(["abcd", "abcde"], PRICE).usd == pytest.approx(3)


def test_estimator_finds_the_price_and_learns_the_length_of_answers():
    configured = Settings(model="offline/echo", prices={"offline/echo": {"input": 1_000_000, "output": 0}})
    estimator = Estimator(resolve_model(configured))
    assert estimator.estimate(request(said("abcd"))).usd == pytest.approx(4)
    assert estimator.estimate(request(said("abcd")), priced=False).usd is None
    assert estimator.estimate(request()).output_tokens == 256
    for _ in range(100):
        estimator.observe(1_000)
    assert estimator.estimate(request()).output_tokens == pytest.approx(1_000, rel=0.01)
    estimator.observe(10**30)
    estimator.observe(-1)
    assert estimator.estimate(request()).output_tokens == pytest.approx(1_000, rel=0.01)


@pytest.mark.parametrize(
    ("model", "known"),
    [("openai/gpt-4.1-mini", True), ("offline/echo", False), ("http://127.0.0.1:1/v1#gpt-4.1-mini", False)],
)
def test_built_in_price_holds_for_the_vendor_alone(model, known):
    assert (Estimator(resolve_model(Settings(), model)).price is not None) is known


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=30)
@given(
    st.lists(st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "x"]), ANYTHING), max_size=4), ANYTHING
)
def test_any_request_has_a_finite_estimate(messages, limit):
    found = estimate_call(request(*messages, params={"max_tokens": limit, "n": limit}), PRICE)
    assert found.input_tokens >= 3 * len(messages)
    assert 0 < found.output_tokens <= 10_000_000
    assert found.usd == pytest.approx(found.input_tokens + 2 * found.output_tokens)
