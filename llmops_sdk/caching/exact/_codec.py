"""Entries as bytes: JSON with a version, read back with every type checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson

from llmops_sdk.providers import Response, ToolCall, Usage
from llmops_sdk.providers._types import REASONING_BLOCKS

__all__ = ["FORMAT_VERSION", "Entry", "read_entry", "read_response", "write_entry", "write_response"]

FORMAT_VERSION = 1
"""The version of the stored format; entries of another version are not read."""

_TEXTS = ("text", "model", "provider", "reasoning")
_TEXTS_OR_NONE = ("finish_reason", "response_id")
_COUNTS = {"input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens", "cache_creation_tokens"}
_STORED = ("text", "tool_calls", "usage", "cost", "model", "provider", "finish_reason", "response_id", "reasoning")


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored value.

    Attributes:
        payload: JSON-like data.
        stored_at: Seconds since the epoch.
        expires_at: Seconds since the epoch, or None for no limit.
    """

    payload: Any
    stored_at: float
    expires_at: float | None


def write_entry(entry: Entry) -> bytes | None:
    """Return an entry as bytes, or None when it is not JSON (a lone surrogate, an integer of more than 64 bits)."""
    try:
        return orjson.dumps(
            {"v": FORMAT_VERSION, "at": entry.stored_at, "until": entry.expires_at, "payload": entry.payload},
            option=orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME,
        )
    except orjson.JSONEncodeError:
        return None


def read_entry(data: bytes) -> Entry | None:
    """Return the entry in bytes, or None for bytes that this version did not write."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    match found:
        case {"v": version, "at": float() as at, "until": float() | None as until, "payload": payload}:
            return Entry(payload, at, until) if version == FORMAT_VERSION else None
        case _:
            return None


def write_response(response: Response) -> dict[str, Any]:
    """Return the stored part of an answer: all but the vendor's object, the attempts and the trace's ids."""
    return {
        **{name: getattr(response, name) for name in _STORED},
        "tool_calls": [asdict(call) for call in response.tool_calls],
        "usage": asdict(response.usage),
        "simulated": response.simulated,
        **{name: list(getattr(response, name)) for name in REASONING_BLOCKS},
    }


def read_response(payload: Any) -> Response | None:
    """Return the stored answer, or None when a field is missing or of another type."""
    if not isinstance(payload, dict):
        return None
    found = cast("dict[str, Any]", payload)
    usage, calls, cost = found.get("usage"), found.get("tool_calls"), found.get("cost")
    if not (
        all(type(found.get(name)) is str for name in _TEXTS)
        and all(found.get(name) is None or type(found[name]) is str for name in _TEXTS_OR_NONE)
        and type(found.get("simulated")) is bool
        and (cost is None or type(cost) in (int, float))
        and _is_record(usage, _COUNTS, int)
        and isinstance(calls, list)
        and all(_are_objects(found.get(name)) for name in REASONING_BLOCKS)
        and all(_is_record(call, {"id", "name", "arguments"}, str) for call in cast("list[Any]", calls))
    ):
        return None
    plain: dict[str, Any] = {name: found.get(name) for name in (*_TEXTS, *_TEXTS_OR_NONE, "cost", "simulated")}
    plain |= {name: tuple(found[name]) for name in REASONING_BLOCKS}
    return Response(
        **plain,
        usage=Usage(**cast("dict[str, int]", usage)),
        tool_calls=tuple(ToolCall(**call) for call in cast("list[dict[str, str]]", calls)),
    )


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in cast("list[Any]", value))


def _is_record(value: Any, names: set[str], value_type: type) -> bool:
    if not isinstance(value, dict):
        return False
    record = cast("dict[str, Any]", value)
    return record.keys() == names and all(type(item) is value_type for item in record.values())
