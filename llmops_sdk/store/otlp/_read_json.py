"""Read OTLP in JSON, both as specified and as senders write it.

Ids are hex, or base64 where protobuf's own JSON mapping was used; names are camelCase or snake_case; integers of 64
bits are text or numbers; enums are numbers or names.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import orjson

from llmops_sdk.store.otlp._wire import MAX_DEPTH, Group, MalformedError, WireLog, WireSpan, checked_id, checked_time
from llmops_sdk.tracing.privacy._secrets import CUT

__all__ = ["JsonReader", "load_json"]

_KINDS = {"unspecified": 0, "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_CODES = {"unset": 0, "ok": 1, "error": 2}
_SCALARS = {
    "stringValue": "string",
    "string_value": "string",
    "boolValue": "bool",
    "bool_value": "bool",
    "intValue": "int",
    "int_value": "int",
    "doubleValue": "double",
    "double_value": "double",
    "bytesValue": "bytes",
    "bytes_value": "bytes",
}


def load_json(body: bytes) -> Any:
    """Load a JSON text. It may have NaN, lone surrogates and long integers; later stages handle them.

    Raises:
        MalformedError: The text is not valid JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"invalid JSON ({error})") from error


class JsonReader:
    """Reads requests in JSON and ignores unknown fields."""

    def __init__(self) -> None:
        self.losses: Counter[tuple[str, str]] = Counter()

    def spans(self, body: bytes) -> Iterator[Group]:
        """Yield the groups of a traces request."""
        return self.spans_in(load_json(body))

    def logs(self, body: bytes) -> Iterator[Group]:
        """Yield the groups of a logs request."""
        return self.logs_in(load_json(body))

    def spans_in(self, request: Any) -> Iterator[Group]:
        """Yield the groups of a loaded traces request."""
        return self._groups(request, "resourceSpans", "scopeSpans", "spans")

    def logs_in(self, request: Any) -> Iterator[Group]:
        """Yield the groups of a loaded logs request."""
        return self._groups(request, "resourceLogs", "scopeLogs", "logRecords")

    def _groups(self, request: Any, outer: str, middle: str, inner: str) -> Iterator[Group]:
        for number, group in enumerate(_list(_object(request, "the request"), outer)):
            where = f"{outer}[{number}]"
            pieces = _object(group, where)
            described = _object(pieces.get("resource") or {}, f"{where}.resource")
            resource = self._attributes(described, f"{where}.resource")
            # Before 0.19 of the protocol a scope was called an instrumentation library.
            scopes = _list(pieces, middle) or _list(pieces, middle.replace("scope", "instrumentationLibrary"))
            for position, scoped in enumerate(scopes):
                inside = f"{where}.{middle}[{position}]"
                held = _object(scoped, inside)
                scope = _object(held.get("scope") or held.get("instrumentationLibrary") or {}, f"{inside}.scope")
                yield Group(f"{inside}.{inner}", resource, _text(scope, "name"), _list(held, inner))

    def span(self, item: Any) -> WireSpan:
        """Read a span's object."""
        span = _object(item, "it")
        status = _object(span.get("status") or {}, "status")
        return WireSpan(
            trace_id=checked_id(_id(span, "traceId", 16), "traceId"),
            span_id=checked_id(_id(span, "spanId", 8), "spanId"),
            parent_id=_id(span, "parentSpanId", 8),
            name=_text(span, "name"),
            kind=_enum(span, "kind", _KINDS),
            start_ns=_time(span, "startTimeUnixNano"),
            end_ns=_time(span, "endTimeUnixNano"),
            attributes=self._attributes(span, "the span"),
            events=[
                (_text(event, "name"), _time(event, "timeUnixNano"), self._attributes(event, "an event"))
                for event in (_object(one, "an event") for one in _list(span, "events"))
            ],
            links=[
                (_id(link, "traceId", 16), _id(link, "spanId", 8), self._attributes(link, "a link"))
                for link in (_object(one, "a link") for one in _list(span, "links"))
            ],
            status=_enum(status, "code", _CODES),
            message=None if status.get("message") is None else _text(status, "message"),
        )

    def log(self, item: Any) -> WireLog:
        """Read a log record's object."""
        log = _object(item, "it")
        return WireLog(
            trace_id=_id(log, "traceId", 16),
            span_id=_id(log, "spanId", 8),
            time_ns=_time(log, "timeUnixNano") or _time(log, "observedTimeUnixNano"),
            event=_text(log, "eventName"),
            attributes=self._attributes(log, "the record"),
            body=self._value(log.get("body"), "the body", 0),
        )

    def _attributes(
        self, holder: dict[str, Any], where: str, depth: int = 0, name: str = "attributes"
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for pair in _list(holder, name):
            held = _object(pair, f"an attribute of {where}")
            key = _text(held, "key")
            made[key] = self._value(held.get("value"), key, depth)
        return made

    def _value(self, value: Any, key: str, depth: int) -> Any:
        if value is None:
            return None
        pieces = _object(value, f"the value of {key[:100]!r}")
        for name, found in pieces.items():
            scalar = _SCALARS.get(name)
            if scalar is not None:
                return _scalar(scalar, found, key)
            if name in ("arrayValue", "array_value", "kvlistValue", "kvlist_value"):
                if depth >= MAX_DEPTH:
                    self.losses["attribute", "too_deep"] += 1
                    return CUT
                held = _object(found, f"the value of {key[:100]!r}")
                if name.startswith("array"):
                    return [self._value(item, key, depth + 1) for item in _list(held, "values")]
                return self._attributes(held, key[:100], depth + 1, "values")
        return None


def _scalar(value_type: str, found: Any, key: str) -> Any:
    if value_type == "double" and not isinstance(found, bool):
        if isinstance(found, (int, float)):
            return float(found)
        if isinstance(found, str) and len(found) < 400:
            try:
                return float(found)  # "NaN", "Infinity", or a number as text
            except ValueError:
                pass
    elif value_type == "int":
        return _integer(found, f"intValue of {key[:100]!r}")
    elif (value_type == "bool" and isinstance(found, bool)) or (
        value_type in ("string", "bytes") and isinstance(found, str)
    ):
        return found
    raise MalformedError(f"the value of {key[:100]!r} is not of type {value_type}: {str(found)[:100]!r}")


def _get(holder: dict[str, Any], name: str) -> Any:
    found = holder.get(name)
    return holder.get(_snake(name)) if found is None else found


@cache
def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not an object but {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _list(holder: dict[str, Any], name: str) -> list[Any]:
    found = _get(holder, name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise MalformedError(f"{name} is not a list but {type(found).__name__}")
    return cast("list[Any]", found)


def _text(holder: dict[str, Any], name: str) -> str:
    found = _get(holder, name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise MalformedError(f"{name} is not a string: {str(found)[:100]!r}")
    return found


def _integer(found: Any, what: str) -> int:
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if isinstance(found, str) and len(found) <= 40:
        try:
            return int(found)
        except ValueError:
            pass
    raise MalformedError(f"{what} is not an integer: {str(found)[:100]!r}")


def _time(holder: dict[str, Any], name: str) -> int:
    found = _get(holder, name)
    return 0 if found is None else checked_time(_integer(found, name), name)


def _enum(holder: dict[str, Any], name: str, known: dict[str, int]) -> int:
    found = _get(holder, name)
    if isinstance(found, str) and not found.isdecimal():
        # SPAN_KIND_CLIENT, STATUS_CODE_ERROR
        return known.get(found.rpartition("_")[2].lower(), 0)
    return 0 if found is None else _integer(found, name)


def _id(holder: dict[str, Any], name: str, length: int) -> int:
    text = _text(holder, name)
    try:
        raw = bytes.fromhex(text) if len(text) == 2 * length else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raw = b"?"
    if len(raw) not in (length, 0):
        raise MalformedError(f"{name} is not {2 * length} hex digits: {text[:100]!r}")
    return int.from_bytes(raw, "big")
