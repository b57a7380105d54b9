"""Instances of JSON schemas are valid, or an error gives the reason."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from llmops_sdk.providers.offline._schema_instance import SchemaUnsupportedError, instance_of


def valid(instance: object, schema: dict[str, Any]) -> bool:
    return Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(instance)


numbers = st.builds(
    lambda low, span, kind: {"type": kind, "minimum": low, "maximum": low + span},
    st.integers(-1000, 1000),
    st.integers(0, 50),
    st.sampled_from(["integer", "number"]),
)
texts = st.one_of(
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    st.sampled_from(["date", "date-time", "email", "uuid", "ipv4", "uri"]).map(
        lambda f: {"type": "string", "format": f}
    ),
    st.sampled_from(
        [
            "^[A-Z]{2}\\d{4}$",
            "^(a|b)+c?$",
            "[^x]{3}",
            "^\\d{3}-\\w+\\.(com|org)$",
            "^[\\w-]{1,5}$",
            "^\\d+\\b",
            "(?i)id",
        ]
    ).map(lambda pattern: {"type": "string", "pattern": pattern}),
)
scalars = st.one_of(
    numbers,
    texts,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.lists(st.integers() | st.text(), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.integers().map(lambda value: {"const": value}),
)


def compound(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.dictionaries(st.text("abcde", min_size=1, max_size=3), inner, max_size=4)
    return st.one_of(
        names.flatmap(
            lambda props: st.builds(
                lambda required, closed: {
                    "type": "object",
                    "properties": props,
                    "required": required,
                    "additionalProperties": not closed,
                },
                st.lists(st.sampled_from(sorted(props)), unique=True) if props else st.just([]),
                st.booleans(),
            )
        ),
        st.builds(lambda items, low: {"type": "array", "items": items, "minItems": low}, inner, st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
        st.builds(lambda first: {"allOf": [first, {"title": "x"}]}, inner),
        inner.map(lambda schema: {"type": "object", "additionalProperties": schema, "minProperties": 2}),
    )


@given(st.recursive(scalars, compound, max_leaves=12), st.integers(0, 5))
def test_instances_are_valid_and_equal_for_equal_seeds(schema, seed):
    made = instance_of(schema, seed=seed)
    assert valid(made, schema)
    assert instance_of(schema, seed=seed) == made


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Card(pydantic.BaseModel):
    kind: Literal["card"] = "card"
    number: Annotated[str, pydantic.Field(pattern=r"^\d{4}$")]


class Cash(pydantic.BaseModel):
    kind: Literal["cash"] = "cash"
    amount: Annotated[decimal.Decimal, pydantic.Field(ge=0)]


class Node(pydantic.BaseModel):
    name: str
    children: list[Node] = []
    parent: Optional[Node] = None  # noqa: UP045


class Everything(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    colour: Colour
    colours: Annotated[set[Colour], pydantic.Field(min_length=2)]
    when: datetime.datetime
    day: datetime.date
    span: datetime.timedelta
    ident: uuid.UUID
    site: pydantic.HttpUrl
    pay: Annotated[Card | Cash, pydantic.Field(discriminator="kind")]
    tree: Node
    pair: tuple[int, str]
    table: dict[Colour, list[float]]
    few: Annotated[list[int], pydantic.Field(min_length=3, max_length=4)]
    step: Annotated[int, pydantic.Field(multiple_of=7, gt=20, lt=50)]
    maybe: int | None
    anything: Any


@pytest.mark.parametrize("seed", range(5))
def test_pydantic_model_accepts_its_instances(seed):
    made = instance_of(Everything.model_json_schema(), seed=seed)
    assert valid(made, Everything.model_json_schema())
    Everything.model_validate(made)


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"type": "string"}},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"$ref": "https://example.com/schema"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
            "$ref": "#/$defs/a",
        },
    ],
)
def test_unsupported_schema_raises(schema):
    with pytest.raises(SchemaUnsupportedError):
        instance_of(schema)
