"""The key of an answer: a digest of everything that affects it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from llmops_sdk.providers import Request

__all__ = ["KEY_VERSION", "NOT_IN_KEY", "digest", "request_key"]

KEY_VERSION = 1
"""Raised when the same request is to have another key, so that older entries are not found."""

NOT_IN_KEY = frozenset({"timeout", "cache", "first_attempt", "reason"})
"""The fields of a request that say how it is made, not what is asked; a field added later is in the key."""


def request_key(request: Request, *, namespace: str = "", identity: str = "") -> str | None:
    """The key of a request, 64 hex digits, or None when something in it is not JSON and so has no stable form.

    Args:
        request: What is asked.
        namespace: Answers are shared only within one.
        identity: What else tells one model from another of the same name, as in its server's URL or its revision.

    Example:
        >>> from llmops_sdk.caching import request_key
        >>> from llmops_sdk.providers import Request
        >>> one = Request(model="a/b", messages=[{"role": "user", "content": "Hi"}])
        >>> other = Request(model="a/b", messages=[{"role": "user", "content": "Hi!"}])
        >>> len(request_key(one)), request_key(one) == request_key(other)
        (64, False)
    """
    asked = {field.name: getattr(request, field.name) for field in fields(request) if field.name not in NOT_IN_KEY}
    return digest({"version": KEY_VERSION, "namespace": namespace, "identity": identity, "request": asked})


def digest(value: object) -> str | None:
    """BLAKE2b-256 over canonical JSON, or None for what is not JSON.

    The standard library's encoder and not a faster one: it refuses NaN, and writes big integers and lone surrogates.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.blake2b(text.encode("ascii"), digest_size=32).hexdigest()


def _plain(value: object) -> Any:
    """Mappings and sequences of other types than dict and list, as these."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, (bytes, bytearray, memoryview)) or not isinstance(value, Sequence):
        raise TypeError("not JSON")
    return list(cast("Sequence[Any]", value))
