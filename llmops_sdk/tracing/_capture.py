"""Values to JSON: bounded, strict, taken at once, and never by running code of the application.

Most values are small and made of exact builtins: a short walk proves that, and orjson writes them. Everything else is
rebuilt from exact builtins within the bounds, in `_walk`. Neither calls `__repr__`, `__str__` or `__getattr__` of the
application's classes, and iterators are never advanced.
"""

from __future__ import annotations

import inspect
import math
import types
from typing import Any, NamedTuple

import orjson

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing._waiting import WAITING_ITEMS
from llmops_sdk.tracing._walk import Walk

__all__ = ["DEFAULT_BOUNDS", "UNREADABLE", "Bounds", "Parameters", "encode"]

UNREADABLE = b'{"$unreadable":true}'
_NONE = type(None)
_type_of: Any = type  # checkers follow the type of an Any into what they do not know


class Bounds(NamedTuple):
    """How much of a value is kept."""

    max_bytes: int = 65_536
    max_depth: int = 12
    max_items: int = 1_000
    max_blob_bytes: int = 8 * 1024 * 1024


DEFAULT_BOUNDS = Bounds()


def _room_left(value: Any, room: int, depth: int) -> int:
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
                room = _room_left(item, room - len(key) - 4, depth - 1)
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
                room = _room_left(item, room - 2, depth - 1)
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
            or _room_left(value, bounds.max_bytes >> 2, bounds.max_depth) >= 0
        ):
            # The slice is a copy of just this size. What orjson returns was cut from a kilobyte, and the rest of that
            # stays unusable as long as the span waits: a fresh page of memory for every two spans or so.
            return orjson.dumps((value,))[1:-1]
    except (TypeError, ValueError, RuntimeError):
        # An int over 64 bits, a lone surrogate, or a container that another thread changes: all handled below.
        return guarded("capture", UNREADABLE, _encode_any, value, bounds)
    return guarded("capture", UNREADABLE, _encode_any, value, bounds)


class Parameters:
    """The parameters of a callable, to capture its arguments by name.

    Args:
        function: A function, or anything else that can be called: its arguments then have no names.
        ignore: Names that are not kept.
    """

    __slots__ = ("_bound_forms", "_bound_names", "_forms", "_heads", "_ignore", "_names", "_varargs")

    def __init__(self, function: object, ignore: frozenset[str] = frozenset()) -> None:
        found: object = getattr(function, "__code__", None)
        code = found if isinstance(found, types.CodeType) else None
        self._names: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code else ()
        self._bound_names = self._names[1:]
        index = code.co_argcount + code.co_kwonlyargcount if code and code.co_flags & inspect.CO_VARARGS else None
        self._varargs = code.co_varnames[index] if code and index is not None else "args"
        self._ignore = ignore
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
        self._heads = {name: b"," + orjson.dumps(name) + b":" for name in known if name not in ignore}
        if code and code.co_posonlyargcount and code.co_flags & inspect.CO_VARKEYWORDS:
            self._heads.clear()  # a keyword may have the name of a parameter too: not the fast way
        self._forms = self._forms_of(self._names)
        self._bound_forms = self._forms_of(self._bound_names)

    def _forms_of(self, names: tuple[str, ...]) -> list[bytes]:
        """The object of the first none, one, two, … parameters, with a place for each value."""
        forms = [b"{}"]
        for name in names[:WAITING_ITEMS]:
            if name not in self._heads:
                break
            start = b"{" if len(forms) == 1 else forms[-1][:-1] + b","
            forms.append(start + orjson.dumps(name).replace(b"%", b"%%") + b":%b}")
        return forms

    def encode_waiting(
        self, bound: bool, args: tuple[object, ...], kwargs: dict[str, object] | None, bounds: Bounds
    ) -> bytes:
        """As `encode`, of values that `may_wait`."""
        forms = self._bound_forms if bound else self._forms
        if kwargs or len(args) >= len(forms):
            return self.encode(bound, args, kwargs or {}, bounds)
        try:
            return forms[len(args)] % tuple(map(orjson.dumps, args))
        except TypeError:  # a lone surrogate
            return self.encode(bound, args, {}, bounds)

    def encode(
        self, bound: bool, args: tuple[object, ...], kwargs: dict[str, object], bounds: Bounds = DEFAULT_BOUNDS
    ) -> bytes:
        """The arguments of a call as a JSON object by parameter name.

        Args:
            bound: Whether the first parameter (self, cls) is bound already and not among `args`.
            args: The positional arguments.
            kwargs: The keyword arguments.
            bounds: How much is kept.
        """
        names = self._bound_names if bound else self._names
        try:
            if len(args) == 1 and names and not kwargs and names[0] in self._heads:
                name, value = names[0], args[0]
                if _room_left(value, bounds.max_bytes >> 2, bounds.max_depth) >= 0:
                    return orjson.dumps(({name: value},))[1:-1]  # a slice for the sake of memory, as in `encode`
            return self._joined(names, args, kwargs, bounds)
        except (KeyError, TypeError, ValueError, RuntimeError):
            # A name that is ignored or unknown, or a value that the fast way does not take.
            values: dict[str, object] = dict(zip(names, args, strict=False))
            if len(args) > len(names):
                values[self._varargs] = args[len(names) :]
            values = {name: value for name, value in values.items() if name not in self._ignore}
            for name, value in kwargs.items():
                if name not in self._ignore:
                    # As the keyword `a` of f(a, /, **more), or `args` of f(*args, **more).
                    values[f"{name}#2" if name in values else name] = value
            return encode(values, bounds)

    def _joined(
        self, names: tuple[str, ...], args: tuple[object, ...], kwargs: dict[str, object], bounds: Bounds
    ) -> bytes:
        """The same from pieces, without building the mapping first; raises where that cannot be done."""
        if len(args) > len(names):
            raise ValueError
        heads = self._heads
        room = bounds.max_bytes >> 2
        pieces: list[bytes] = []
        named = zip(names, args) if not kwargs else (*zip(names, args), *kwargs.items())  # noqa: B905 - fewer are right
        for name, value in named:
            kind = type(value)
            if kind is not int and kind is not bool:
                room = _room_left(value, room, bounds.max_depth)
                if room < 0:
                    raise ValueError
            pieces.append(heads[name])
            pieces.append(orjson.dumps(value))
        return b"{" + b"".join(pieces)[1:] + b"}"


def _encode_any(value: object, bounds: Bounds) -> bytes:
    walk = Walk(bounds)
    line = orjson.dumps(walk.whole(value))
    limit = bounds.max_bytes * 3 // 2
    if walk.cut or len(line) > limit:
        # Imported here: the runtime stands above this module, and few values are cut.
        from llmops_sdk.tracing._runtime import record_loss

        record_loss("value", "too_large", 1, walk.cut)
    if len(line) <= limit:
        return line
    # Many markers made it longer than the walk could know.
    return orjson.dumps({"$truncated": len(line), "$head": line[: bounds.max_bytes // 2].decode("utf-8", "ignore")})
