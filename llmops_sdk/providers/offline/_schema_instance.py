"""Instances of JSON schemas: what an offline model answers when an object is asked for."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from llmops_sdk.providers.offline._regex_text import text_for
from llmops_sdk.providers.offline._schema_merge import (
    Schema,
    SchemaUnsupportedError,
    flatten,
    merge,
    telling_apart,
    types_of,
)

__all__ = ["SchemaUnsupportedError", "instance_of"]

_DEEP = 4  # levels below which only what is required is made, so that recursive schemas end
_DEEPEST = 40
_MOST_VALUES = 20_000
_TRIES = 50
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "larch")
_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "P1DT2H",
    "email": "ada@example.com",
    "idn-email": "ada@example.com",
    "hostname": "www.example.com",
    "idn-hostname": "www.example.com",
    "ipv4": "192.0.2.10",
    "ipv6": "2001:db8::10",
    "ipvanyaddress": "192.0.2.10",
    "ipv4network": "192.0.2.0/24",
    "ipv6network": "2001:db8::/64",
    "uri": "https://example.com/page",
    "iri": "https://example.com/page",
    "uri-reference": "https://example.com/page",
    "regex": "^[a-z]+$",
    "json-pointer": "/items/0",
    "json-string": "{}",
    "base64": "YW1iZXI=",
    "base64url": "YW1iZXI=",
}


def instance_of(schema: Mapping[str, Any], *, seed: int = 0) -> Any:
    """A JSON value that satisfies `schema`; the same seed makes the same one.

    Args:
        schema: A JSON schema, draft 2020-12 as pydantic writes it.
        seed: Chooses among the values that the schema allows.

    Raises:
        SchemaUnsupportedError: The schema has a construct that no instance is made for, or allows no instance.

    Example:
        >>> instance_of({"type": "object", "properties": {"paid": {"const": True}}, "required": ["paid"]})
        {'paid': True}
    """
    return _Maker(schema, seed).make(schema, 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], seed: int) -> None:
        self._root = root
        self._draws = random.Random(seed)  # noqa: S311 - example values, not secrets
        self._made = 0

    def make(self, schema: object, depth: int) -> Any:
        self._made += 1
        if self._made > _MOST_VALUES or depth > _DEEPEST:
            raise SchemaUnsupportedError("it is too large, or has no end")
        flat = flatten(schema, self._root)
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                return self._branch(flat, keyword, depth)
        if "const" in flat or "enum" in flat:
            values = [flat["const"]] if "const" in flat else flat["enum"]
            fitting = [value for value in values if _fits(value, flat)]
            if not fitting:
                raise SchemaUnsupportedError(f"none of the values {values!r} satisfies the rest of its schema")
            return self._draws.choice(fitting)
        types = types_of(flat)
        if "null" in types and (depth >= _DEEP or types == ("null",)):
            return None
        return self._of_type(next(kind for kind in types if kind != "null"), flat, depth)

    def _of_type(self, kind: str, flat: Schema, depth: int) -> Any:
        if kind == "object":
            return self._object(flat, depth)
        if kind == "array":
            return self._array(flat, depth)
        if kind == "string":
            return self._string(flat)
        if kind in {"integer", "number"}:
            return self._number(flat, whole=kind == "integer")
        if kind == "boolean":
            return self._draws.random() < 0.5
        raise SchemaUnsupportedError(f"there is no type {kind!r}")

    def _branch(self, flat: Schema, keyword: str, depth: int) -> Any:
        rest = {key: value for key, value in flat.items() if key != keyword}
        branches = [flatten(merge(rest, flatten(branch, self._root)), self._root) for branch in flat[keyword]]

        def late(branch: Schema) -> tuple[bool, bool]:
            nullish = types_of(branch) == ("null",)
            return (not nullish, types_of(branch)[0] in {"object", "array"}) if depth >= _DEEP else (nullish, False)

        reasons: list[str] = []
        for branch in sorted(branches, key=late):
            try:
                if keyword == "oneOf":
                    others = [other for other in branches if other is not branch]
                    branch = merge(branch, {"required": telling_apart(branch, others, self._root)})  # noqa: PLW2901
                return self.make(branch, depth + 1)
            except SchemaUnsupportedError as error:
                reasons.append(str(error))
        raise SchemaUnsupportedError("; ".join(dict.fromkeys(reasons)) or f'"{keyword}" is empty')

    def _object(self, flat: Schema, depth: int) -> dict[str, Any]:
        required: Sequence[str] = flat.get("required", ())
        named = [name for name, schema in flat.get("properties", {}).items() if schema is not False]
        optional = [name for name in named if name not in required] if depth < _DEEP else []
        room = flat.get("maxProperties", math.inf) - len(required)
        chosen = [*required, *optional[: max(0, int(min(room, len(optional))))]]
        # In the order of the properties, as a model would write them.
        chosen.sort(key=lambda name: named.index(name) if name in named else len(named))
        made = {name: self.make(_property(flat, name), depth + 1) for name in dict.fromkeys(chosen)}
        open_map = isinstance(flat.get("additionalProperties"), Mapping) and not named and depth < _DEEP
        wanted = max(flat.get("minProperties", 0), int(open_map and flat.get("maxProperties", 1) > 0))
        spare = [name for name in named if name not in made]
        for _ in range(_TRIES + wanted):
            if len(made) >= wanted:
                return made
            name = spare.pop(0) if spare else self._name(flat, len(made), depth)
            if name not in made:
                made[name] = self.make(_property(flat, name), depth + 1)
        raise SchemaUnsupportedError(f"no {wanted} different property names were found")

    def _name(self, flat: Schema, number: int, depth: int) -> str:
        if "propertyNames" in flat:
            return self.make({"allOf": [{"type": "string"}, flat["propertyNames"]]}, depth + 1)
        if flat.get("patternProperties"):
            return self._string({"pattern": next(iter(flat["patternProperties"]))})
        return f"key_{number}"

    def _array(self, flat: Schema, depth: int) -> list[Any]:
        items, prefix = _items(flat)
        least = flat.get("minItems", 0)
        wanted = max(least, 0 if depth >= _DEEP else len(prefix) or 1)
        wanted = min(wanted, flat.get("maxItems", wanted), len(prefix) if items is False else wanted)
        if wanted < least:
            raise SchemaUnsupportedError(f"{least} items are asked for and {wanted} allowed")
        made: list[Any] = []
        seen: set[str] = set()
        for index in range(wanted):
            schema = prefix[index] if index < len(prefix) else items
            for _ in range(_TRIES):
                value = self.make(schema, depth + 1)
                key = _identity(value)
                if not flat.get("uniqueItems") or key not in seen:
                    seen.add(key)
                    made.append(value)
                    break
            else:
                raise SchemaUnsupportedError(f"no {wanted} different items were found")
        return made

    def _string(self, flat: Schema) -> str:
        shape, pattern = flat.get("format"), flat.get("pattern")
        for _ in range(_TRIES):
            if shape == "uuid":
                text = str(_uuid(self._draws))
            elif shape in _FORMATS:
                text = _FORMATS[shape]
            elif isinstance(pattern, str):
                text = text_for(pattern, self._draws)
            else:
                text = self._words(flat.get("minLength", 0), flat.get("maxLength"))
            if text is not None and _fits(text, flat):
                return text
        named = {key: flat[key] for key in ("format", "pattern", "minLength", "maxLength") if key in flat}
        raise SchemaUnsupportedError(f"no text was found for {named}")

    def _words(self, least: int, most: int | None) -> str:
        if least > _MOST_VALUES:
            raise SchemaUnsupportedError(f"a text of {least} characters is too long")
        text = self._draws.choice(_WORDS)
        while len(text) < least:
            text += " " + self._draws.choice(_WORDS)
        text = text if most is None else text[:most]
        # A space at the end would go when the text is stripped, as pydantic may.
        return text[:-1] + "s" if text.endswith(" ") else text

    def _number(self, flat: Schema, *, whole: bool) -> int | float:
        low, high = _bounds(flat)
        step = Fraction(str(flat["multipleOf"])) if "multipleOf" in flat else None
        if whole:
            grid = Fraction((step or Fraction(1)).numerator)
        elif step is None:
            # Hundredths where there are some between the bounds, else a finer grid.
            grid = Fraction(1, 100)
            while high > low and high - low < 4 * grid:
                grid /= 100
        else:
            grid = step
        first, last = math.ceil(low / grid), math.floor(high / grid)
        for _ in range(_TRIES):
            if first > last:
                break
            exact = self._draws.randint(first, last) * grid
            value = int(exact) if whole or exact.denominator == 1 else float(exact)
            if _fits(value, flat):
                return value
        raise SchemaUnsupportedError(f"no number was found between {float(low):g} and {float(high):g}")


def _property(flat: Schema, name: str) -> object:
    """The schema of the property `name`, from every keyword that speaks of it."""
    parts: list[object] = [flat["properties"][name]] if name in flat.get("properties", {}) else []
    parts += [schema for pattern, schema in flat.get("patternProperties", {}).items() if re.search(pattern, name)]
    if not parts:
        parts = [flat.get("additionalProperties", True)]
    if False in parts:
        raise SchemaUnsupportedError(f"the property {name!r} is required and not allowed")
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _items(flat: Schema) -> tuple[object, list[object]]:
    """The schema of the further items, and those of the first ones."""
    items: object = flat.get("items", True)
    if isinstance(items, list):  # the form before draft 2020-12
        return flat.get("additionalItems", True), cast("list[object]", items)
    return items, list(flat.get("prefixItems", ()))


def _bounds(flat: Schema) -> tuple[Fraction, Fraction]:
    lows = [Fraction(str(flat[key])) for key in ("minimum", "exclusiveMinimum") if key in flat]
    highs = [Fraction(str(flat[key])) for key in ("maximum", "exclusiveMaximum") if key in flat]
    span = max(Fraction(100), 4 * Fraction(str(flat.get("multipleOf", 1))))
    low = max(lows) if lows else min(highs) - span if highs else Fraction(0)
    return low, min(highs) if highs else low + span


def _identity(value: object) -> str:
    # JSON has one kind of number: 1 and 1.0 are the same item.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(whole, sort_keys=True)


def _uuid(draws: random.Random) -> str:
    digits = f"{draws.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _fits(value: object, flat: Schema) -> bool:
    """Whether a scalar satisfies the flat keywords that speak of its type."""
    if "type" in flat and not any(_is_a(value, kind) for kind in types_of(flat)):
        return False
    if isinstance(value, str):
        return flat.get("minLength", 0) <= len(value) <= flat.get("maxLength", math.inf) and (
            "pattern" not in flat or re.search(flat["pattern"], value) is not None
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        quotient = value / flat["multipleOf"] if "multipleOf" in flat else 0
        return (
            flat.get("minimum", -math.inf) <= value <= flat.get("maximum", math.inf)
            and flat.get("exclusiveMinimum", -math.inf) < value < flat.get("exclusiveMaximum", math.inf)
            and quotient == int(quotient)
        )
    return True


def _is_a(value: object, kind: str) -> bool:
    if kind in {"number", "integer"}:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return kind == "number" or float(value).is_integer()
    python = {"string": str, "boolean": bool, "null": type(None), "object": Mapping, "array": list}
    return isinstance(value, python.get(kind, ()))
