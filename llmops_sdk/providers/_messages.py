"""Reading messages in the OpenAI chat shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["last_text", "text_of"]


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message: its content, or the text parts of it one after the other."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return ""
    texts: list[str] = []
    for part in cast("Sequence[object]", content):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            text = cast("Mapping[str, object]", part).get("text")
            if isinstance(text, str):
                texts.append(text)
    return "\n".join(texts)


def last_text(messages: Sequence[Mapping[str, Any]], role: str) -> str | None:
    """The text of the last message of `role`, or None when there is none."""
    for message in reversed(messages):
        if message.get("role") == role:
            return text_of(message)
    return None
