"""Guards check all texts inside messages and JSON, and JSON stays JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.guardrails import CardGuard, GuardContext
from llmops_sdk.guardrails._texts import put, put_text, take, take_text

INPUT = GuardContext(rail="input")


def redacted(text):
    guard = CardGuard()
    return put_text(text, iter([guard.check(one, INPUT).text or one for one in take_text(text)]))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(JSON | st.text())
def test_unchanged_json_keeps_its_spelling(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2), str(value)):
        assert put_text(text, iter(list(take_text(text)))) == text


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_changed_json_is_json_of_the_same_shape(value):
    text = json.dumps({"outer": value})
    new = json.loads(put_text(text, iter(one + "!" for one in take_text(text))))

    def shape(item):
        if isinstance(item, dict):
            return [shape(one) for one in item.values()]
        return [shape(one) for one in item] if isinstance(item, list) else 0

    assert len(new) == 1
    assert shape(next(iter(new.values()))) == shape(value) or any("{" in one or "[" in one for one in take_text(text))


def test_strings_numbers_and_escapes_of_json_are_checked(card):
    escaped = "".join(f"\\u00{ord(digit):x}" for digit in card)

    def document(plain, integer, other, key, spaced):
        return (
            f'{{ "a": "no {plain}",\n "b": {integer}, "c": "{other}", "{key}": 1, "d": 0.{card}, "a": ["{spaced}"] }}'
        )

    new = redacted(document(card, card, escaped, card, f"{card[:8]} {card[8:]}"))
    assert new == document("[CARD]", '"[CARD]"', "[CARD]", "[CARD]", "[CARD]")
    json.loads(new)


def test_json_inside_strings_of_json_is_checked(card):
    inner = json.dumps({"card": int(card), "deep": json.dumps({"again": card})})
    new = redacted(json.dumps({"arguments": inner}))
    opened = json.loads(json.loads(new)["arguments"])
    assert opened["card"] == "[CARD]"
    assert json.loads(opened["deep"]) == {"again": "[CARD]"}


def test_json_too_deep_for_the_parser_is_still_checked(card):
    text = "[" * 100_000 + f'"{card}", {card}' + "]" * 100_000
    assert redacted(text) == "[" * 100_000 + '"[CARD]", "[CARD]"' + "]" * 100_000


@pytest.mark.parametrize("text", ['{"a": "', "{not json {card}", '["\\x"]', "{", "[", '"just a string"'])
def test_text_that_only_looks_like_json_is_text(text, card):
    assert redacted(text + " " + card) == text + " [CARD]"


def test_containers_are_checked_and_other_objects_ignored(card):
    class Own:
        text = card

    own = Own()
    value = {"a": [card, (card, own, 7)], "b": own, "c": b"bytes", 5: card}
    texts = list(take(value))
    assert texts == [card, card, card]
    new = put(value, iter(["1", "2", "3"]))
    assert new == {"a": ["1", ("2", own, 7)], "b": own, "c": b"bytes", 5: "3"}
    assert put(value, iter(texts)) is value
