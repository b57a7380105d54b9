"""JSON, pattern and schema checks, and context metrics."""

from __future__ import annotations

import math

import pytest
from pydantic import BaseModel

from llmops_sdk.evals.metrics import context_precision, context_recall, json_valid, matches, matches_schema


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.mark.parametrize(
    "text", ["{}", "1", '"x"', "[1, 2.5e3, null]", ' {"a": {"b": []}} ', "12345678901234567890123"]
)
def test_json_is_valid(text):
    assert json_valid(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{'a': 1}",
        "NaN",
        "[1,]",
        "{} {}",
        "```json\n{}\n```",
        '"\ud800"',
        "[" * 100_000,
        "\x00",
        "1" + "0" * 9 + "x",
    ],
)
def test_json_is_not_valid(text):
    assert json_valid([text], each=True) == [0.0]


def test_patterns():
    assert matches(["A-17", "A-17 ", "b"], r"[A-Z]-\d+") == pytest.approx(1 / 3)
    assert matches(["see A-17", "b"], r"[A-Z]-\d+", whole=False, each=True) == [1.0, 0.0]
    assert matches("\ud800", r"\?") == 1.0
    with pytest.raises(ValueError, match="google-re2"):
        matches("a", "(?=a)a")
    with pytest.raises(ValueError, match="google-re2"):
        matches("a", "(")


def test_a_pattern_that_backtracks_takes_linear_time():
    hostile = "a" * 1_000_000 + "!"  # years with Python's own expressions
    assert matches(hostile, r"(a+)+") == 0.0
    assert matches_schema(f'"{hostile}"', {"type": "string", "pattern": "^(a+)+$"}) == 0.0
    assert matches_schema(f'{{"{hostile}": 1}}', {"patternProperties": {"^(a+)+$": {"type": "string"}}}) == 1.0


def test_schemas():
    schema = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "string"}},
    }
    assert matches_schema(['{"name": "Bern"}', '{"name": 3}', "{}", "no"], schema, each=True) == [1.0, 0.0, 0.0, 0.0]
    assert matches_schema('{"x1": "a"}', {"patternProperties": {"^x": {"type": "number"}}}) == 0.0
    assert matches_schema(['{"name": "Bern", "people": 3}', '{"name": "Bern"}'], City) == 0.5
    assert matches_schema("[1, 2]", list[int]) == 1.0


@pytest.mark.parametrize(
    ("items", "expected"),
    [("[1, 2]", 1.0), ("[1, 1.0]", 0.0), ("[1, true]", 1.0), ('[{"a": 1, "b": 2}, {"b": 2, "a": 1}]', 0.0)],
)
def test_unique_items(items, expected):
    assert matches_schema(items, {"uniqueItems": True}) == expected


def test_unique_items_take_linear_time():
    assert (
        matches_schema("[" + ",".join(f'{{"a": {one}}}' for one in range(30_000)) + "]", {"uniqueItems": True}) == 1.0
    )


@pytest.mark.parametrize(
    "schema", [{"type": "nothing"}, {"$ref": "https://example.com/schema.json"}, {"$ref": "#"}, {"pattern": "(?=a)"}, 3]
)
def test_bad_schemas_are_errors_and_nothing_is_fetched(schema):
    with pytest.raises(ValueError, match=r"schema|google-re2"):
        matches_schema('"a"', schema)


@pytest.mark.parametrize(
    "check", [json_valid, lambda texts: matches(texts, "a"), lambda texts: matches_schema(texts, {})]
)
def test_missing_texts_are_typed_errors(check):
    with pytest.raises(TypeError, match="NoneType"):
        check([None])
    with pytest.raises(ValueError, match="empty"):
        check([])


@pytest.mark.parametrize(
    ("marks", "expected"),
    [([1, 0, 1], (1 + 2 / 3) / 2), ([0, 1], 0.5), ([1], 1.0), ([0, 0], 0.0), ([], 0.0), ([True], 1.0)],
)
def test_context_precision(marks, expected):
    assert context_precision(marks) == pytest.approx(expected)


def test_context_recall():
    assert context_recall([1, 1, 0, 1]) == 0.75
    assert context_recall([0]) == 0.0
    assert context_recall([]) is None


@pytest.mark.parametrize("metric", [context_precision, context_recall])
def test_other_marks_are_errors(metric):
    for bad in ([0.5], [2], [None], ["1"], [math.nan]):
        with pytest.raises(ValueError, match="give 0 or 1"):
            metric(bad)
    with pytest.raises(TypeError, match="string"):
        metric("101")
