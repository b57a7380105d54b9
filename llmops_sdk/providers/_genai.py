"""Write messages as JSON in the schema of OpenTelemetry's GenAI conventions, for spans.

A message may contain any object, and must not break the call: these functions never raise. Values that JSON cannot
express become text, and lone surrogates become "?".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.providers._types import Message, Request, Response, Usage
from llmops_sdk.tracing.capture._embedded import media_uri
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import Json

__all__ = ["input_messages_json", "output_messages_json", "tool_definitions_json", "usage_attributes"]

_Part = dict[str, object]
_MAX_DEPTH = 32
_PLAIN_ROLES = frozenset({"system", "user", "assistant"})
_ROLES = {"developer": "system", "function": "tool"}  # OpenAI's roles that the schema lacks


def input_messages_json(request: Request) -> Json:
    """Return the conversation as `gen_ai.input.messages`."""
    return _json([_message(message) for message in request.messages])


def output_messages_json(response: Response) -> Json:
    """Return the answer as `gen_ai.output.messages`; some backends drop messages without a finish reason."""
    parts: list[_Part] = []
    if response.reasoning:
        parts.append({"type": "reasoning", "content": response.reasoning})
    if response.text or not (response.tool_calls or response.refusal):
        parts.append({"type": "text", "content": response.text})
    if response.refusal:
        parts.append({"type": "refusal", "content": response.refusal})
    parts.extend(
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": _arguments(call.arguments)}
        for call in response.tool_calls
    )
    # A stream that was closed early has no finish reason, but the schema requires one.
    return _json([{"role": "assistant", "parts": parts, "finish_reason": response.finish_reason or "unknown"}])


def tool_definitions_json(tools: Sequence[Mapping[str, Any]]) -> Json:
    """Return the tools as `gen_ai.tool.definitions`."""
    return _json([_definition(tool) for tool in tools])


def _definition(tool: Mapping[str, Any]) -> _Part:
    function = tool.get("function")
    if not isinstance(function, Mapping):
        # A tool built into the vendor's API, such as web search; some have a type and no name.
        return {"name": _text(tool.get("name") or tool.get("type", "")), **tool, "type": _text(tool.get("type", ""))}
    values = cast("Mapping[str, Any]", function)
    described = {key: values[key] for key in ("description", "parameters") if values.get(key) is not None}
    return {"type": "function", "name": _text(values.get("name", "")), **described}


def _message(message: object) -> _Part:
    if not isinstance(message, Mapping):
        return {"role": "user", "parts": [{"type": "text", "content": _text(message)}]}
    values = cast("Message", message)
    content = values.get("content")
    if len(values) == 2 and type(content) is str and values.get("role") in _PLAIN_ROLES:
        return {"role": values["role"], "parts": [{"type": "text", "content": content}]}
    role = _ROLES.get(role := _text(values.get("role", "user")), role)
    parts = [_part(part) for part in _sequence(content)]
    if role == "tool":
        result: object = parts if isinstance(content, list | tuple) else content
        called = _text_or_none(values.get("tool_call_id"))
        return {"role": role, "parts": [{"type": "tool_call_response", "id": called, "response": result}]}
    if content is not None and not isinstance(content, list | tuple):
        parts.append({"type": "text", "content": content if isinstance(content, str) else _text(content)})
    if values.get("refusal"):
        parts.append({"type": "refusal", "content": _text(values["refusal"])})
    parts.extend(_call(call) for call in _sequence(values.get("tool_calls")))
    if isinstance(values.get("function_call"), Mapping):
        parts.append(_call({"function": values["function_call"]}))
    shaped: _Part = {"role": role, "parts": parts}
    if values.get("name") is not None:
        shaped["name"] = _text(values["name"])
    return shaped


def _part(part: object) -> _Part:
    if not isinstance(part, Mapping):
        return {"type": "text", "content": _text(part)}
    values = cast("Mapping[str, Any]", part)
    part_type = values.get("type")
    if part_type in {"text", "input_text"}:
        return {"type": "text", "content": _text(values.get("text", values.get("content", "")))}
    if part_type in {"reasoning", "thinking"}:
        text = next((values[key] for key in ("thinking", "text", "content") if key in values), "")
        return {"type": "reasoning", "content": _text(text)}
    if part_type == "image_url":
        image: object = values.get("image_url")
        url = cast("Mapping[str, object]", image).get("url") if isinstance(image, Mapping) else image
        return _link(_text(url), "image")
    if part_type == "input_audio" and isinstance(values.get("input_audio"), Mapping):
        audio = cast("Mapping[str, object]", values["input_audio"])
        mime = f"audio/{_text(audio.get('format', 'wav'))}"
        return _blob("audio", mime, _text(audio.get("data", "")))
    if part_type == "file" and isinstance(values.get("file"), Mapping):
        file = cast("Mapping[str, object]", values["file"])
        if file.get("file_id") is None:
            return _link(_text(file.get("file_data", "")), "document")
        return {"type": "file", "modality": "document", "file_id": _text(file["file_id"])}
    if part_type == "refusal":
        return {"type": "refusal", "content": _text(values.get("refusal", ""))}
    if part_type == "image" and isinstance(values.get("source"), Mapping):
        return _anthropic_image(cast("Mapping[str, object]", values["source"]))
    return {**{str(key): value for key, value in values.items()}, "type": _text(part_type or "unknown")}


def _anthropic_image(source: Mapping[str, object]) -> _Part:
    if source.get("type") == "base64":
        mime = _text(source.get("media_type", "image/png"))
        return _blob("image", mime, _text(source.get("data", "")))
    return {"type": "uri", "modality": "image", "uri": _text(source.get("url", ""))}


def _link(url: str, modality: str) -> _Part:
    head, found, content = url.partition(";base64,")
    if found and head.startswith("data:"):
        path = media_uri(url)  # the caller's own text: one in many messages takes memory once
        if path is not None:
            return {"type": "uri", "modality": modality, "mime_type": head.removeprefix("data:"), "uri": path}
        return {"type": "blob", "modality": modality, "mime_type": head.removeprefix("data:"), "content": content}
    return {"type": "uri", "modality": modality, "uri": url}


def _blob(modality: str, mime: str, content: str) -> _Part:
    path = media_uri(content, mime)
    if path is not None:
        return {"type": "uri", "modality": modality, "mime_type": mime, "uri": path}
    return {"type": "blob", "modality": modality, "mime_type": mime, "content": content}


def _call(call: object) -> _Part:
    values = _mapping(call)
    function = _mapping(values.get("function"))
    return {
        "type": "tool_call",
        "id": _text_or_none(values.get("id")),
        "name": _text(function.get("name", "")),
        "arguments": _arguments(function.get("arguments")),
    }


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _arguments(arguments: object) -> object:
    """Parse arguments that are JSON, as backends show them; return others unchanged."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _json(value: object) -> Json:
    try:
        return Json(orjson.dumps(value))
    except TypeError:  # a lone surrogate, an object unknown to JSON, an integer over 64 bits, a key other than text
        return Json(orjson.dumps(_json_safe(value, 0)))


def _json_safe(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_text(key): _json_safe(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [_json_safe(item, depth + 1) for item in cast("Sequence[object]", value)]
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return hex(value)  # Python refuses to write thousands of decimal digits
    # The repr of an application's object may run its code and raise; the name of its type cannot.
    return str(value) if isinstance(value, float | type(None)) else f"<{type(value).__qualname__}>"


def usage_attributes(usage: Usage, cost: float | None) -> dict[str, Any]:
    """Return the tokens and the cost of a call as attributes of its span."""
    attributes: dict[str, Any] = {} if cost is None else {_semconv.COST: cost}
    # No tokens at all means that nobody counted them: the usage is unknown, not zero.
    if usage.input_tokens or usage.output_tokens:
        attributes[_semconv.INPUT_TOKENS] = usage.input_tokens
        attributes[_semconv.OUTPUT_TOKENS] = usage.output_tokens
        details = {
            _semconv.CACHE_READ_TOKENS: usage.cache_read_tokens,
            _semconv.CACHE_WRITE_TOKENS: usage.cache_creation_tokens,
            _semconv.REASONING_TOKENS: usage.reasoning_tokens,
        }
        attributes |= {name: count for name, count in details.items() if count}
    return attributes
