"""Which values need no snapshot at the call: they cannot change, so the pipeline's thread may encode them."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

__all__ = ["INT_LIMIT", "SMALL_TEXT", "WAITING_BYTES", "WAITING_ITEMS", "may_wait"]

WAITING_ITEMS = 16
"""How many values of one span may wait; with the bounds below that is a small part of what a span holds."""
SMALL_TEXT = 256  # characters
WAITING_BYTES = 4 * WAITING_ITEMS * (SMALL_TEXT + 8)
"""The bound of a value from which on nothing that waits can be too large."""
INT_LIMIT = 1 << 63


def may_wait(values: Iterable[object]) -> bool:
    """Whether all are small and cannot change, so that the pipeline's thread may encode them later."""
    for value in values:
        kind = type(value)
        if kind is int:
            if not -INT_LIMIT <= value < INT_LIMIT:  # pyright: ignore[reportOperatorIssue] - it is an int
                return False
        elif kind is str:
            if len(value) > SMALL_TEXT:  # pyright: ignore[reportArgumentType] - it is a str; a cast would be a call
                return False
        elif kind is float:
            if not isfinite(value):  # pyright: ignore[reportArgumentType] - it is a float
                return False
        elif value is not None and kind is not bool:
            return False
    return True
