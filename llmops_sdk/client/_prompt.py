"""Turn prompts into messages and tools into definitions, checked, without changing the caller's objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from llmops_sdk.providers import Message
from llmops_sdk.providers._tools import Tool, definition_of, tool_name

__all__ = ["messages_of", "tool_definitions"]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def messages_of(prompt: object, system: str | None = None) -> tuple[Message, ...]:
    """Return a prompt as messages; the caller's list and messages do not change.

    Args:
        prompt: A string, or a list of messages in the OpenAI chat shape.
        system: The system prompt to send first.

    Raises:
        TypeError: The prompt or one of its messages has the wrong type.
        ValueError: The list is empty, or a message lacks a key that its role needs.
    """
    if isinstance(prompt, str):
        messages: tuple[Message, ...] = ({"role": "user", "content": prompt},)
    elif isinstance(prompt, Sequence) and not isinstance(prompt, bytes | bytearray):
        listed = cast("Sequence[object]", prompt)
        if not listed:
            raise ValueError("the prompt is an empty list: give it at least one message")
        messages = tuple(_message(index, message) for index, message in enumerate(listed))
    else:
        raise TypeError(
            f"the prompt must be a string or a list of messages, not {type(prompt).__name__}"
            + (": did the prompt function forget to return it?" if prompt is None else "")
        )
    if system is None:
        return messages
    return ({"role": "system", "content": system}, *messages)


def _message(index: int, message: object) -> Message:
    if not isinstance(message, Mapping):
        raise TypeError(
            f'message {index} must be a mapping like {{"role": "user", "content": "…"}}, not {_type_name(message)}'
        )
    copy = dict(cast("Mapping[str, Any]", message))
    role = copy.get("role")
    if role not in _ROLES:
        raise ValueError(f"message {index} has the role {role!r}: use one of {', '.join(_ROLES)}")
    content = copy.get("content")
    if content is None and not copy.get("tool_calls") and not copy.get("function_call"):
        raise ValueError(f'message {index} ({role}) has neither "content" nor "tool_calls": give it one of them')
    if content is not None and not isinstance(content, str | list | tuple):
        raise TypeError(
            f'"content" of message {index} ({role}) must be a string or a list of parts, not {_type_name(content)}'
        )
    if role == "tool" and not isinstance(copy.get("tool_call_id"), str):
        raise ValueError(f'message {index} (tool) needs the "tool_call_id" of the call that it answers')
    return copy


def _type_name(value: object) -> str:
    return type(value).__name__


def tool_definitions(tools: Sequence[Tool]) -> tuple[Mapping[str, Any], ...]:
    """Return the tools in the OpenAI shape; a function's definition comes from its name, docstring and annotations.

    Raises:
        TypeError: A tool is neither a definition nor a function, or a parameter has no JSON schema.
    """
    if isinstance(tools, Mapping | str) or not isinstance(cast("object", tools), Sequence):
        raise TypeError(f"tools must be a list of definitions or functions, not {_type_name(tools)}")
    definitions = tuple(_definition(index, tool) for index, tool in enumerate(tools))
    names = [name for name in map(tool_name, definitions) if name]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TypeError(f"two tools are called {twice!r}: rename one, since the model calls a tool by its name")
    return definitions


def _definition(index: int, tool: Tool) -> Mapping[str, Any]:
    if isinstance(tool, Mapping):
        if "type" not in tool:
            raise TypeError(
                f'tool {index} has no "type": the shape is {{"type": "function", "function": {{"name": …}}}}'
            )
        return dict(cast("Mapping[str, Any]", tool))
    if not callable(cast("object", tool)):
        raise TypeError(f"tool {index} must be a definition (a mapping) or a function, not {_type_name(tool)}")
    return {"type": "function", "function": definition_of(tool)}
