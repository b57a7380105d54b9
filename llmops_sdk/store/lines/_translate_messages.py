"""Convert messages of other vocabularies to the GenAI conventions: a list of {role, parts, finish_reason}.

OpenInference and Traceloop flatten messages into attributes (`llm.input_messages.0.message.role`,
`gen_ai.prompt.0.role`). The conventions up to 1.36 sent each message as an event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import Event, Json

__all__ = ["add_finish_reasons", "unflatten", "with_events", "with_instructions"]

# Target of a piece by its prefix, which the message's number, a dot and the name of the piece follow.
_FLAT = {
    "llm.input_messages.": sc.INPUT_MESSAGES,
    "llm.output_messages.": sc.OUTPUT_MESSAGES,
    "llm.prompts.": sc.INPUT_MESSAGES,
    "llm.completions.": sc.OUTPUT_MESSAGES,
    "gen_ai.prompt.": sc.INPUT_MESSAGES,
    "gen_ai.completion.": sc.OUTPUT_MESSAGES,
}
_FLAT_PREFIXES = tuple(_FLAT)
_NOT_FLAT = frozenset({sc.PROMPT_NAME, sc.PROMPT_VERSION})
# Prefixes of the pieces of one message.
_WRAPPERS = ("message.", "prompt.", "completion.")
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "developer": "system"}
_DEFAULT_ROLE = {sc.INPUT_MESSAGES: "user", sc.OUTPUT_MESSAGES: "assistant"}

_EVENT_BODY = "gen_ai.event.content"
# Up to 1.27: all messages of a direction in one event or attribute.
_WHOLE = {"gen_ai.prompt": sc.INPUT_MESSAGES, "gen_ai.completion": sc.OUTPUT_MESSAGES}


def unflatten(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes with flattened messages rebuilt. Pieces that fit no message stay unchanged."""
    kept: dict[str, Any] = {}
    whole: dict[str, dict[int, dict[str, Any]]] = {}
    for key, value in attributes.items():
        if not key.startswith(_FLAT_PREFIXES) or key in _NOT_FLAT:
            kept[key] = value
            continue
        prefix = next(prefix for prefix in _FLAT_PREFIXES if key.startswith(prefix))
        index, _, path = key[len(prefix) :].partition(".")
        if index.isdecimal() and len(index) < 6 and path:
            wrapper = next((wrapper for wrapper in _WRAPPERS if path.startswith(wrapper)), "")
            whole.setdefault(_FLAT[prefix], {}).setdefault(int(index), {})[path.removeprefix(wrapper)] = value
        else:
            kept[key] = value
    for target, messages in whole.items():
        if target not in kept:
            kept[target] = _json([_message(_nested(messages[n]), _DEFAULT_ROLE[target]) for n in sorted(messages)])
    for name, target in _WHOLE.items():
        if target not in kept and isinstance(kept.get(name), str):
            messages = _whole(kept[name], _DEFAULT_ROLE[target])
            if messages is not None:
                kept[target] = _json(messages)
                del kept[name]
    return kept


def with_events(attributes: dict[str, Any], events: Sequence[Event]) -> None:
    """Add messages from events if the attributes have none."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, _, fields in events:
        for key, target in _WHOLE.items():
            if isinstance(fields.get(key), str):
                found.setdefault(target, []).extend(_whole(fields[key], _DEFAULT_ROLE[target]) or ())
        if name not in sc.MESSAGE_EVENTS:
            continue
        body = _loaded(fields.get(_EVENT_BODY))
        pieces: dict[str, Any] = {**fields, **(cast("dict[str, Any]", body) if isinstance(body, dict) else {})}
        inner = pieces.get("message")
        inner = _loaded(inner)
        if isinstance(inner, dict):
            pieces |= cast("dict[str, Any]", inner)
        target = sc.OUTPUT_MESSAGES if name == sc.EVENT_CHOICE else sc.INPUT_MESSAGES
        found.setdefault(target, []).append(_message(pieces, sc.MESSAGE_EVENTS[name]))
    for target, messages in found.items():
        if messages and target not in attributes:
            attributes[target] = _json(messages)


def with_instructions(attributes: dict[str, Any]) -> None:
    """Put the instructions that an API takes apart from the messages in front of them, as the system's message."""
    given = _loaded(attributes.get(sc.SYSTEM_INSTRUCTIONS))
    if not given:
        return
    parts = [_part(part) for part in cast("list[Any]", given)] if isinstance(given, list) else _parts(given, None)
    messages = _loaded(attributes.get(sc.INPUT_MESSAGES))
    known = cast("list[Any]", messages) if isinstance(messages, (list, tuple)) else []
    first: Any = known[0] if known else None
    if not isinstance(first, dict) or cast("dict[str, Any]", first).get("role") != "system":
        known = [{"role": "system", "parts": parts}, *known]
    attributes[sc.INPUT_MESSAGES] = _json(known)
    del attributes[sc.SYSTEM_INSTRUCTIONS]


def add_finish_reasons(attributes: dict[str, Any], reasons: Any) -> None:
    """Give the answers the finish reasons of the span."""
    if not isinstance(reasons, list) or not reasons:
        return
    messages = _loaded(attributes.get(sc.OUTPUT_MESSAGES))
    if not isinstance(messages, list):
        return
    known = cast("list[str]", reasons)
    answers = [cast("dict[str, Any]", one) for one in cast("list[Any]", messages) if isinstance(one, dict)]
    for number, answer in enumerate(answers):
        if number < len(known):
            answer["finish_reason"] = known[number]
    attributes[sc.OUTPUT_MESSAGES] = _json(messages)


def _whole(text: str, role: str) -> list[dict[str, Any]] | None:
    """Convert a JSON list of messages of any shape."""
    loaded = _loaded(text)
    if isinstance(loaded, str) or loaded is None:
        return [_message({"content": text}, role)]
    items = cast("list[Any]", loaded) if isinstance(loaded, list) else [loaded]
    if not all(isinstance(item, dict) for item in items):
        return None
    return [_message(cast("dict[str, Any]", item), role) for item in items]


def _nested(pieces: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"tool_calls.0.tool_call.id": …}` into `{"tool_calls": [{"tool_call": {"id": …}}]}`."""
    root: dict[str, Any] = {}
    for path, value in pieces.items():
        names = path.split(".")
        at = root
        for name in names[:-1]:
            below = at.setdefault(name, {})
            if not isinstance(below, dict):
                break
            at = cast("dict[str, Any]", below)
        else:
            at[names[-1]] = value
            continue
        root[path] = value  # both a value and a branch: it keeps its full name
    return cast("dict[str, Any]", _listed(root))


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    branches = {key: _listed(value) for key, value in cast("dict[str, Any]", node).items()}
    if branches and all(key.isdecimal() and len(key) < 6 for key in branches):
        return [branches[key] for key in sorted(branches, key=int)]
    return branches


def _message(pieces: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Convert a message of any shape to {role, parts, finish_reason}. Other fields keep their names."""
    own_role = pieces.get("role")
    role = _ROLES.get(own_role.lower(), own_role.lower()) if isinstance(own_role, str) else role
    if isinstance(pieces.get("parts"), list):
        return {**pieces, "role": role}
    parts: list[dict[str, Any]] = []
    message: dict[str, Any] = {"role": role, "parts": parts}
    answers = pieces.get("tool_call_id")
    for name, value in pieces.items():
        if name in ("content", "text", "contents"):
            parts += _parts(value, answers if role == "tool" else None)
        elif name not in ("role", "tool_calls", "tool_call_id", "index", _EVENT_BODY, "message"):
            message[name] = value
    known = {part["id"] for part in parts if part.get("type") == "tool_call"}
    calls = pieces.get("tool_calls")
    for call in cast("list[Any]", calls) if isinstance(calls, list) else ():
        part = _call(call)
        if part["id"] is None or part["id"] not in known:
            parts.append(part)
    return message


def _parts(content: Any, answers: Any) -> list[dict[str, Any]]:
    if answers is not None:
        return [{"type": "tool_call_response", "id": answers, "response": content}]
    # Libraries often write a list of parts as JSON into one attribute.
    loaded = _loaded(content) if isinstance(content, str) and content.startswith("[{") else content
    if isinstance(loaded, list):
        items = cast("list[Any]", loaded)
        if loaded is content or all(isinstance(item, dict) and "type" in item for item in items):
            return [_part(item) for item in items]
    return [] if content is None else [{"type": "text", "content": content}]


def _part(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        return {"type": "text", "content": item}
    pieces = cast("dict[str, Any]", item)
    inner = pieces.get("message_content")
    pieces = {**pieces, **(cast("dict[str, Any]", inner) if isinstance(inner, dict) else {})}
    if "tool_call" in pieces or pieces.get("type") == "tool_use":
        return _call(pieces)
    if pieces.get("type") in (None, "text", "input_text", "output_text") and ("text" in pieces or "content" in pieces):
        return {"type": "text", "content": pieces.get("text", pieces.get("content"))}
    if pieces.get("type") in ("reasoning", "thinking"):
        return {"type": "reasoning", "content": pieces.get("text", pieces.get("thinking"))}
    url = _image_url(pieces)
    if url is not None:
        return {"type": "uri", "modality": "image", "uri": url}
    return {key: value for key, value in pieces.items() if key != "message_content"}


def _image_url(pieces: Mapping[str, Any]) -> str | None:
    at: Any = pieces.get("image", pieces.get("image_url"))
    for _ in range(3):
        if not isinstance(at, dict):
            break
        found = cast("dict[str, Any]", at)
        at = found.get("image", found.get("url"))
    return at if isinstance(at, str) else None


def _call(call: Any) -> dict[str, Any]:
    """Convert a tool call of any shape."""
    pieces: dict[str, Any] = cast("dict[str, Any]", call) if isinstance(call, dict) else {"name": call}
    for wrapper in ("tool_call", "function"):
        inner = pieces.get(wrapper)
        if isinstance(inner, dict):
            pieces = {**pieces, **cast("dict[str, Any]", inner)}
    arguments = pieces.get("arguments", pieces.get("input"))
    loaded = _loaded(arguments)
    return {
        "type": "tool_call",
        "id": pieces.get("id"),
        "name": pieces.get("name"),
        "arguments": loaded if isinstance(loaded, (dict, list)) else arguments,
    }


def _loaded(value: Any) -> Any:
    """Load a JSON text; return anything else unchanged."""
    if not isinstance(value, (str, bytes)):
        return value
    try:
        return orjson.loads(bytes(value) if type(value) is Json else value)
    except orjson.JSONDecodeError:
        return value


def _json(messages: Any) -> Json:
    try:
        return Json(orjson.dumps(messages, default=str))
    except TypeError:
        # A lone surrogate or an integer beyond 64 bits: escaped here, and sanitized with the line.
        return Json(json.dumps(messages, default=str).encode())
