"""Messages in the schema of OpenTelemetry's GenAI conventions, as JSON for spans.

Whatever an application puts into a message must not break its call, so nothing here raises: what is no JSON becomes
its text, lone surrogates become "?".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.providers._types import Message, Request, Response

__all__ = ["input_messages_json", "output_messages_json", "tool_definitions_json"]

_Part = dict[str, object]
_DEEPEST = 32
_ROLES = {"developer": "system", "function": "tool"}  # names of OpenAI's that the schema does not have


def input_messages_json(request: Request) -> bytes:
    """The conversation as `gen_ai.input.messages`."""
    return _json([_message(message) for message in request.messages])


def output_messages_json(response: Response) -> bytes:
    """The answer as `gen_ai.output.messages`, with its finish reason, without which some backends drop it."""
    parts: list[_Part] = []
    if response.reasoning:
        parts.append({"type": "reasoning", "content": response.reasoning})
    if response.text or not response.tool_calls:
        parts.append({"type": "text", "content": response.text})
    parts.extend(
        {"type": "tool_call", "id": call.id, "name": call.name, "arguments": _arguments(call.arguments)}
        for call in response.tool_calls
    )
    # A stream that its reader left has none; the schema asks for one all the same.
    return _json([{"role": "assistant", "parts": parts, "finish_reason": response.finish_reason or "unknown"}])


def tool_definitions_json(tools: Sequence[Mapping[str, Any]]) -> bytes:
    """The tools as `gen_ai.tool.definitions`."""
    return _json([_definition(tool) for tool in tools])


def _definition(tool: Mapping[str, Any]) -> _Part:
    function = tool.get("function")
    if not isinstance(function, Mapping):
        # A tool of the vendor's own, as a web search: some have no name but their type.
        return {"name": _text(tool.get("name") or tool.get("type", "")), **tool, "type": _text(tool.get("type", ""))}
    named = cast("Mapping[str, Any]", function)
    made: _Part = {"type": "function", "name": _text(named.get("name", ""))}
    made.update({key: named[key] for key in ("description", "parameters") if named.get(key) is not None})
    return made


def _message(message: object) -> _Part:
    if not isinstance(message, Mapping):
        return {"role": "user", "parts": [{"type": "text", "content": _text(message)}]}
    values = cast("Message", message)
    role, content = _ROLES.get(role := _text(values.get("role", "user")), role), values.get("content")
    if role == "tool":
        called = values.get("tool_call_id")
        response: object = content
        if isinstance(content, list | tuple):
            response = [_part(part) for part in cast("Sequence[object]", content)]
        answer: _Part = {"type": "tool_call_response", "id": _or_none(called), "response": response}
        return {"role": role, "parts": [answer]}
    parts: list[_Part] = []
    if isinstance(content, str):
        parts.append({"type": "text", "content": content})
    elif isinstance(content, list | tuple):
        parts.extend(_part(part) for part in cast("Sequence[object]", content))
    elif content is not None:
        parts.append({"type": "text", "content": _text(content)})
    if values.get("refusal"):
        parts.append({"type": "refusal", "content": _text(values["refusal"])})
    calls = values.get("tool_calls")
    if isinstance(calls, list | tuple):
        parts.extend(_call(call) for call in cast("Sequence[object]", calls))
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
    kind = values.get("type")
    if kind in {"text", "input_text"}:
        return {"type": "text", "content": _text(values.get("text", values.get("content", "")))}
    if kind in {"reasoning", "thinking"}:
        told = next((values[key] for key in ("thinking", "text", "content") if key in values), "")
        return {"type": "reasoning", "content": _text(told)}
    if kind == "image_url":
        image: object = values.get("image_url")
        url = cast("Mapping[str, object]", image).get("url") if isinstance(image, Mapping) else image
        return _link(_text(url), "image")
    if kind == "input_audio" and isinstance(values.get("input_audio"), Mapping):
        audio = cast("Mapping[str, object]", values["input_audio"])
        mime = f"audio/{_text(audio.get('format', 'wav'))}"
        return {"type": "blob", "modality": "audio", "mime_type": mime, "content": _text(audio.get("data", ""))}
    if kind == "file" and isinstance(values.get("file"), Mapping):
        file = cast("Mapping[str, object]", values["file"])
        if file.get("file_id") is None:
            return _link(_text(file.get("file_data", "")), "document")
        return {"type": "file", "modality": "document", "file_id": _text(file["file_id"])}
    if kind == "refusal":
        return {"type": "refusal", "content": _text(values.get("refusal", ""))}
    if kind == "image" and isinstance(values.get("source"), Mapping):
        return _source(cast("Mapping[str, object]", values["source"]))
    kept: _Part = {str(key): value for key, value in values.items()}
    kept["type"] = _text(kind or "unknown")
    return kept


def _source(source: Mapping[str, object]) -> _Part:
    """An image in Anthropic's shape."""
    if source.get("type") == "base64":
        mime = _text(source.get("media_type", "image/png"))
        return {"type": "blob", "modality": "image", "mime_type": mime, "content": _text(source.get("data", ""))}
    return {"type": "uri", "modality": "image", "uri": _text(source.get("url", ""))}


def _link(url: str, modality: str) -> _Part:
    head, found, content = url.partition(";base64,")
    if found and head.startswith("data:"):
        return {"type": "blob", "modality": modality, "mime_type": head.removeprefix("data:"), "content": content}
    return {"type": "uri", "modality": modality, "uri": url}


def _call(call: object) -> _Part:
    values = _mapping(call)
    named = _mapping(values.get("function"))
    return {
        "type": "tool_call",
        "id": _or_none(values.get("id")),
        "name": _text(named.get("name", "")),
        "arguments": _arguments(named.get("arguments")),
    }


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _arguments(arguments: object) -> object:
    """The arguments as JSON where they are JSON, as a backend shows them; else as the model wrote them."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, an object that is no JSON, an integer over 64 bits, a key that is no text
        return orjson.dumps(_plain(value, 0))


def _plain(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {_text(key): _plain(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in cast("Sequence[object]", value)]
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return hex(value)  # a decimal text of thousands of digits is refused by Python
    # The repr of an object of the application may run its code, and raise; its type's name cannot.
    return str(value) if isinstance(value, float | type(None)) else f"<{type(value).__qualname__}>"
