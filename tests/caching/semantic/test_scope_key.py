"""The scope of a question: everything else in the request, in a canonical form."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from llmops_sdk.caching.exact._key import NOT_IN_KEY, RequestKeys
from llmops_sdk.caching.semantic._scope import question_of
from llmops_sdk.providers import Request

KEYS = RequestKeys("", "")
TEXT = st.text(max_size=20)
ASKED = TEXT.filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
EARLIER = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}), max_size=3
)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "model": TEXT,
    "tools": st.lists(OBJECT, max_size=2).map(tuple),
    "response_schema": st.none() | OBJECT,
    "response_schema_name": st.none() | TEXT,
    "params": OBJECT,
    "extra": OBJECT,
    "policy_version": TEXT,
}


def ask(text: str, earlier: list[dict[str, Any]], **more: Any) -> Request:
    return Request(**{"model": "a/b", "messages": [*earlier, {"role": "user", "content": text}], **more})


@given(ASKED, ASKED, EARLIER, st.fixed_dictionaries({}, optional=CHANGES))
def test_question_alone_does_not_change_the_scope(one: str, other: str, earlier, more) -> None:
    first, second = question_of(ask(one, earlier, **more), KEYS), question_of(ask(other, earlier, **more), KEYS)
    assert first is not None
    assert second is not None
    assert (first.text, second.text) == (one, other)
    assert first.scope == second.scope


@given(ASKED, EARLIER, st.data())
def test_any_other_field_changes_the_scope(text: str, earlier, data: st.DataObject) -> None:
    request = ask(text, earlier)
    name = data.draw(st.sampled_from(sorted(CHANGES)))
    value = data.draw(CHANGES[name])
    assume(value != getattr(request, name))
    assert question_of(replace(request, **{name: value}), KEYS) != question_of(request, KEYS)


@given(ASKED, EARLIER, EARLIER)
def test_earlier_messages_are_in_the_scope(text: str, one, other) -> None:
    assume(one != other)
    assert question_of(ask(text, one), KEYS) != question_of(ask(text, other), KEYS)


@given(ASKED, OBJECT)
def test_order_of_keys_is_not_in_the_scope(text: str, value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert question_of(ask(text, [], extra=value), KEYS) == question_of(ask(text, [], extra=turned), KEYS)


@given(ASKED, ASKED)
def test_text_in_parts_is_another_scope_than_plain_text(one: str, other: str) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": other}]}]
    in_parts = question_of(Request(model="a/b", messages=parts), KEYS)
    assert in_parts is not None
    assert in_parts.scope != question_of(ask(one, []), KEYS).scope


@given(TEXT)
def test_message_that_spells_the_placeholder_shares_no_scope_with_earlier_text(text: str) -> None:
    # A user who writes what stands for the question gets a scope like any other's.
    request = ask("\x00question", [{"role": "user", "content": text}])
    assert question_of(request, KEYS).text == "\x00question"


def test_every_field_is_either_tried_here_or_not_in_the_key() -> None:
    assert {field.name for field in fields(Request)} == {*CHANGES, *NOT_IN_KEY, "messages"}


@given(st.sampled_from([None, 3, "", "  ", [], [{"type": "text", "text": " "}], [{"type": "text"}], {"a": 1}]))
def test_message_without_one_text_is_no_question(content: object) -> None:
    request = Request(model="a/b", messages=[{"role": "user", "content": content}])
    assert question_of(request, KEYS) is None
