"""The key of an answer: a digest of everything that affects the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from operator import attrgetter
from typing import Any, cast

from llmops_sdk.providers import Request
from llmops_sdk.providers._canonical import canonical_numbers

__all__ = ["KEY_VERSION", "NOT_IN_KEY", "RequestKeys", "digest", "request_key", "typed_digest"]

KEY_VERSION = 2
"""Raise it to give every request a new key, so that older entries are not found."""

NOT_IN_KEY = frozenset({"timeout", "cache", "first_attempt", "reason", "unchecked", "restore", "route"})
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
    return RequestKeys(namespace, identity).key(request)


_FIELDS = tuple(field.name for field in fields(Request) if field.name not in NOT_IN_KEY)
_PARAMS, _EXTRA = _FIELDS.index("params"), _FIELDS.index("extra")
_values_of: Callable[[Request], tuple[Any, ...]] = attrgetter(*_FIELDS)


class RequestKeys:
    """Makes the keys of requests to one model; what all of them share is hashed once.

    Args:
        namespace: As for `request_key`.
        identity: As for `request_key`.
    """

    def __init__(self, namespace: str, identity: str) -> None:
        shared = json.dumps([KEY_VERSION, namespace, identity, _FIELDS])
        self._shared = hashlib.blake2b(shared.encode("ascii"), digest_size=32)

    def key(self, request: Request) -> str | None:
        """Return the key of a request, or None; see `request_key`."""
        values = list(_values_of(request))
        try:
            for place in (_PARAMS, _EXTRA):
                if values[place]:
                    values[place] = canonical_numbers(values[place])
            text = _canonical_json(values)
        except (TypeError, ValueError, RecursionError):
            return None
        made = self._shared.copy()
        made.update(text.encode("ascii"))
        return made.hexdigest()


def digest(value: object) -> str | None:
    """Return the BLAKE2b-256 digest of a value as canonical JSON, or None when it is not JSON."""
    try:
        text = _canonical_json(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return hashlib.blake2b(text.encode("ascii"), digest_size=32).hexdigest()


def typed_digest(value: object) -> str | None:
    """Return the digest of a value that tells its types apart, or None when it is not JSON and no tuple or enum.

    JSON alone makes the key 1 and the key "1" one, and a tuple a list. A function may treat them differently.
    """
    try:
        typed = _typed(value)
    except (TypeError, RecursionError):
        return None
    return digest(typed)


def _typed(value: Any) -> Any:
    """Return scalars unchanged, and other values as a dict from the name of the type to the parts."""
    kind = cast("type[Any]", type(value))
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list or kind is tuple:
        return {kind.__name__: [_typed(item) for item in value]}
    if kind is dict:
        items = [[_typed(key), _typed(item)] for key, item in value.items()]
        return {"dict": sorted(items, key=lambda item: json.dumps(item[0]))}
    if isinstance(value, Enum):
        return {"enum": [kind.__module__, kind.__qualname__, value.name]}
    raise TypeError("not JSON")


def _plain(value: object) -> Any:
    """Return other mappings and sequences as a dict or list."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, (bytes, bytearray, memoryview)) or not isinstance(value, Sequence):
        raise TypeError("not JSON")
    return list(cast("Sequence[Any]", value))


# The standard library's encoder refuses NaN and writes big integers and lone surrogates; faster ones do not. Made once:
# `json.dumps` with options makes one for each call.
_canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain).encode
