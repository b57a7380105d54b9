"""Take the texts out of messages, JSON and arguments, and put the checked ones back.

`take` and `put` walk in the same order: the n-th checked text replaces the n-th text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from llmops_sdk.providers import Message, Response, ToolCall
from llmops_sdk.providers._types import REASONING_BLOCKS

__all__ = [
    "block_texts",
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
_OPAQUE = frozenset({"type", "id", "format", "index", "signature", "data"})
"""Fields of blocks for the vendor's machines: base64 and identifiers, without text of the model."""
_TOOL_ROLES = frozenset({"tool", "function"})
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


def take(value: Any, *, whole: bool = False) -> Iterator[str]:
    """Yield the texts inside lists, tuples and dicts of any depth; ignore other objects.

    Args:
        value: The value.
        whole: Yield the strings of the value themselves, not the strings of JSON inside them.
    """
    if type(value) is str:
        yield from take_text(value, _NESTED if whole else 0)
    elif type(value) in (list, tuple):
        for item in cast("Sequence[Any]", value):
            yield from take(item, whole=whole)
    elif type(value) is dict:
        for item in cast("dict[Any, Any]", value).values():
            yield from take(item, whole=whole)


def put(value: Any, checked: Iterator[str], *, whole: bool = False) -> Any:
    """Return the value with the checked texts in place; unchanged parts stay the same objects."""
    if type(value) is str:
        text = put_text(value, checked, _NESTED if whole else 0)
        return value if text == value else text
    if type(value) is dict:
        original = cast("dict[Any, Any]", value)
        named = {key: put(item, checked, whole=whole) for key, item in original.items()}
        return original if all(named[key] is original[key] for key in original) else named
    if type(value) in (list, tuple):
        items = cast("Sequence[Any]", value)
        new = [put(item, checked, whole=whole) for item in items]
        if all(one is other for one, other in zip(new, items, strict=True)):
            return items
        return tuple(new) if type(value) is tuple else new
    return value


def take_messages(messages: Sequence[Message], *, results: bool = False, whole: bool = False) -> Iterator[str]:
    """Yield the texts of a conversation: contents, text parts, and the arguments of tool calls.

    Args:
        messages: The conversation.
        results: Yield the results of tools only: messages of the roles "tool" and "function", and blocks of the type
            "tool_result" in messages of any role.
        whole: Yield whole contents and text parts, without `results` those of the user.
    """
    for message in _chosen(messages, results=results, whole=whole):
        for holder, key in _places(message, results=results, whole=whole):
            yield from take_text(holder[key], _NESTED if whole else 0)
        if not whole and not results:
            for text in _block_texts_of(message):
                yield from take_text(text)


def put_messages(
    messages: Sequence[Message], checked: Iterator[str], *, results: bool = False, whole: bool = False
) -> list[Message]:
    """Return the conversation with the checked texts in place; do not change the given messages."""
    chosen = {id(message) for message in _chosen(messages, results=results, whole=whole)}
    return [_put_message(one, checked, results=results, whole=whole) if id(one) in chosen else one for one in messages]


def _chosen(messages: Sequence[Message], *, results: bool, whole: bool) -> list[Message]:
    if results:
        return [message for message in messages if any(_places(message, results=True, whole=whole))]
    return [message for message in messages if not whole or message.get("role") == "user"]


def _put_message(message: Message, checked: Iterator[str], *, results: bool, whole: bool) -> Message:
    copy = _copied(message)
    changed = False
    for holder, key in _places(copy, results=results, whole=whole):
        new = put_text(holder[key], checked, _NESTED if whole else 0)
        changed = changed or new != holder[key]
        holder[key] = new
    if not whole and not results:
        texts = list(_block_texts_of(message))
        if [put_text(text, checked) for text in texts] != texts:
            # Their signatures allow no change.
            return {key: value for key, value in copy.items() if key not in REASONING_BLOCKS}
    return copy if changed else message


def _block_texts_of(message: Message) -> Iterator[str]:
    for name in REASONING_BLOCKS:
        yield from block_texts(message.get(name))


def block_texts(value: Any) -> Iterator[str]:
    """Yield the texts of a model in blocks of reasoning."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            if key not in _OPAQUE:
                yield from block_texts(item)
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[Any]", value):
            yield from block_texts(item)


def _copied(value: Any) -> Any:
    """Copy the containers, but not what they hold (an image's bytes may be large)."""
    copy: Any = value
    if isinstance(value, dict):
        copy = {key: _copied(item) for key, item in cast("dict[Any, Any]", value).items()}
    elif isinstance(value, (list, tuple)):
        copy = [_copied(item) for item in cast("Sequence[Any]", value)]
    return copy


def _places(message: Message, *, results: bool, whole: bool) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the places of text that a person, a model or a tool wrote in a message: a dict and a key of it."""
    content = message.get("content")
    if results and message.get("role") not in _TOOL_ROLES:
        parts = cast("Sequence[Any]", content) if isinstance(content, (list, tuple)) else ()
        yield from _places_of_parts([part for part in parts if _is_result(part)])
        return
    yield from _texts_of(message, "content")
    yield from _places_of_parts(content)
    if whole:
        return
    yield from _texts_of(message, "refusal", "reasoning_content")
    calls = cast("Sequence[Any]", message.get("tool_calls") or ())
    functions = [cast("dict[str, Any]", call).get("function") for call in calls if isinstance(call, dict)]
    for function in (*functions, message.get("function_call")):
        if isinstance(function, dict):
            holder = cast("dict[str, Any]", function)
            yield from _texts_of(holder, "arguments")
            yield from _all_places(holder.get("arguments"))


def _is_result(part: Any) -> bool:
    """Return whether a block is the result of a tool: of Anthropic's, also as `mcp_tool_result`, or of OpenAI's."""
    kind = cast("dict[str, Any]", part).get("type") if isinstance(part, dict) else None
    return isinstance(kind, str) and (kind.endswith("tool_result") or kind == "function_call_output")


def _places_of_parts(parts: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the places in content parts; results of tools and documents have parts of their own, or one part."""
    if not isinstance(parts, (list, tuple)):
        parts = [parts]
    for part in cast("Sequence[Any]", parts):
        if not isinstance(part, dict):
            continue
        holder = cast("dict[str, Any]", part)
        yield from _texts_of(holder, "text", "refusal", "content", "title", "context", "output", "stdout", "stderr")
        yield from _places_of_parts(holder.get("content"))
        yield from _places_of_parts(holder.get("output"))
        if isinstance(source := holder.get("source"), dict):
            source = cast("dict[str, Any]", source)
            yield from _texts_of(source, "content", *(("data",) if source.get("type") == "text" else ()))
            yield from _places_of_parts(source.get("content"))


def _all_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the places of all strings in arguments that are no JSON text."""
    holder: Any = value
    keys: Any = holder if isinstance(value, dict) else range(len(holder)) if isinstance(value, (list, tuple)) else ()
    for key in keys:
        if isinstance(holder[key], str):
            yield holder, key
        else:
            yield from _all_places(holder[key])


def _texts_of(holder: dict[str, Any], *keys: str) -> Iterator[tuple[dict[str, Any], str]]:
    for key in keys:
        if isinstance(holder.get(key), str):
            yield holder, key


def take_response(response: Response, *, whole: bool = False) -> Iterator[str]:
    """Yield the texts of an answer: text, reasoning, refusal, and the arguments of tool calls.

    Args:
        response: The answer.
        whole: Yield the text only, as a whole, if it is the answer: a call for tools or a refusal has no other.
    """
    if whole:
        if response.text or not (response.tool_calls or response.refusal):
            yield response.text
        return
    for text in (response.text, response.reasoning, response.refusal):
        if text:  # a stream does not check an empty one either
            yield from take_text(text)
    yield from take_calls(response.tool_calls)


def take_calls(calls: Sequence[ToolCall], *, whole: bool = False) -> Iterator[str]:
    """Yield the texts in the arguments of tool calls, or their whole arguments."""
    for call in calls:
        yield from take_text(call.arguments, _NESTED if whole else 0)


def put_calls(calls: Sequence[ToolCall], checked: Iterator[str], *, whole: bool = False) -> tuple[ToolCall, ...]:
    """Return the tool calls with the checked texts in place."""
    level = _NESTED if whole else 0
    return tuple(replace(call, arguments=put_text(call.arguments, checked, level)) for call in calls)


def put_response(response: Response, checked: Iterator[str], *, whole: bool = False) -> Response:
    """Return the answer with the checked texts in place, without the vendor's object, which has what was redacted."""
    if whole:
        new = replace(response, text=next(checked, response.text))
        return response if new == response else replace(new, raw=None)
    texts = {"text": response.text, "reasoning": response.reasoning, "refusal": response.refusal}
    new = replace(
        response,
        **{name: text and put_text(text, checked) for name, text in texts.items()},
        tool_calls=put_calls(response.tool_calls, checked),
    )
    return response if new == response else replace(new, raw=None)
