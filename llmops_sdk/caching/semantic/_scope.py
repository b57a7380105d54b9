"""What must be equal before two questions are compared at all: everything in a request but the last thing said.

With `history = "facts"`, what user and assistant said before is compared by its facts, and is not in the scope either.

The canonical form is that of the exact key (`request_key`) without the text of the last message, which must be the
user's. So the model, system prompt, earlier messages, tools, response format, parameters, images, guards, server and
namespace are one digest: entries of different digests never meet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from llmops_sdk.caching.exact._key import RequestKeys
from llmops_sdk.providers import Request

__all__ = ["Question", "question_of", "read_earlier"]

_ROLES = frozenset({"system", "user", "assistant"})
_MAX_EARLIER = 200_000  # characters; what is longer is not compared

_ASKED = "\x00question"
"""Stands for the question in the scope's key. A message of a user that is this text alone gets another scope."""


class Question(NamedTuple):
    """A request as the semantic tier sees it.

    Attributes:
        scope: The digest of everything else, 64 hex digits.
        text: What the user said last.
        earlier: What was said before as JSON, a list of [role, text]; "" where that is in the scope.
    """

    scope: str
    text: str
    earlier: str = ""


def question_of(request: Request, keys: RequestKeys, history: str = "exact") -> Question | None:
    """Return the question in a request; None when its last message is not a user's text, or the rest has no key.

    Args:
        request: The request.
        keys: Makes the keys of requests to this model.
        history: "exact", or "facts" to take plain texts of user and assistant out of the scope.

    Example:
        >>> from llmops_sdk.caching.exact._key import RequestKeys
        >>> from llmops_sdk.caching.semantic._scope import question_of
        >>> from llmops_sdk.providers import Request
        >>> keys = RequestKeys("", "")
        >>> one, other = (Request(model="a/b", messages=[{"role": "user", "content": text}]) for text in ("Hi", "Ho"))
        >>> question_of(one, keys).text, question_of(one, keys).scope == question_of(other, keys).scope
        ('Hi', True)
    """
    last = request.messages[-1] if request.messages else None
    if not isinstance(last, Mapping) or last.get("role") != "user":
        return None
    split = _split(last.get("content"))
    if split is None:
        return None
    text, rest = split
    before, earlier = list(request.messages[:-1]), ""
    if history == "facts" and all(_is_plain(one) for one in before):
        said = [[one["role"], one["content"]] for one in before if one["role"] != "system"]
        before = [one for one in before if one["role"] == "system"]
        earlier = json.dumps(said) if said else ""
        if len(earlier) > _MAX_EARLIER:
            return None
    scope = keys.key(replace(request, messages=[*before, {**last, "content": rest}]))
    return None if scope is None else Question(scope, text, earlier)


def read_earlier(earlier: str) -> list[dict[str, str]]:
    """Return what was said before as messages; nothing for a text that `question_of` did not write."""
    try:
        said = cast("list[list[object]]", json.loads(earlier)) if earlier else []
        return [{"role": str(role), "content": str(text)} for role, text in said]
    except (ValueError, TypeError):
        return []


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Return whether a message is a text of the system, user or assistant and nothing else."""
    return set(message) == {"role", "content"} and message["role"] in _ROLES and isinstance(message["content"], str)


def _split(content: Any) -> tuple[str, Any] | None:
    """Return the text of a content and the content without it; None for one without exactly one text."""
    if isinstance(content, str):
        return (content, [_ASKED]) if content.strip() else None
    if not isinstance(content, Sequence):
        return None
    parts = list(cast("Sequence[object]", content))
    texts = [(at, part["text"]) for at, part in enumerate(map(_text_part, parts)) if part is not None]
    if len(texts) != 1 or not texts[0][1].strip():
        return None
    at, text = texts[0]
    return text, [*parts[:at], {**cast("Mapping[str, Any]", parts[at]), "text": _ASKED}, *parts[at + 1 :]]


def _text_part(part: object) -> Mapping[str, Any] | None:
    """Return a part of a message that is a text, or None."""
    if not isinstance(part, Mapping):
        return None
    found = cast("Mapping[str, Any]", part)
    return found if found.get("type") == "text" and isinstance(found.get("text"), str) else None
