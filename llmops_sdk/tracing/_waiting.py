"""Which values need no snapshot at the call: they cannot change, so the pipeline's thread may encode them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["WAITING_ITEMS", "may_wait"]

WAITING_ITEMS = 16
"""How many values of one span may wait; with the bounds below that is a small part of what a span holds."""
_SMALL_TEXT = 256  # characters
_INT_LIMIT = 1 << 63


def may_wait(values: Iterable[object]) -> bool:
    """Whether all are small and cannot change, so that the pipeline's thread may encode them later."""
    for value in values:
        kind = type(value)
        if kind is int:
            if not -_INT_LIMIT <= value < _INT_LIMIT:  # pyright: ignore[reportOperatorIssue] - it is an int
                return False
        elif kind is str:
            if len(value) > _SMALL_TEXT:  # pyright: ignore[reportArgumentType] - it is a str; a cast would be a call
                return False
        elif value is not None and kind is not bool and kind is not float:
            return False
    return True
