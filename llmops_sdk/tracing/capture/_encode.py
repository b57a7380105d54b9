"""Values to JSON: bounded, strict, taken at once, and never by running code of the application.

Most values are small and made of exact builtins: a short walk proves that, and orjson writes them. Everything else is
rebuilt from exact builtins within the bounds, in `_walk`. Neither calls `__repr__`, `__str__` or `__getattr__` of the
application's classes, and iterators are never advanced.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS, Bounds
from llmops_sdk.tracing.capture._walk import ValueWalk
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["UNREADABLE", "encode", "room_left"]

UNREADABLE = b'{"$unreadable":true}'
_NONE = type(None)
_type_of: Any = type  # checkers follow the type of an Any into what they do not know


def room_left(value: Any, room: int, depth: int) -> int:
    """The room left after `value`, negative when it is not exact builtins all through, or too large, or too deep."""
    kind = _type_of(value)  # no cast() below: it is a call, and this runs for every value captured
    # Containers first: what is inside one and most often there, text and ints, is looked at without a call of its own.
    if kind is dict:
        # An entry takes four at least, so a large one is known before it is walked, and room is looked at once.
        if depth <= 0 or 4 * len(value) > room:
            return -1
        for key, item in value.items():
            if type(key) is not str:
                return -1
            inner = _type_of(item)
            if inner is str:
                room -= len(key) + len(item) + 4
            elif inner is int:
                room -= len(key) + 12
            else:
                room = room_left(item, room - len(key) - 4, depth - 1)
                if room < 0:
                    return -1
        return room
    if kind is list or kind is tuple:
        if depth <= 0 or 2 * len(value) > room:
            return -1
        for item in value:
            inner = _type_of(item)
            if inner is str:
                room -= len(item) + 2
            elif inner is int:
                room -= 10
            else:
                room = room_left(item, room - 2, depth - 1)
                if room < 0:
                    return -1
        return room
    if kind is str:
        return room - len(value)
    if kind is int or kind is bool or kind is _NONE:
        return room - 8
    if kind is float and math.isfinite(value):
        return room - 8
    return -1


def encode(value: object, bounds: Bounds = DEFAULT_BOUNDS) -> bytes:
    """`value` as strict JSON in UTF-8, at most about `bounds.max_bytes` long; what is cut is marked.

    Never raises for anything that a value may do.

    Example:
        >>> encode({"n": 1, "items": (1, 2)})
        b'{"n":1,"items":[1,2]}'
        >>> encode(float("nan")), encode({1, 2} - {2})
        (b'"NaN"', b'[1]')
    """
    try:
        kind = type(value)
        # A quarter of the bound: a character may take several bytes in JSON.
        if (
            kind is int
            or kind is bool
            or kind is _NONE
            or room_left(value, bounds.max_bytes >> 2, bounds.max_depth) >= 0
        ):
            # The slice is a copy of just this size. What orjson returns was cut from a kilobyte, and the rest of that
            # stays unusable as long as the span waits: a fresh page of memory for every two spans or so.
            return orjson.dumps((value,))[1:-1]
    except (TypeError, ValueError, RuntimeError):
        # An int over 64 bits, a lone surrogate, or a container that another thread changes: all handled below.
        return guarded("capture", UNREADABLE, _encode_any, value, bounds)
    return guarded("capture", UNREADABLE, _encode_any, value, bounds)


def _encode_any(value: object, bounds: Bounds) -> bytes:
    walk = ValueWalk(bounds)
    line = orjson.dumps(walk.whole(value))
    limit = bounds.max_bytes * 3 // 2
    if walk.cut or len(line) > limit:
        record_loss("value", "too_large", 1, walk.cut)
    if len(line) <= limit:
        return line
    # Many markers made it longer than the walk could know.
    return orjson.dumps({"$truncated": len(line), "$head": line[: bounds.max_bytes // 2].decode("utf-8", "ignore")})
