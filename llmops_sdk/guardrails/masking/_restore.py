"""Put the values back into an answer: for the user, and for the tools that may have them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from llmops_sdk.guardrails._texts import put, put_text, take, take_text
from llmops_sdk.guardrails.masking._masks import LONGEST_PLACEHOLDER, Masks
from llmops_sdk.providers import Accumulator, Chunk, Response, ToolCall, chunks_of

__all__ = ["ItemRestorer", "StreamRestorer", "TextRestorer", "restored_response", "restored_text", "restored_value"]

_TEXTS = ("text", "reasoning", "refusal")
_BEGINNING = re.compile(r"\[[A-Z0-9_]*\Z")


def restored_value(value: Any, masks: Masks) -> Any:
    """Return lists, tuples and dicts of any depth with the values in their strings."""
    return put(value, iter([masks.restore(text) for text in take(value)])) if masks else value


def restored_response(response: Response, masks: Masks, tools: Collection[str] = ()) -> Response:
    """Return an answer with the values instead of the placeholders.

    Args:
        response: The answer of the model.
        masks: The placeholders of the conversation.
        tools: The names of the tools whose arguments get the values; the others keep the placeholders.
    """
    if not masks:
        return response
    new = replace(
        response,
        **{name: restored_text(getattr(response, name), masks) for name in _TEXTS},
        tool_calls=tuple(_restored_call(call, masks) if call.name in tools else call for call in response.tool_calls),
    )
    # The parsed object has placeholders too: who needs it parses the text again.
    return response if new == response else replace(new, raw=None, parsed=None)


def restored_text(text: str, masks: Masks) -> str:
    """Return a text with the values instead of the placeholders; in JSON they get JSON's escapes."""
    return put_text(text, iter([masks.restore(one) for one in take_text(text)])) if text else text


def _restored_call(call: ToolCall, masks: Masks) -> ToolCall:
    return replace(call, arguments=restored_text(call.arguments, masks))


class TextRestorer:
    """Restores a text that comes in pieces; what may be the beginning of a placeholder waits for the next piece.

    Args:
        masks: The placeholders of the conversation.
    """

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._held = ""
        self._word = ""

    def add(self, piece: str) -> str:
        """Return what can go on after the next piece."""
        text = self._held + piece
        start = _BEGINNING.search(text, max(len(text) - LONGEST_PLACEHOLDER, 0))
        place = start.start() if start else len(text)
        self._held = text[place:]
        return self._restored(text[:place])

    def finish(self) -> str:
        """Return what still waits."""
        held, self._held = self._held, ""
        return self._restored(held)

    def _restored(self, text: str) -> str:
        restored, self._word = self._masks.restore_from(text, self._word)
        return restored


class ItemRestorer:
    """Restores the items of a generator: strings as one text, other items each on its own.

    Args:
        masks: The placeholders of the conversation.
    """

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._text = TextRestorer(masks)

    def add(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return the next items as they can go on."""
        if not self._masks:
            return items
        restored = [self._text.add(one) if type(one) is str else restored_value(one, self._masks) for one in items]
        return [new for new, one in zip(restored, items, strict=True) if new or not one]

    def finish(self) -> Sequence[str]:
        """Return the text that still waits."""
        rest = self._text.finish()
        return [rest] if rest else []


class StreamRestorer:
    """Restores the chunks of a stream.

    A text that may be JSON, and tool calls for a tool that gets values, wait for their end.

    Args:
        masks: The placeholders of the conversation.
        tools: The names of the tools whose arguments get the values.
    """

    def __init__(self, masks: Masks, tools: Collection[str] = ()) -> None:
        self._masks = masks
        self._tools = tools
        self._start()

    def _start(self) -> None:
        self._texts = {name: TextRestorer(self._masks) for name in _TEXTS}
        self._json: list[str] | None = None
        self._began = False
        self._calls = Accumulator()
        self._has_calls = False

    def add(self, chunk: Chunk) -> Chunk:
        """Return the chunk as it can go on."""
        if chunk.restarted:
            self._start()
        if not self._masks:
            return chunk
        new = {name: self._texts[name].add(getattr(chunk, name)) for name in _TEXTS[1:] if getattr(chunk, name)}
        if chunk.text:
            new["text"] = self._add_text(chunk.text)
        if chunk.tool_calls and self._tools:
            self._calls.add(Chunk(tool_calls=chunk.tool_calls))
            self._has_calls = True
            return replace(chunk, tool_calls=(), raw=None, **new)
        changed = any(new[name] != getattr(chunk, name) for name in new)
        return replace(chunk, raw=None, **new) if changed else chunk

    def _add_text(self, piece: str) -> str:
        if not self._began and piece.strip():
            self._began = True
            self._json = [] if piece.lstrip()[0] in "{[" else None
        if self._json is None:
            return self._texts["text"].add(piece)
        self._json.append(piece)
        return ""

    def finish(self) -> Sequence[Chunk]:
        """Return the chunks that still wait."""
        rest: dict[str, Any] = {name: self._texts[name].finish() for name in _TEXTS}
        if self._json is not None:
            rest["text"] = restored_text("".join(self._json), self._masks)
        found = [Chunk(**rest)] if any(rest.values()) else []
        if self._has_calls:
            whole = restored_response(self._calls.response(), self._masks, self._tools)
            found += [chunk for chunk in chunks_of(whole) if chunk.tool_calls]
        return found
