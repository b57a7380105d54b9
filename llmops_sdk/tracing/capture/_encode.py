"""Encode values as bounded, strict JSON at once, without running the application's code.

Most values are small and consist of exact builtins: a short check proves that, and orjson writes them. `_walk` rebuilds
all others from exact builtins within the bounds. Neither calls `__repr__`, `__str__` or `__getattr__` of the
application's classes, and neither advances an iterator.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.capture._bounds import DEFAULT_BOUNDS, Bounds
from llmops_sdk.tracing.capture._walk import ValueWalk
from llmops_sdk.tracing.records._losses import record_loss

__all__ = ["encode", "room_left"]

_UNREADABLE = b'{"$unreadable":true}'
_NONE = type(None)
_type_of: Any = type  # as Any, so that checkers do not infer types for its result


def room_left(value: Any, room: int, depth: int) -> int:
    """Return the room left after `value`; negative if it is too large, too deep, or not made of exact builtins only."""
    cls = _type_of(value)  # no cast() below: it is a call, and this runs for every captured value
    # Containers first: the loops handle their most frequent items, texts and ints, without a call.
    if cls is dict:
        # An entry takes at least four bytes, so this rejects a large dict before the loop.
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
    if cls is list or cls is tuple:
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
    if cls is str:
        return room - len(value)
    if cls is int or cls is bool or cls is _NONE:
        return room - 8
    if cls is float and math.isfinite(value):
        return room - 8
    return -1


def encode(value: object, bounds: Bounds = DEFAULT_BOUNDS) -> bytes:
    """Encode the value as strict JSON in UTF-8 of at most about `bounds.max_bytes`; markers show what is cut.

    It never raises because of the value.

    Example:
        >>> encode({"n": 1, "items": (1, 2)})
        b'{"n":1,"items":[1,2]}'
        >>> encode(float("nan")), encode({1, 2} - {2})
        (b'"NaN"', b'[1]')
    """
    try:
        cls = type(value)
        # A quarter of the bound, because a character may take several bytes in JSON.
        if cls is int or cls is bool or cls is _NONE or room_left(value, bounds.max_bytes >> 2, bounds.max_depth) >= 0:
            # The slice makes a copy of the exact size. orjson's result sits in a block of a kilobyte, and the rest of
            # that block stays unusable while the span is queued: about one fresh page of memory for every two spans.
            return orjson.dumps((value,))[1:-1]
    except (TypeError, ValueError, RuntimeError):
        # An int over 64 bits, a lone surrogate, or a container that another thread changes: the walk handles them.
        return guarded("capture", _UNREADABLE, _encode_any, value, bounds)
    return guarded("capture", _UNREADABLE, _encode_any, value, bounds)


def _encode_any(value: object, bounds: Bounds) -> bytes:
    walk = ValueWalk(bounds)
    line = orjson.dumps(walk.rebuild_all(value))
    limit = bounds.max_bytes * 3 // 2
    if walk.omitted or len(line) > limit:
        record_loss("value", "too_large", 1, walk.omitted)
    if len(line) <= limit:
        return line
    # Many markers made it longer than the walk estimated.
    return orjson.dumps({"$truncated": len(line), "$head": line[: bounds.max_bytes // 2].decode("utf-8", "ignore")})
