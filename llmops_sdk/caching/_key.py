"""The key of an answer: a digest of everything that affects the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from llmops_sdk.providers import Request

__all__ = ["KEY_VERSION", "NOT_IN_KEY", "digest", "request_key"]

KEY_VERSION = 1
"""Raise it to give every request a new key, so that older entries are not found."""

NOT_IN_KEY = frozenset({"timeout", "cache", "first_attempt", "reason"})
"""The fields of a request that do not affect the answer; a field added later is in the key."""


def request_key(request: Request, *, namespace: str = "", identity: str = "") -> str | None:
    """Return the key of a request, 64 hex digits; None when a part of it is not JSON and so has no stable form.

    Args:
        request: The request.
        namespace: Only calls of the same namespace share answers.
        identity: What distinguishes the model from others of its name, such as its server's URL.

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
    """Return the BLAKE2b-256 digest of a value as canonical JSON, or None when it is not JSON.

    The standard library's encoder refuses NaN and writes big integers and lone surrogates; faster ones do not.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.blake2b(text.encode("ascii"), digest_size=32).hexdigest()


def _plain(value: object) -> Any:
    """Return other mappings and sequences as a dict or list."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, (bytes, bytearray, memoryview)) or not isinstance(value, Sequence):
        raise TypeError("not JSON")
    return list(cast("Sequence[Any]", value))
