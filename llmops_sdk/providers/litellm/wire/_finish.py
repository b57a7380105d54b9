"""Name the reason why an answer ended, from the vendor's own word."""

from __future__ import annotations

import logging

__all__ = ["finish_of", "finish_reason", "is_known"]

_log = logging.getLogger("llmops_sdk")
_MAX_WARNED = 1_000
_warned: set[tuple[str, str]] = set()

# Words of the vendors in lower case, and OpenAI's name for each. A word that is not here stays as it is: "abort" or
# "network_error" must not look like a good end.
_WORDS = {
    "stop": ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete"),
    "length": ("length", "max_tokens"),
    "tool_calls": ("tool_calls", "function_call", "tool_use", "tool_call"),
    "content_filter": (
        "content_filter", "content_filtered", "refusal", "safety", "recitation", "blocklist", "prohibited_content",
        "spii", "image_safety", "image_prohibited_content", "error_toxic", "guardrail_intervened", "sensitive",
    ),
}  # fmt: skip
_NAMES = {word: name for name, words in _WORDS.items() for word in words}


def finish_of(word: object) -> str | None:
    """Return the OpenAI name of a finish reason, an unknown word unchanged, and None for none."""
    return _NAMES.get(word.lower(), word) if isinstance(word, str) and word else None


def is_known(word: str) -> bool:
    """Return whether a vendor's word means one of OpenAI's finish reasons; an empty word is none."""
    return not word or word.lower() in _NAMES


def finish_reason(word: object, *, has_calls: bool, model: str, refused: bool = False) -> str | None:
    """Return the finish reason of an answer, and tell an unknown one once.

    Args:
        word: The vendor's word, or None.
        has_calls: Whether the answer calls tools.
        model: The model, for the warning.
        refused: Whether the answer is a refusal; OpenAI ends one with "stop".
    """
    reason = finish_of(word)
    if refused and reason in {"stop", None}:
        return "refusal"
    if reason == "stop" and has_calls:
        return "tool_calls"  # some servers write "stop" after tool calls too
    if reason == "tool_calls" and not has_calls:
        return "stop"  # litellm asks Anthropic for a schema by a tool, and returns that call as text
    if reason not in _WORDS and (model, reason or "") not in _warned and len(_warned) < _MAX_WARNED:
        _warned.add((model, reason or ""))
        told = f'with the unknown finish reason "{reason[:60]}"' if reason else "without a finish reason"
        _log.warning("llmops: %s ended an answer %s; it may be incomplete (logged once)", model, told)
    return reason
