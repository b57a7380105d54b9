"""Which attribute fills which column, and how its value becomes the column's. Made from `schema.SPAN_COLUMNS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.store.lines._plain import not_finite
from llmops_sdk.store.schema._views import SPAN_COLUMNS, StoredColumn

__all__ = ["KNOWN", "MOVED", "as_json", "one_line", "plain_value", "promote"]

_MAX_INT = 2**63 - 1
_MIN_INT = -(2**63)

# What an attribute of an older vocabulary holds is moved when it is content, since it may be large; the others stay
# among the attributes too, under the name that their library gave them.
MOVED = frozenset({"input.value", "output.value", "traceloop.entity.input", "traceloop.entity.output"})


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


def as_json(value: Any) -> orjson.Fragment | None:
    """JSON kept as it is from bytes, or checked from a string; None when it is not JSON."""
    if isinstance(value, bytes):
        return orjson.Fragment(one_line(value))
    if isinstance(value, str):
        try:
            return orjson.Fragment(orjson.dumps(orjson.loads(value)))
        except orjson.JSONDecodeError:
            return None
    return None


def _payload(value: Any) -> orjson.Fragment | str | None:
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


def _converter(key: StoredColumn, attribute: str) -> Callable[[Any], Any]:
    return _payload if attribute in MOVED else CONVERTERS[key.convert or key.type]


KNOWN: Mapping[str, tuple[str, Callable[[Any], Any], int]] = {
    attribute: (key.name, _converter(key, attribute), rank)
    for key in SPAN_COLUMNS
    for rank, attribute in enumerate(key.attributes)
    if attribute and key.convert != "own"
}
"""Column, conversion and rank of each known attribute; rank 0 is the name in force, the others are older ones."""

_get = KNOWN.get


def one_line(value: bytes) -> bytes:
    """JSON on one line: a line break between its tokens (inside a string it is escaped) would tear ours."""
    if b"\n" in value or b"\r" in value:
        return value.replace(b"\n", b" ").replace(b"\r", b" ")
    return value


def promote(row: dict[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the columns of `row` from the known attributes; the rest is returned, as it is to be written.

    A value that does not fit its column stays with the rest, so that nothing is lost by a wrong type. Where two
    vocabularies fill one column, the newer wins.
    """
    rest: dict[str, Any] = {}
    older: list[tuple[int, str, Any, str]] | None = None
    for key, value in attributes.items():
        known = _get(key)
        if known is None:
            kind = cast("type[object]", type(value))
            rest[key] = value if kind is str or kind is int or kind is bool else plain_value(value)
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


def plain_value(value: Any) -> Any:
    """A value as orjson writes it without loss: JSON bytes as they are, NaN and infinities as text."""
    if isinstance(value, bytes):
        return orjson.Fragment(one_line(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else not_finite(value)
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[Any]", value)
        return [plain_value(item) for item in items] if any(isinstance(item, float) for item in items) else items
    return value
