"""Flatten JSON schemas: resolve references, merge `allOf`, and distinguish the branches of `oneOf`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

__all__ = ["Schema", "SchemaUnsupportedError", "distinguishing_properties", "flatten", "merge", "types_of"]

Schema: TypeAlias = dict[str, Any]

_ANNOTATIONS = frozenset({
    "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "discriminator",
    "$comment", "$schema", "$id", "$anchor", "$defs", "definitions", "contentMediaType", "contentEncoding",
})  # fmt: skip
_UNSUPPORTED = (
    "not", "if", "dependentSchemas", "dependentRequired", "dependencies", "contains", "unevaluatedProperties",
    "unevaluatedItems", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
_HINTS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_ALL_TYPES = ("string", "number", "integer", "object", "array", "boolean", "null")


class SchemaUnsupportedError(ValueError):
    """The schema allows no instance, or uses an unsupported keyword."""


def flatten(schema: object, root: Mapping[str, Any]) -> Schema:
    """Return `schema` without `$ref` and `allOf` at its top.

    Raises:
        SchemaUnsupportedError: A reference is broken or circular, or the parts contradict each other.
    """
    seen: list[str] = []
    flat = _as_schema(schema)
    while "$ref" in flat or "allOf" in flat:
        rest = {key: value for key, value in flat.items() if key not in {"$ref", "allOf"}}
        parts = [_as_schema(part) for part in flat.get("allOf", ())]
        if "$ref" in flat:
            reference = str(flat["$ref"])
            if seen.count(reference) > 8:
                raise SchemaUnsupportedError(f"$ref {reference!r} is circular")
            seen.append(reference)
            parts.append(_as_schema(_resolve(reference, root)))
        for part in parts:
            rest = merge(rest, part)
        flat = rest
    for keyword in _UNSUPPORTED:
        if keyword in flat:
            raise SchemaUnsupportedError(f'the keyword "{keyword}" is not supported')
    return flat


def _as_schema(schema: object) -> Schema:
    if schema is True:
        return {}
    if isinstance(schema, Mapping):
        return dict(cast("Mapping[str, Any]", schema))
    raise SchemaUnsupportedError(
        "the schema `false` allows nothing" if schema is False else f"not a schema: {schema!r}"
    )


def _resolve(reference: str, root: Mapping[str, Any]) -> object:
    if not reference.startswith("#"):
        raise SchemaUnsupportedError(f"$ref {reference!r} points outside the schema")
    found: object = root
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = cast("Mapping[str, object]", found)[key]
        elif isinstance(found, list) and key.isdigit() and int(key) < len(cast("list[object]", found)):
            found = cast("list[object]", found)[int(key)]
        else:
            raise SchemaUnsupportedError(f"$ref {reference!r} points to a missing part of the schema")
    return found


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> Schema:
    """Return a schema whose instances satisfy both."""
    merged = dict(first)
    for key, value in second.items():
        if key not in merged or merged[key] == value or key in _ANNOTATIONS:
            merged[key] = value
        elif key in _COMBINE:
            merged[key] = _COMBINE[key](merged[key], value)
        else:
            raise SchemaUnsupportedError(f'two values of "{key}" cannot be joined')
    if first.get("properties") != second.get("properties"):
        _drop_forbidden_properties(merged, first, second)
    return merged


def _drop_forbidden_properties(merged: Schema, *parts: Mapping[str, Any]) -> None:
    """Remove properties that a closed part does not name."""
    for part in parts:
        further = part.get("additionalProperties", True)
        if isinstance(further, Mapping) and "properties" in merged:
            raise SchemaUnsupportedError('"additionalProperties" cannot be joined with the properties of another part')
        if further is False and not part.get("patternProperties"):
            named = part.get("properties", {})
            merged["properties"] = {k: v for k, v in merged.get("properties", {}).items() if k in named}


def _both(first: object, second: object) -> object:
    return False if first is False or second is False else {"allOf": [first, second]}


def _union(first: list[Any], second: list[Any]) -> list[Any]:
    return [*first, *(item for item in second if item not in first)]


def _common(first: list[Any], second: list[Any]) -> list[Any]:
    common = [item for item in first if item in second]
    if not common:
        raise SchemaUnsupportedError('two lists of "enum" have nothing in common')
    return common


def _common_types(first: str | list[str], second: str | list[str]) -> list[str]:
    one, two = ([types] if isinstance(types, str) else types for types in (first, second))
    common = [name for name in one if name in two or (name == "integer" and "number" in two)]
    if "integer" in two and "number" in one and "integer" not in common:
        common.append("integer")
    if not common:
        raise SchemaUnsupportedError(f"the types {first!r} and {second!r} have nothing in common")
    return common


def _properties(first: Mapping[str, Any], second: Mapping[str, Any]) -> Schema:
    shared = {name: _both(first[name], second[name]) for name in first.keys() & second.keys()}
    return {**first, **second, **shared}


_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "required": _union,
    "allOf": lambda first, second: [*first, *second],
    "enum": _common,
    "type": _common_types,
    "properties": _properties,
    "patternProperties": _properties,
    "items": _both,
    "additionalProperties": _both,
    "propertyNames": _both,
    "uniqueItems": lambda first, second: first or second,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a flat schema allows, likeliest first; without "type", guess from the other keywords."""
    named = schema.get("type")
    if isinstance(named, str):
        return (named,)
    if isinstance(named, list):
        return tuple(cast("list[str]", named))
    guesses = (name for name, keywords in _HINTS.items() if any(keyword in schema for keyword in keywords))
    return next(((name,) for name in guesses), _ALL_TYPES)


def _values(schema: object, root: Mapping[str, Any]) -> list[Any] | None:
    if not isinstance(schema, Mapping):
        return None
    flat = flatten(cast("Schema", schema), root)
    return [flat["const"]] if "const" in flat else flat.get("enum")


def _disjoint(first: list[Any] | None, second: list[Any] | None) -> bool:
    return first is not None and second is not None and not any(value in second for value in first)


def distinguishing_properties(chosen: Mapping[str, Any], others: list[Schema], root: Mapping[str, Any]) -> list[str]:
    """Return the properties that an instance of `chosen` needs in order not to match any of `others`.

    Raises:
        SchemaUnsupportedError: An instance of `chosen` may match another branch too.
    """
    names: list[str] = []
    for other in others:
        one, two = ({"number" if name == "integer" else name for name in types_of(flat)} for flat in (chosen, other))
        explicit = "type" in chosen and "type" in other
        if (explicit and not one & two) or _disjoint(_values(chosen, root), _values(other, root)):
            continue
        mine, theirs = chosen.get("properties", {}), other.get("properties", {})
        shared = (name for name in mine if name in theirs)
        apart = (name for name in shared if _disjoint(_values(mine[name], root), _values(theirs[name], root)))
        if (found := next(apart, None)) is None:
            raise SchemaUnsupportedError('two branches of "oneOf" may match the same value')
        names.append(found)
    return names
