"""Convert responses, chunks, vectors and errors to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from llmops_sdk import errors
from llmops_sdk.providers._types import (
    REASONING_BLOCKS,
    Chunk,
    Embeddings,
    Response,
    ToolCall,
    ToolCallDelta,
    Usage,
)

__all__ = ["decode_chunk", "decode_embeddings", "decode_error", "decode_response", "encode", "encode_error"]

# Fields of this process and its configuration, and the vendor's own object.
_NOT_RECORDED = frozenset({
    "raw", "attempts", "trace_id", "span_id", "parsed", "cache", "saved_cost", "simulated", "deployment", "rate_limits",
})  # fmt: skip
_ERROR_FIELDS = ("provider", "model", "status_code", "retry_after", "request_id", "should_retry")


def encode(value: Response | Chunk | Embeddings) -> dict[str, Any]:
    """Return the fields that are set, as JSON values."""
    encoded: dict[str, Any] = {}
    for field in fields(value):
        part = getattr(value, field.name)
        if field.name in _NOT_RECORDED or part in (None, "", (), [], Usage()):
            continue
        if isinstance(part, tuple):
            part = [_json_of(one) for one in cast("tuple[Any, ...]", part)]
        encoded[field.name] = _set_fields(part) if isinstance(part, Usage) else part
    return encoded


def _json_of(value: Any) -> dict[str, Any]:
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else _set_fields(value)


def _set_fields(value: Any) -> dict[str, Any]:
    pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: part for name, part in pairs if part not in (None, "") and not (part == 0 and name != "index")}


def decode_response(recorded: Mapping[str, Any]) -> Response:
    """Return a recorded whole answer, marked as simulated because no model answers now."""
    calls = tuple(
        ToolCall(**{"id": "", "name": "", "arguments": "", **call}) for call in recorded.get("tool_calls", ())
    )
    usage = Usage(**recorded.get("usage", {}))
    return Response(**_known_fields(Response, recorded), tool_calls=calls, usage=usage, simulated=True)


def decode_chunk(recorded: Mapping[str, Any]) -> Chunk:
    """Return a recorded chunk."""
    calls = tuple(ToolCallDelta(**call) for call in recorded.get("tool_calls", ()))
    usage = Usage(**recorded["usage"]) if "usage" in recorded else None
    return Chunk(**_known_fields(Chunk, recorded), tool_calls=calls, usage=usage, simulated=True)


def decode_embeddings(recorded: Mapping[str, Any]) -> Embeddings:
    """Return recorded vectors."""
    usage = Usage(**recorded.get("usage", {}))
    return Embeddings(**_known_fields(Embeddings, recorded), usage=usage, simulated=True)


def _known_fields(result: type[Response | Chunk | Embeddings], recorded: Mapping[str, Any]) -> dict[str, Any]:
    # A later version may have written fields that this version does not know.
    known = {field.name for field in fields(result)} - _NOT_RECORDED - {"tool_calls", "usage"}
    values = {name: value for name, value in recorded.items() if name in known}
    return {name: tuple(value) if name in REASONING_BLOCKS else value for name, value in values.items()}


def encode_error(error: errors.ProviderError) -> dict[str, Any]:
    """Return an error of a provider as JSON values."""
    named = {name: getattr(error, name) for name in _ERROR_FIELDS}
    set_fields = {name: value for name, value in named.items() if value is not None}
    return {"type": type(error).__name__, "message": str(error), **set_fields}


def decode_error(recorded: Mapping[str, Any]) -> errors.ProviderError:
    """Return a recorded error, of its class."""
    found = getattr(errors, str(recorded.get("type")), None)
    known = isinstance(found, type) and issubclass(found, errors.ProviderError)
    error_class = cast("type[errors.ProviderError]", found) if known else errors.ProviderError
    details = {name: recorded[name] for name in _ERROR_FIELDS if name in recorded}
    return error_class(str(recorded.get("message", "")), **details)
