"""JSON schemas made flat: references resolved, `allOf` merged, branches told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

__all__ = ["Schema", "SchemaUnsupportedError", "flatten", "merge", "telling_apart", "types_of"]

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
    """The schema has a construct that no instance is made for, or allows no instance."""


def flatten(schema: object, root: Mapping[str, Any]) -> Schema:
    """`schema` without `$ref` and `allOf` at its top.

    Raises:
        SchemaUnsupportedError: A reference leads nowhere or in a circle, or the parts contradict each other.
    """
    seen: list[str] = []
    flat = _as_schema(schema)
    while "$ref" in flat or "allOf" in flat:
        rest = {key: value for key, value in flat.items() if key not in {"$ref", "allOf"}}
        parts = [_as_schema(part) for part in flat.get("allOf", ())]
        if "$ref" in flat:
            reference = str(flat["$ref"])
            if seen.count(reference) > 8:
                raise SchemaUnsupportedError(f"$ref {reference!r} leads in a circle")
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
            raise SchemaUnsupportedError(f"$ref {reference!r} leads nowhere")
    return found


def merge(first: Mapping[str, Any], second: Mapping[str, Any]) -> Schema:
    """A schema whose instances satisfy both."""
    merged = dict(first)
    for key, value in second.items():
        if key not in merged or merged[key] == value or key in _ANNOTATIONS:
            merged[key] = value
        elif key in _COMBINE:
            merged[key] = _COMBINE[key](merged[key], value)
        else:
            raise SchemaUnsupportedError(f'two values of "{key}" cannot be joined')
    if first.get("properties") != second.get("properties"):
        _close(merged, first, second)
    return merged


def _close(merged: Schema, *parts: Mapping[str, Any]) -> None:
    """What a part that allows no further properties does not name, the whole does not have either."""
    for part in parts:
        further = part.get("additionalProperties", True)
        if isinstance(further, Mapping) and "properties" in merged:
            raise SchemaUnsupportedError('"additionalProperties" beside the properties of another part')
        if further is False and not part.get("patternProperties"):
            named = part.get("properties", {})
            merged["properties"] = {k: v for k, v in merged.get("properties", {}).items() if k in named}


def _both(first: object, second: object) -> object:
    if first is False or second is False:
        return False
    return {"allOf": [first, second]}


def _union(first: list[Any], second: list[Any]) -> list[Any]:
    return [*first, *(item for item in second if item not in first)]


def _common(first: list[Any], second: list[Any]) -> list[Any]:
    kept = [item for item in first if item in second]
    if not kept:
        raise SchemaUnsupportedError('two lists of "enum" have nothing in common')
    return kept


def _common_types(first: str | list[str], second: str | list[str]) -> list[str]:
    one, two = ([kinds] if isinstance(kinds, str) else kinds for kinds in (first, second))
    kept = [kind for kind in one if kind in two or (kind == "integer" and "number" in two)]
    if "integer" in two and "number" in one and "integer" not in kept:
        kept.append("integer")
    if not kept:
        raise SchemaUnsupportedError(f"the types {first!r} and {second!r} have nothing in common")
    return kept


def _properties(first: Mapping[str, Any], second: Mapping[str, Any]) -> Schema:
    joined = {**first, **second}
    return {name: _both(first[name], second[name]) if name in first and name in second else joined[name]
            for name in joined}  # fmt: skip


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
    """The types that a flat schema allows, the likeliest first; guessed from its keywords when it names none."""
    named = schema.get("type")
    if isinstance(named, str):
        return (named,)
    if isinstance(named, list):
        return tuple(cast("list[str]", named))
    for kind, keywords in _HINTS.items():
        if any(keyword in schema for keyword in keywords):
            return (kind,)
    return _ALL_TYPES


def _values(schema: object, root: Mapping[str, Any]) -> list[Any] | None:
    if not isinstance(schema, Mapping):
        return None
    flat = flatten(cast("Schema", schema), root)
    return [flat["const"]] if "const" in flat else flat.get("enum")


def _disjoint(first: list[Any] | None, second: list[Any] | None) -> bool:
    return first is not None and second is not None and not any(value in second for value in first)


def telling_apart(chosen: Mapping[str, Any], others: list[Schema], root: Mapping[str, Any]) -> list[str]:
    """The properties that an instance of `chosen` must have so that it is an instance of none of `others`.

    Raises:
        SchemaUnsupportedError: Nothing tells them apart.
    """
    names: list[str] = []
    for other in others:
        one, two = ({"number" if kind == "integer" else kind for kind in types_of(flat)} for flat in (chosen, other))
        explicit = "type" in chosen and "type" in other
        if (explicit and not one & two) or _disjoint(_values(chosen, root), _values(other, root)):
            continue
        mine, theirs = chosen.get("properties", {}), other.get("properties", {})
        for name in mine:
            if name in theirs and _disjoint(_values(mine[name], root), _values(theirs[name], root)):
                names.append(name)
                break
        else:
            raise SchemaUnsupportedError('branches of "oneOf" that nothing tells apart')
    return names
