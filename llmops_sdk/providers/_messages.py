"""Read messages in the OpenAI chat shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["last_text", "text_of"]


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message: its content, or the text parts of its content on lines of their own."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return ""
    parts = cast("Sequence[object]", content)
    texts = [cast("Mapping[str, object]", part).get("text") if isinstance(part, Mapping) else part for part in parts]
    return "\n".join(text for text in texts if isinstance(text, str))


def last_text(messages: Sequence[Mapping[str, Any]], role: str) -> str | None:
    """Return the text of the last message of `role`, or None if there is none."""
    return next((text_of(message) for message in reversed(messages) if message.get("role") == role), None)
