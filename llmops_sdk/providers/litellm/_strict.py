"""Bring JSON schemas into the form that strict structured output takes, where the meaning stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["strict_schema"]

# Keywords that say nothing about the value, and that strict mode refuses.
_ANNOTATIONS = frozenset({
    "$comment", "$id", "$schema", "default", "deprecated", "discriminator", "examples", "readOnly", "writeOnly",
})  # fmt: skip
_KEYWORDS = frozenset({
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum",
    "exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern",
    "properties", "required", "title", "type",
})  # fmt: skip
_FORMATS = frozenset({
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid",
})  # fmt: skip
_SAYS_THE_TYPE = frozenset({"$ref", "anyOf", "const", "enum", "type"})
_MAX_DEPTH = 100


class _NotStrictError(Exception):
    """Strict mode cannot express a part of the schema."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a schema that OpenAI's strict mode accepts, or None if there is none with the same meaning.

    Objects are closed, and all of their properties required. A property with a default, or one that may be null or an
    empty list, can be required: the model then writes it out.
    """
    try:
        strict = _strict(schema, 0)
    except _NotStrictError:
        return None
    return strict if strict.get("type") == "object" and "properties" in strict else None


def _strict(schema: object, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        raise _NotStrictError
    values = dict(cast("Mapping[str, Any]", schema))
    if "oneOf" in values and "anyOf" not in values:  # a discriminated union
        values["anyOf"] = values.pop("oneOf")
    kept = {key: value for key, value in values.items() if key not in _ANNOTATIONS}
    if not kept.keys() <= _KEYWORDS or kept.keys().isdisjoint(_SAYS_THE_TYPE):
        raise _NotStrictError
    if "format" in kept and kept["format"] not in _FORMATS:
        raise _NotStrictError
    for key in ("$defs", "properties"):
        if key in kept:
            kept[key] = {name: _strict(item, depth + 1) for name, item in kept[key].items()}
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(item, depth + 1) for item in kept["anyOf"]]
    if "items" in kept:
        kept["items"] = _strict(kept["items"], depth + 1)
    elif kept.get("type") == "array":
        raise _NotStrictError
    if kept.get("type") == "object":
        _close(kept, values)
    if "$ref" in kept and len(kept) > 1 and depth:  # strict mode takes no keywords beside a reference
        kept = {"anyOf": [{"$ref": kept.pop("$ref")}], **kept}
    return kept


def _close(kept: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Close an object, and require all of its properties."""
    if values.get("additionalProperties", False) is not False or "properties" not in values:
        raise _NotStrictError
    required = set(values.get("required", ()))
    for name, item in values["properties"].items():
        if name not in required and not _may_be_required(item):
            raise _NotStrictError
    kept["additionalProperties"] = False
    kept["required"] = list(values["properties"])


def _may_be_required(schema: Mapping[str, Any]) -> bool:
    types = [schema, *schema.get("anyOf", ())]
    empty = schema.get("type") == "array" and not schema.get("minItems")
    return "default" in schema or empty or any(one.get("type") == "null" for one in types)
