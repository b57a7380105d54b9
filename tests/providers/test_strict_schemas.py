"""Schemas of ordinary types are sent in the form of OpenAI's strict mode; others stay as they are."""

from __future__ import annotations

import dataclasses
import typing

import pydantic
import pytest
import typing_extensions

from llmops_sdk.providers.litellm._strict import strict_schema


class Kind(pydantic.BaseModel):
    name: typing.Literal["a", "b"] = "a"


class Leaf(pydantic.BaseModel):
    kind: typing.Literal["leaf"]
    size: int = pydantic.Field(3, ge=1, description="How large.")


class Branch(pydantic.BaseModel):
    kind: typing.Literal["branch"]
    parts: list[Branch | Leaf] = pydantic.Field(default_factory=list)


class Ordinary(pydantic.BaseModel):
    """A text."""

    name: str
    country: str | None = None
    count: int = 5
    tags: list[str] = pydantic.Field(default_factory=list)
    leaf: Leaf = pydantic.Field(description="One.")
    kind: Kind = Kind()
    tree: Branch | Leaf = pydantic.Field(discriminator="kind")


@dataclasses.dataclass
class Place:
    name: str
    country: str | None = None


class Line(typing_extensions.TypedDict):
    item: str
    count: int


class Gap(typing_extensions.TypedDict):
    item: str
    count: typing_extensions.NotRequired[int]


class Open(pydantic.BaseModel):
    more: dict[str, int]


class Short(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=3)


class Anything(pydantic.BaseModel):
    value: typing.Any


class Made(pydantic.BaseModel):
    id: str = pydantic.Field(default_factory=str)


def parts_of(schema: object) -> typing.Iterator[dict[str, typing.Any]]:
    """Yield every schema inside a schema."""
    assert isinstance(schema, dict)
    yield schema
    for key in ("$defs", "properties"):
        for item in schema.get(key, {}).values():
            yield from parts_of(item)
    for item in [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]:
        yield from parts_of(item)


@pytest.mark.parametrize("wanted", [Ordinary, Place, Line, Leaf], ids=str)
def test_ordinary_types_are_strict(wanted):
    strict = strict_schema(pydantic.TypeAdapter(wanted).json_schema())
    assert strict is not None
    assert strict["type"] == "object"
    for part in parts_of(strict):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
        if "$ref" in part:
            assert list(part) == ["$ref"]
        assert not part.keys() & {"default", "oneOf", "allOf", "discriminator"}


@pytest.mark.parametrize(
    "wanted", [Gap, Open, Short, Anything, Made, tuple[int, str], set[int], dict[str, int]], ids=str
)
def test_types_that_strict_mode_cannot_express_are_not(wanted):
    assert strict_schema(pydantic.TypeAdapter(wanted).json_schema()) is None


@pytest.mark.parametrize(
    "schema",
    [True, {}, {"type": "object"}, {"anyOf": [{"type": "object"}]}, {"type": "array", "items": {}}, {"not": {}}],
)
def test_odd_schemas_are_not_strict(schema):
    assert strict_schema(schema) is None
    assert strict_schema({"type": "object", "properties": {"a": schema}, "required": ["a"]}) is None


def test_an_answer_in_the_strict_form_fits_the_type():
    answer = {
        "name": "x", "country": None, "count": 1, "tags": [], "leaf": {"kind": "leaf", "size": 1},
        "kind": {"name": "b"}, "tree": {"kind": "branch", "parts": []},
    }  # fmt: skip
    assert Ordinary.model_validate(answer).tree == Branch(kind="branch")
