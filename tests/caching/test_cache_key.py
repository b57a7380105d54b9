"""Everything that affects an answer is in its key."""

from __future__ import annotations

import datetime
import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.caching import request_key
from llmops_sdk.caching.exact._key import NOT_IN_KEY
from llmops_sdk.config import Timeout
from llmops_sdk.providers import Request
from llmops_sdk.providers.traffic import Leg, Route

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
BASE = Request(
    model="a/one",
    messages=[
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "a cat"},
    ],
    tools=[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
    response_schema={"type": "object"},
    response_schema_name="Thing",
    params={"temperature": 0, "tool_choice": "auto", "stop": ["x"], "seed": 1},
    extra={"top_k": 5},
    policy_version="p1",
)


def variants(value):
    """Every value that differs from a JSON-like one in one place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield {(f"{name}x" if name == key else name): other for name, other in value.items()}
            for new in variants(item):
                yield {**value, key: new}
        yield {**value, "one more": 1}
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield value[:place] + value[place + 1 :]
            for new in variants(item):
                yield [*value[:place], new, *value[place + 1 :]]
        yield [*value, "one more"]
        if len(value) > 1:
            yield value[::-1]
    elif value is None:
        yield "None"
    else:
        yield f"{value}x"
        yield None
        if isinstance(value, str):
            yield value.upper() if value.upper() != value else value.lower() + " "


def test_any_single_change_changes_the_key():
    asked = json.loads(json.dumps({f.name: getattr(BASE, f.name) for f in fields(BASE) if f.name not in NOT_IN_KEY}))
    base = request_key(Request(**asked))
    assert base == request_key(BASE)
    changed = [{**asked, name: new} for name in asked for new in variants(asked[name])]
    keys = [request_key(Request(**one)) for one in changed]
    assert len(changed) > 100
    assert base not in keys
    assert None not in keys
    assert request_key(BASE, namespace="n") != base != request_key(BASE, identity="n")
    assert request_key(BASE, namespace="n") != request_key(BASE, identity="n")


def test_timeouts_and_attempts_are_not_in_the_key():
    other = {"timeout": Timeout(total=1), "cache": True, "first_attempt": 3, "reason": "reask", "unchecked": True}
    other |= {"restore": str, "route": Route([], [], Leg("first", 0, 0.0))}
    assert other.keys() == NOT_IN_KEY
    assert request_key(replace(BASE, **other)) == request_key(BASE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value):
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_a_mapping_does_not_change_the_key(extra):
    assert request_key(replace(BASE, extra=extra)) == request_key(replace(BASE, extra=shuffled(extra)))


def whole_numbers(value):
    """Return JSON with whole floats as integers."""
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


@pytest.mark.parametrize("field", ["params", "extra"])
@pytest.mark.parametrize("value", [{"temperature": 0}, {"top_p": 1}, {"logit_bias": {"7": -100}}, {"list": [(2,)]}])
def test_numbers_that_are_the_same_for_a_model_have_one_key(field, value):
    floats = json.loads(json.dumps(value), parse_int=float)
    keys = {request_key(replace(BASE, **{field: one})) for one in (value, floats)}
    assert len(keys) == 1
    others = [{"temperature": other} for other in (0, 0.5, True, "0", None, 2.0**60)]
    assert len({request_key(replace(BASE, **{field: one})) for one in others}) == 6


@given(JSON, JSON)
def test_two_values_share_a_key_only_when_they_are_the_same_json(one, other):
    forms = [json.dumps(whole_numbers(value), sort_keys=True) for value in (one, other)]
    same = forms[0] == forms[1]
    keys = [request_key(replace(BASE, extra={"value": value})) for value in (one, other)]
    assert (keys[0] == keys[1]) is same


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", {1, 2}, float("nan"), float("inf"), datetime.date(2026, 11, 23), {("a", "b"): 1}],
    ids=["object", "bytes", "set", "nan", "inf", "date", "keys"],
)
def test_values_that_are_not_json_have_no_key(value):
    assert request_key(replace(BASE, extra={"value": value})) is None


def test_neither_endless_nor_deep_values_crash():
    endless = []
    endless.append(endless)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert request_key(replace(BASE, extra={"value": endless})) is None
    assert request_key(replace(BASE, extra={"value": deep})) is None


def test_lone_surrogates_and_big_integers_have_keys():
    assert len({request_key(replace(BASE, extra={"v": v})) for v in ("\ud800", "\ud801", 2**70, 2**70 + 1)}) == 4
