"""Sort the texts of messages by their origin: the roles and the spotlight marks tell it, so no state is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from llmops_sdk.guardrails.taint._provenance import Conversation
from llmops_sdk.guardrails.taint._spotlight import split_spotlighted
from llmops_sdk.providers import ToolCall

__all__ = ["before_call", "conversation_of"]

_TRUSTED_ROLES = frozenset({"system", "developer", "user"})
_TEXT_PARTS = frozenset({"text", "input_text"})
_OPAQUE_PARTS = frozenset({"image_url", "input_image", "image", "input_audio", "audio", "file", "input_file", "video"})


def before_call(messages: Sequence[Mapping[str, Any]], call: ToolCall) -> Sequence[Mapping[str, Any]]:
    """Return the messages before the one at the end in which the model makes a call; all of them without one.

    Only results of tools may follow it. Some servers use an id again, so an earlier message with the id does not count.
    """
    end = len(messages)
    while end and messages[end - 1].get("role") == "tool":
        end -= 1
    made = [
        (one.get("id"), _name_of(one), cast("Mapping[str, Any]", one["function"]).get("arguments"))
        for one in (_calls(messages[end - 1]) if end else ())
        if isinstance(one.get("function"), Mapping)
    ]
    return messages[: end - 1] if (call.id, call.name, call.arguments) in made else messages


def conversation_of(messages: Sequence[Mapping[str, Any]], trusted_tools: Collection[str] = ()) -> Conversation:
    """Return the texts of messages by origin.

    Args:
        messages: The messages that the model saw.
        trusted_tools: The tools whose results count as trusted.
    """
    found = Conversation()
    names: dict[str, object] = {}
    for message in messages:
        role = message.get("role")
        is_trusted = role in _TRUSTED_ROLES
        if role == "assistant":
            names.update((str(call.get("id")), _name_of(call)) for call in _calls(message))
            # What a model writes is nobody's word until it has seen untrusted content.
            if found.untrusted:
                found.untrusted += [text for _, text in _texts_of(message)]
            continue
        if role in {"tool", "function"}:
            call_id = message.get("tool_call_id")
            name = message.get("name") if call_id is None else names.get(str(call_id))
            is_trusted = isinstance(name, str) and name in trusted_tools
        for is_text, text in _texts_of(message):
            for is_spotlighted, part in split_spotlighted(text):
                if part.strip():
                    is_own = is_trusted and is_text and not is_spotlighted
                    (found.trusted if is_own else found.untrusted).append(part)
    return found


def _calls(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    calls = message.get("tool_calls")
    found = cast("Sequence[Any]", calls) if isinstance(calls, list | tuple) else ()
    return [cast("Mapping[str, Any]", one) for one in found if isinstance(one, Mapping)]


def _name_of(call: Mapping[str, Any]) -> object:
    function = call.get("function")
    return cast("Mapping[str, Any]", function).get("name") if isinstance(function, Mapping) else None


def _texts_of(message: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield the texts of a message, each with whether it is plain text and not a part such as a document."""
    content = message.get("content")
    if isinstance(content, str):
        yield True, content
    elif isinstance(content, list | tuple):
        for part in cast("Sequence[Any]", content):
            yield from _texts_of_part(part)
    reasoning = message.get("reasoning_content")
    if isinstance(reasoning, str):
        yield True, reasoning


def _texts_of_part(part: Any) -> Iterator[tuple[bool, str]]:
    if isinstance(part, str):
        yield True, part
        return
    if not isinstance(part, Mapping):
        return
    values = cast("Mapping[str, Any]", part)
    if values.get("type", "text") in _OPAQUE_PARTS:
        return
    is_text = values.get("type", "text") in _TEXT_PARTS
    waiting: list[Any] = [values.get("text")] if is_text else [value for key, value in values.items() if key != "type"]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield is_text, value
        elif isinstance(value, Mapping):
            waiting += list(cast("Mapping[Any, Any]", value).values())[::-1]
        elif isinstance(value, list | tuple):
            waiting += list(cast("Sequence[Any]", value))[::-1]
