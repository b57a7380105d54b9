"""Take the texts out of messages, JSON and arguments, and put the checked ones back.

`take` and `put` walk in the same order: the n-th checked text replaces the n-th text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from llmops_sdk.providers import Message, Response, ToolCall

__all__ = [
    "put",
    "put_calls",
    "put_messages",
    "put_response",
    "put_text",
    "take",
    "take_calls",
    "take_messages",
    "take_response",
    "take_text",
]

# A string or a number of JSON; linear, since each alternative begins with another character. It matches fractions and
# exponents too, so that their digits are not taken for whole numbers.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?', re.DOTALL)
_INTEGER = re.compile(r"\d{12,}")
_NESTED = 3
"""How many levels of JSON in strings of JSON are parsed; deeper ones are checked as text."""


def _is_json(text: str) -> bool:
    """Return whether a text is a JSON object or array."""
    if not text.lstrip()[:1] in {"{", "["}:  # noqa: E713 - membership of a slice, which may be empty
        return False
    try:
        json.loads(text)
    except RecursionError:
        return True  # too deep for the parser, not for the tokenizer
    except ValueError:
        return False
    return True


def _unquoted(token: str) -> str:
    try:
        return json.loads(token)
    except ValueError:  # only in a document too deep to parse, which may not be JSON
        return token[1:-1]


def take_text(text: str, level: int = 0) -> Iterator[str]:
    """Yield the texts to check in a text: the text itself, or of JSON the strings and long whole numbers inside."""
    if level >= _NESTED or not _is_json(text):
        yield text
        return
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token.startswith('"'):
            yield from take_text(_unquoted(token), level + 1)
        elif _INTEGER.fullmatch(token):
            yield token


def put_text(text: str, checked: Iterator[str], level: int = 0) -> str:
    """Return the text with the checked texts in place; JSON stays JSON, and unchanged parts keep their spelling."""
    if level >= _NESTED or not _is_json(text):
        return next(checked)

    def replaced(match: re.Match[str]) -> str:
        token = match.group()
        if token.startswith('"'):
            value = _unquoted(token)
            new = put_text(value, checked, level + 1)
            return token if new == value else json.dumps(new, ensure_ascii=token.isascii())
        if _INTEGER.fullmatch(token):
            new = next(checked)
            return token if new == token else json.dumps(new)
        return token

    return _TOKEN.sub(replaced, text)


def take(value: Any) -> Iterator[str]:
    """Yield the texts inside lists, tuples and dicts of any depth; ignore other objects."""
    if type(value) is str:
        yield from take_text(value)
    elif type(value) in (list, tuple):
        for item in cast("Sequence[Any]", value):
            yield from take(item)
    elif type(value) is dict:
        for item in cast("dict[Any, Any]", value).values():
            yield from take(item)


def put(value: Any, checked: Iterator[str]) -> Any:
    """Return the value with the checked texts in place; unchanged parts stay the same objects."""
    if type(value) is str:
        text = put_text(value, checked)
        return value if text == value else text
    if type(value) is dict:
        original = cast("dict[Any, Any]", value)
        named = {key: put(item, checked) for key, item in original.items()}
        return original if all(named[key] is original[key] for key in original) else named
    if type(value) in (list, tuple):
        items = cast("Sequence[Any]", value)
        new = [put(item, checked) for item in items]
        if all(one is other for one, other in zip(new, items, strict=True)):
            return items
        return tuple(new) if type(value) is tuple else new
    return value


def take_messages(messages: Sequence[Message], role: str | None = None) -> Iterator[str]:
    """Yield the texts of a conversation, or of one role: contents, text parts, and the arguments of tool calls."""
    for message in messages:
        if role is not None and message.get("role") != role:
            continue
        for holder, key in _places(message):
            yield from take_text(holder[key])


def put_messages(messages: Sequence[Message], checked: Iterator[str], role: str | None = None) -> list[Message]:
    """Return the conversation with the checked texts in place; do not change the given messages."""
    return [
        _put_message(message, checked) if role is None or message.get("role") == role else message
        for message in messages
    ]


def _put_message(message: Message, checked: Iterator[str]) -> Message:
    copy = _copied(message)
    changed = False
    for holder, key in _places(copy):
        new = put_text(holder[key], checked)
        changed = changed or new != holder[key]
        holder[key] = new
    return copy if changed else message


def _copied(value: Any) -> Any:
    """Copy the containers, but not what they hold (an image's bytes may be large)."""
    copy: Any = value
    if isinstance(value, dict):
        copy = {key: _copied(item) for key, item in cast("dict[Any, Any]", value).items()}
    elif isinstance(value, (list, tuple)):
        copy = [_copied(item) for item in cast("Sequence[Any]", value)]
    return copy


def _places(message: Message) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the places of text that a person, a model or a tool wrote in a message: a dict and a key of it."""
    content = message.get("content")
    if isinstance(content, str):
        yield message, "content"
    elif isinstance(content, (list, tuple)):
        for part in cast("Sequence[Any]", content):
            if isinstance(part, dict):
                yield from _texts_of(cast("dict[str, Any]", part), "text", "refusal", "content")
    yield from _texts_of(message, "refusal", "reasoning_content")
    for call in cast("Sequence[Any]", message.get("tool_calls") or ()):
        function = cast("dict[str, Any]", call).get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield from _texts_of(cast("dict[str, Any]", function), "arguments")


def _texts_of(holder: dict[str, Any], *keys: str) -> Iterator[tuple[dict[str, Any], str]]:
    for key in keys:
        if isinstance(holder.get(key), str):
            yield holder, key


def take_response(response: Response) -> Iterator[str]:
    """Yield the texts of an answer: text, reasoning, refusal, and the arguments of tool calls."""
    yield from take_text(response.text)
    yield from take_text(response.reasoning)
    if response.refusal:
        yield from take_text(response.refusal)
    yield from take_calls(response.tool_calls)


def take_calls(calls: Sequence[ToolCall]) -> Iterator[str]:
    """Yield the texts in the arguments of tool calls."""
    for call in calls:
        yield from take_text(call.arguments)


def put_calls(calls: Sequence[ToolCall], checked: Iterator[str]) -> tuple[ToolCall, ...]:
    """Return the tool calls with the checked texts in place."""
    return tuple(replace(call, arguments=put_text(call.arguments, checked)) for call in calls)


def put_response(response: Response, checked: Iterator[str]) -> Response:
    """Return the answer with the checked texts in place, without the vendor's object, which has what was redacted."""
    new = replace(
        response,
        text=put_text(response.text, checked),
        reasoning=put_text(response.reasoning, checked),
        refusal=put_text(response.refusal, checked) if response.refusal else "",
        tool_calls=put_calls(response.tool_calls, checked),
    )
    return response if new == response else replace(new, raw=None)
