"""Digests of JSON values."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

__all__ = ["canonical", "digest"]

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def canonical(value: Any) -> bytes:
    """Return a JSON value as bytes that are equal for equal values, whatever the order of keys.

    Args:
        value: A JSON value. Integers of any size and lone surrogates are fine.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except (orjson.JSONEncodeError, TypeError):
        import json

        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, in hex.

    Args:
        value: A JSON value.
    """
    return hashlib.sha256(canonical(value)).hexdigest()
