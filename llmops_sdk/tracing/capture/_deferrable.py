"""Tell which values need no snapshot at the call: small immutable ones, which the pipeline's thread encodes later."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

__all__ = ["INT_LIMIT", "MAX_DEFERRED_TEXT", "MAX_DEFERRED_VALUES", "MIN_BYTES_TO_DEFER", "can_defer"]

MAX_DEFERRED_VALUES = 16
"""The number of values that one span may defer: a small part of a span's memory."""
MAX_DEFERRED_TEXT = 256  # characters
MIN_BYTES_TO_DEFER = 4 * MAX_DEFERRED_VALUES * (MAX_DEFERRED_TEXT + 8)
"""Defer only if `max_bytes` is at least this: then no deferred value can be too large."""
INT_LIMIT = 1 << 63


def can_defer(values: Iterable[object]) -> bool:
    """Tell whether all values are small and immutable, so that the pipeline's thread may encode them later."""
    for value in values:
        cls = type(value)
        if cls is int:
            if not -INT_LIMIT <= value < INT_LIMIT:  # pyright: ignore[reportOperatorIssue] - it is an int
                return False
        elif cls is str:
            if len(value) > MAX_DEFERRED_TEXT:  # pyright: ignore[reportArgumentType] - it is a str; a cast would be a call
                return False
        elif cls is float:
            if not isfinite(value):  # pyright: ignore[reportArgumentType] - it is a float
                return False
        elif value is not None and cls is not bool:
            return False
    return True
