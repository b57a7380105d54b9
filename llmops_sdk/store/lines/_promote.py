"""Move attribute values into columns and back, as `schema.SPAN_COLUMNS` says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.store.lines._sanitize import not_finite
from llmops_sdk.store.schema._views import SPAN_COLUMNS, StoredColumn
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import Json, is_json

__all__ = ["ATTRIBUTE_COLUMNS", "KNOWN", "MOVED", "as_json", "attribute_value", "one_line", "plain_value", "promote"]

_MAX_DEPTH = 32
_PLAIN = frozenset({str, int, bool, type(None)})
_MAX_INT = 2**63 - 1
_MIN_INT = -(2**63)

# Older attributes with content move into their column, since they may be large. Other older attributes also stay among
# the attributes, under their library's name.
MOVED = frozenset(
    {
        "input.value",
        "output.value",
        "traceloop.entity.input",
        "traceloop.entity.output",
        sc.TOOL_ARGUMENTS,
        sc.TOOL_RESULT,
        sc.RETRIEVAL_QUERY,
        sc.RETRIEVAL_DOCUMENTS,
    }
)


def _text(value: Any) -> str | None:
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and _MIN_INT <= value <= _MAX_INT:
        return int(value)
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    return None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> list[str] | None:
    if not isinstance(value, (list, tuple)):
        return None
    items = cast("Sequence[Any]", value)
    return list(items) if all(isinstance(item, str) for item in items) else None


def _milliseconds(value: Any) -> float | None:
    seconds = _number(value)
    return None if seconds is None else seconds * 1000


def _first(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        return _text(items[0]) if len(items) == 1 else None
    return _text(value)


def as_json(value: Any) -> Any:
    """Return JSON unchanged, a string if it is valid JSON, or a list or mapping; else None."""
    if isinstance(value, bytes):
        return orjson.Fragment(one_line(value)) if type(value) is Json or is_json(value) else None
    if isinstance(value, (list, tuple, Mapping)):
        return plain_value(value)
    if isinstance(value, str):
        try:
            return orjson.Fragment(orjson.dumps(orjson.loads(value)))
        except orjson.JSONDecodeError:
            return None
    return None


def _payload(value: Any) -> Any:
    # OpenInference and Traceloop put JSON or plain text into the same attribute.
    if isinstance(value, str):
        return (as_json(value) if value[:1] in ("{", "[") else None) or value
    return as_json(value)


def _own(_value: Any) -> None:
    return None


CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _integer,
    "DOUBLE": _number,
    "BOOLEAN": _flag,
    "VARCHAR[]": _texts,
    "JSON": as_json,
    "milliseconds": _milliseconds,
    "first": _first,
    "own": _own,
}


def _converter(column: StoredColumn, attribute: str) -> Callable[[Any], Any]:
    return _payload if attribute in MOVED else CONVERTERS[column.convert or column.type]


KNOWN: Mapping[str, tuple[str, Callable[[Any], Any], int]] = {
    attribute: (column.name, _converter(column, attribute), rank)
    for column in SPAN_COLUMNS
    for rank, attribute in enumerate(column.attributes)
    if attribute and column.convert != "own"
}
"""Column, converter and rank of each known attribute. Rank 0 is the current name; the others are older."""

_get = KNOWN.get


ATTRIBUTE_COLUMNS: Mapping[str, StoredColumn] = {
    column.name: column
    for column in SPAN_COLUMNS
    if column.attributes and column.attributes[0] and column.convert != "own"
}
"""The columns that an attribute fills, by name."""


def attribute_value(column: StoredColumn, value: Any) -> Any:
    """Return the attribute value that `promote` turns into this column's value."""
    if column.convert == "milliseconds":
        return value / 1000
    return [value] if column.convert == "first" else value


def one_line(value: bytes) -> bytes:
    """Replace line breaks between JSON tokens (inside strings they are escaped): they would tear our line."""
    if b"\n" in value or b"\r" in value:
        return value.replace(b"\n", b" ").replace(b"\r", b" ")
    return value if type(value) is bytes else bytes(value)  # a fragment takes no subclass


def promote(row: dict[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the columns of `row` from the known attributes, and return the other attributes, ready to write.

    A value of the wrong type stays among the other attributes. If two vocabularies fill one column, the newer wins.
    """
    rest: dict[str, Any] = {}
    older: list[tuple[int, str, Any, str]] | None = None
    for key, value in attributes.items():
        known = _get(key)
        if known is None:
            value_type = cast("type[object]", type(value))
            plain = value_type is str or value_type is int or value_type is bool
            rest[key] = value if plain else plain_value(value)
            continue
        column, convert, rank = known
        converted = convert(value)
        if converted is None:
            rest[key] = plain_value(value)
        elif rank == 0:
            row[column] = converted
        else:
            older = older or []
            older.append((rank, column, converted, key))
            if key not in MOVED:
                rest[key] = plain_value(value)
    if older:
        older.sort(key=lambda entry: entry[0])
        taken = [row.setdefault(column, converted) is converted for _, column, converted, _ in older]
        rest.update(
            {
                key: converted
                for (_, _, converted, key), was in zip(older, taken, strict=True)
                if not was and key in MOVED
            }
        )
    return rest


def plain_value(value: Any, depth: int = 0) -> Any:
    """Return a value that orjson writes without loss: JSON unchanged, NaN and infinities as text, bytes described."""
    if isinstance(value, bytes):
        trusted = type(value) is Json or (depth == 0 and is_json(value))
        return orjson.Fragment(one_line(value) if trusted else encode(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else not_finite(value)
    if depth >= _MAX_DEPTH:
        return value  # the sanitizer cuts it
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        if all(type(item) in _PLAIN for item in items):
            return items
        return [plain_value(item, depth + 1) for item in items]
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {key: plain_value(item, depth + 1) for key, item in pairs}
    return value
