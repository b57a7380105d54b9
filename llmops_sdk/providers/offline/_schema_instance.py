"""Make instances of JSON schemas: the offline models' answers when a request asks for an object."""

from __future__ import annotations

import json
import math
import random
import re
import uuid
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from llmops_sdk.providers.offline._regex_text import text_for
from llmops_sdk.providers.offline._schema_merge import (
    Schema,
    SchemaUnsupportedError,
    distinguishing_properties,
    flatten,
    merge,
    types_of,
)

__all__ = ["SchemaUnsupportedError", "instance_of"]

_FULL_DEPTH = 4  # deeper levels get only what is required, so that recursive schemas end
_MAX_DEPTH = 40
_MAX_VALUES = 20_000
_TRIES = 50
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jade", "kelp", "larch")
_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "P1DT2H",
    **dict.fromkeys(("email", "idn-email"), "ada@example.com"),
    **dict.fromkeys(("hostname", "idn-hostname"), "www.example.com"),
    **dict.fromkeys(("ipv4", "ipvanyaddress"), "192.0.2.10"),
    "ipv6": "2001:db8::10",
    "ipv4network": "192.0.2.0/24",
    "ipv6network": "2001:db8::/64",
    **dict.fromkeys(("uri", "iri", "uri-reference"), "https://example.com/page"),
    "regex": "^[a-z]+$",
    "json-pointer": "/items/0",
    "json-string": "{}",
    **dict.fromkeys(("base64", "base64url"), "YW1iZXI="),
}


def instance_of(schema: Mapping[str, Any], *, seed: int = 0) -> Any:
    """Return a JSON value that satisfies `schema`; equal seeds give equal values.

    Args:
        schema: A JSON schema, draft 2020-12 as pydantic writes it.
        seed: Selects among the values that the schema allows.

    Raises:
        SchemaUnsupportedError: The schema allows no instance, or uses an unsupported keyword.

    Example:
        >>> instance_of({"type": "object", "properties": {"paid": {"const": True}}, "required": ["paid"]})
        {'paid': True}
    """
    return _InstanceMaker(schema, seed).make(schema, 0)


class _InstanceMaker:
    def __init__(self, root: Mapping[str, Any], seed: int) -> None:
        self._root = root
        self._draws = random.Random(seed)  # noqa: S311 - example values, not secrets
        self._made = 0

    def make(self, schema: object, depth: int) -> Any:
        self._made += 1
        if self._made > _MAX_VALUES or depth > _MAX_DEPTH:
            raise SchemaUnsupportedError("it is too large or recurses without end")
        flat = flatten(schema, self._root)
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                return self._branch(flat, keyword, depth)
        if "const" in flat or "enum" in flat:
            values = [flat["const"]] if "const" in flat else flat["enum"]
            allowed = [value for value in values if _is_allowed(value, flat)]
            if not allowed:
                raise SchemaUnsupportedError(f"none of the values {values!r} satisfies the rest of its schema")
            return self._draws.choice(allowed)
        types = types_of(flat)
        if "null" in types and (depth >= _FULL_DEPTH or types == ("null",)):
            return None
        match next(name for name in types if name != "null"):
            case "object":
                return self._object(flat, depth)
            case "array":
                return self._array(flat, depth)
            case "string":
                return self._string(flat)
            case "integer" | "number" as name:
                return self._number(flat, whole=name == "integer")
            case "boolean":
                return self._draws.random() < 0.5
            case unknown:
                raise SchemaUnsupportedError(f"unknown type {unknown!r}")

    def _branch(self, flat: Schema, keyword: str, depth: int) -> Any:
        rest = {key: value for key, value in flat.items() if key != keyword}
        branches = [flatten(merge(rest, flatten(branch, self._root)), self._root) for branch in flat[keyword]]

        def order(branch: Schema) -> tuple[bool, bool]:
            null = types_of(branch) == ("null",)
            return (null, False) if depth < _FULL_DEPTH else (not null, types_of(branch)[0] in {"object", "array"})

        reasons: list[str] = []
        for branch in sorted(branches, key=order):
            try:
                if keyword == "oneOf":
                    others = [other for other in branches if other is not branch]
                    required = distinguishing_properties(branch, others, self._root)
                    return self.make(merge(branch, {"required": required}), depth + 1)
                return self.make(branch, depth + 1)
            except SchemaUnsupportedError as error:
                reasons.append(str(error))
        raise SchemaUnsupportedError("; ".join(dict.fromkeys(reasons)) or f'"{keyword}" is empty')

    def _object(self, flat: Schema, depth: int) -> dict[str, Any]:
        required: Sequence[str] = flat.get("required", ())
        named = [name for name, schema in flat.get("properties", {}).items() if schema is not False]
        optional = [name for name in named if name not in required] if depth < _FULL_DEPTH else []
        room = flat.get("maxProperties", math.inf) - len(required)
        chosen = [*required, *optional[: max(0, int(min(room, len(optional))))]]
        # Keep the order of the properties, as a model would write them.
        chosen.sort(key=lambda name: named.index(name) if name in named else len(named))
        made = {name: self.make(_property(flat, name), depth + 1) for name in dict.fromkeys(chosen)}
        open_map = isinstance(flat.get("additionalProperties"), Mapping) and not named and depth < _FULL_DEPTH
        wanted = max(flat.get("minProperties", 0), int(open_map and flat.get("maxProperties", 1) > 0))
        spare = [name for name in named if name not in made]
        for _ in range(_TRIES + wanted):
            if len(made) >= wanted:
                return made
            name = spare.pop(0) if spare else self._property_name(flat, len(made), depth)
            if name not in made:
                made[name] = self.make(_property(flat, name), depth + 1)
        raise SchemaUnsupportedError(f"{wanted} different property names were not found")

    def _property_name(self, flat: Schema, number: int, depth: int) -> str:
        if "propertyNames" in flat:
            return self.make({"allOf": [{"type": "string"}, flat["propertyNames"]]}, depth + 1)
        if flat.get("patternProperties"):
            return self._string({"pattern": next(iter(flat["patternProperties"]))})
        return f"key_{number}"

    def _array(self, flat: Schema, depth: int) -> list[Any]:
        items, prefix = _items(flat)
        least = flat.get("minItems", 0)
        wanted = max(least, 0 if depth >= _FULL_DEPTH else len(prefix) or 1)
        wanted = min(wanted, flat.get("maxItems", wanted), len(prefix) if items is False else wanted)
        if wanted < least:
            raise SchemaUnsupportedError(f"it requires {least} items and allows {wanted}")
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
                raise SchemaUnsupportedError(f"{wanted} different items were not found")
        return made

    def _string(self, flat: Schema) -> str:
        for _ in range(_TRIES):
            text = self._text(flat)
            if text is not None and _is_allowed(text, flat):
                return text
        keywords = {key: flat[key] for key in ("format", "pattern", "minLength", "maxLength") if key in flat}
        raise SchemaUnsupportedError(f"no text was found for {keywords}")

    def _text(self, flat: Schema) -> str | None:
        if flat.get("format") == "uuid":
            return str(uuid.UUID(int=self._draws.getrandbits(128), version=4))
        if flat.get("format") in _FORMATS:
            return _FORMATS[flat["format"]]
        if isinstance(flat.get("pattern"), str):
            return text_for(flat["pattern"], self._draws)
        least = flat.get("minLength", 0)
        if least > _MAX_VALUES:
            raise SchemaUnsupportedError(f"a text of {least} characters is too long")
        text = self._draws.choice(_WORDS)
        while len(text) < least:
            text += " " + self._draws.choice(_WORDS)
        text = text[: flat.get("maxLength")]
        # pydantic may strip a space at the end.
        return text[:-1] + "s" if text.endswith(" ") else text

    def _number(self, flat: Schema, *, whole: bool) -> int | float:
        low, high = _bounds(flat)
        step = Fraction(str(flat["multipleOf"])) if "multipleOf" in flat else None
        if whole:
            grid = Fraction((step or Fraction(1)).numerator)
        elif step is None:
            # Hundredths, or a finer grid if the bounds are too close.
            grid = Fraction(1, 100)
            while high > low and high - low < 4 * grid:
                grid /= 100
        else:
            grid = step
        first, last = math.ceil(low / grid), math.floor(high / grid)
        for _ in range(_TRIES if first <= last else 0):
            exact = self._draws.randint(first, last) * grid
            value = int(exact) if whole or exact.denominator == 1 else float(exact)
            if _is_allowed(value, flat):
                return value
        raise SchemaUnsupportedError(f"no number was found between {float(low):g} and {float(high):g}")


def _property(flat: Schema, name: str) -> object:
    """Return the schema of the property `name`, joined from all keywords that apply."""
    parts: list[object] = [flat["properties"][name]] if name in flat.get("properties", {}) else []
    parts += [schema for pattern, schema in flat.get("patternProperties", {}).items() if re.search(pattern, name)]
    if not parts:
        parts = [flat.get("additionalProperties", True)]
    if False in parts:
        raise SchemaUnsupportedError(f"it requires and forbids the property {name!r}")
    return parts[0] if len(parts) == 1 else {"allOf": parts}


def _items(flat: Schema) -> tuple[object, list[object]]:
    """Return the schema of the further items, and the schemas of the first ones."""
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
    # JSON has one number type: 1 and 1.0 are the same item.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(whole, sort_keys=True)


def _is_allowed(value: object, flat: Schema) -> bool:
    """Tell whether a scalar satisfies the keywords for its type."""
    if "type" in flat and not any(_is_type(value, name) for name in types_of(flat)):
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


def _is_type(value: object, name: str) -> bool:
    if name in {"number", "integer"}:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (name == "number" or float(cast("float", value)).is_integer())
    python = {"string": str, "boolean": bool, "null": type(None), "object": Mapping, "array": list}
    return isinstance(value, python.get(name, ()))
