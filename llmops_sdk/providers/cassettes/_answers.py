"""What came of a call, as JSON and back: responses, chunks with their times, vectors, errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from llmops_sdk import errors
from llmops_sdk.providers._types import Chunk, Embeddings, Response, ToolCall, ToolCallDelta, Usage

__all__ = ["chunk_of", "embeddings_of", "error_of", "plain", "plain_error", "response_of"]

# What is this process's own, or a vendor's object.
_OWN = frozenset({"raw", "attempts", "trace_id", "span_id", "parsed", "cache", "saved_cost", "simulated"})
_ERROR_FIELDS = ("provider", "model", "status_code", "retry_after", "request_id")


def plain(made: Response | Chunk | Embeddings) -> dict[str, Any]:
    """The fields that are set, as JSON has them."""
    found: dict[str, Any] = {}
    for field in fields(made):
        value = getattr(made, field.name)
        if field.name in _OWN or value in (None, "", (), [], Usage()):
            continue
        if isinstance(value, tuple):
            value = [_set_fields(each) for each in cast("tuple[Any, ...]", value)]
        found[field.name] = _set_fields(value) if isinstance(value, Usage) else value
    return found


def _set_fields(value: Any) -> dict[str, Any]:
    pairs = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: each for name, each in pairs if each not in (None, "") and not (each == 0 and name != "index")}


def response_of(found: Mapping[str, Any]) -> Response:
    """A recorded whole answer; it is marked as simulated, since no model answers now."""
    calls = tuple(ToolCall(**{"id": "", "name": "", "arguments": "", **call}) for call in found.get("tool_calls", ()))
    made = _fields(Response, found, tool_calls=calls, usage=Usage(**found.get("usage", {})))
    return Response(**made)


def chunk_of(found: Mapping[str, Any]) -> Chunk:
    """A recorded piece."""
    calls = tuple(ToolCallDelta(**call) for call in found.get("tool_calls", ()))
    made = _fields(Chunk, found, tool_calls=calls, usage=Usage(**found["usage"]) if "usage" in found else None)
    return Chunk(**made)


def embeddings_of(found: Mapping[str, Any]) -> Embeddings:
    """Recorded vectors."""
    return Embeddings(**_fields(Embeddings, found, usage=Usage(**found.get("usage", {}))))


def _fields(kind: type[Response | Chunk | Embeddings], found: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    # A later version may have written what this one does not know.
    known = {field.name for field in fields(kind)} - _OWN
    return {**{name: value for name, value in found.items() if name in known}, **more, "simulated": True}


def plain_error(error: errors.ProviderError) -> dict[str, Any]:
    """An error of a provider."""
    named = {name: getattr(error, name) for name in _ERROR_FIELDS}
    told = {name: value for name, value in named.items() if value is not None}
    return {"type": type(error).__name__, "message": str(error), **told}


def error_of(found: Mapping[str, Any]) -> errors.ProviderError:
    """A recorded error, of its class."""
    kind = getattr(errors, str(found.get("type")), None)
    known = isinstance(kind, type) and issubclass(kind, errors.ProviderError)
    more = {name: found[name] for name in _ERROR_FIELDS if name in found}
    made = cast("type[errors.ProviderError]", kind) if known else errors.ProviderError
    return made(str(found.get("message", "")), **more)
