"""Find what a person asks in a conversation: not tool results, and not what an agent's harness added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = ["MAX_CHARACTERS", "asked_text"]

MAX_CHARACTERS = 20_000
"""Of a longer text the beginning and the end count, half each."""
_MAX_BLOCKS = 1_000


def asked_text(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """Return the last message of a user that has a text of their own.

    Blocks that a harness puts into a message, `<system-reminder>...</system-reminder>` and the like, are left out: a
    block of tags with a hyphen or an underscore in their name, at the beginning of a line. So are tool results, and
    summaries that replace an earlier part of the conversation.

    Args:
        prompt: A text, or messages in the OpenAI chat shape.

    Example:
        >>> from llmops_sdk.routing.features._asked import asked_text
        >>> asked_text("<system-reminder>Be brief.</system-reminder> Why is the sky blue?")
        'Why is the sky blue?'
    """
    if isinstance(prompt, str):
        return _cut(_without_blocks(prompt) or prompt)
    texts = [_text_of(message.get("content")) for message in prompt if message.get("role") == "user"]
    for text in reversed(texts):
        own = _without_blocks(text)
        if own:
            return _cut(own)
    return _cut(texts[-1]) if texts else ""


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = [cast("Mapping[str, Any]", part) for part in cast("Sequence[object]", content) if isinstance(part, Mapping)]
    return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") in ("text", "input_text"))


def _without_blocks(text: str) -> str:
    """Return a text without the blocks of a harness, in one pass."""
    kept: list[str] = []
    at = 0
    for _ in range(_MAX_BLOCKS):
        begin = text.find("<", at)
        if begin < 0:
            break
        end_of_name = _end_of_name(text, begin + 1)
        name = text[begin + 1 : end_of_name]
        is_line_start = not text[text.rfind("\n", 0, begin) + 1 : begin].strip()
        is_tag = is_line_start and end_of_name < len(text) and text[end_of_name] in " >" and _is_harness(name)
        close = text.find(f"</{name}>", end_of_name) if is_tag else -1
        if close < 0:
            kept.append(text[at : begin + 1])
            at = begin + 1
            continue
        kept.append(text[at:begin])
        at = close + len(name) + 3
    kept.append(text[at:])
    return "".join(kept).strip()


def _end_of_name(text: str, at: int) -> int:
    end = at
    while end < len(text) and end - at < 64 and (text[end].isalnum() or text[end] in "-_"):
        end += 1
    return end


def _is_harness(name: str) -> bool:
    return name[:1].isalpha() and ("-" in name or "_" in name or name.lower() in {"summary", "context", "system"})


def _cut(text: str) -> str:
    half = MAX_CHARACTERS // 2
    return text if len(text) <= MAX_CHARACTERS else f"{text[:half]}\n{text[-half:]}"
