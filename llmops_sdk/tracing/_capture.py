"""Values to JSON: bounded, strict, taken at once, and never by running code of the application.

Most values are small and made of exact builtins: a short walk proves that, and orjson writes them. Everything else
goes through `_plain`, which rebuilds the value from exact builtins within the bounds. Neither calls `__repr__`,
`__str__` or `__getattr__` of the application's classes, and iterators are never advanced.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import inspect
import math
import os
import types
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

import orjson

from llmops_sdk._util._guard import Caught, guarded

__all__ = ["DEFAULT_BOUNDS", "UNREADABLE", "Bounds", "Parameters", "encode"]

UNREADABLE = b'{"$unreadable":true}'
_NONE = type(None)
_INT_LIMIT = 1 << 63
_type_of: Any = type  # checkers follow the type of an Any into what they do not know


class Bounds(NamedTuple):
    """How much of a value is kept."""

    max_bytes: int = 65_536
    max_depth: int = 12
    max_items: int = 1_000


DEFAULT_BOUNDS = Bounds()


def _room_left(value: Any, room: int, depth: int) -> int:
    """The room left after `value`, negative when it is not exact builtins all through, or too large, or too deep."""
    kind = _type_of(value)  # no cast() below: it is a call, and this runs for every value captured
    if kind is str:
        return room - len(value)
    if kind is int or kind is bool or kind is _NONE:
        return room - 8
    if kind is float:
        return room - 8 if math.isfinite(value) else -1
    if depth <= 0:
        return -1
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return -1
            # Text and ints are most of what there is: a look here saves a call for each.
            inner = _type_of(item)
            if inner is str:
                room -= len(key) + 4 + len(item)
            elif inner is int:
                room -= len(key) + 12
            else:
                room = _room_left(item, room - len(key) - 4, depth - 1)
            if room < 0:
                return -1
        return room
    if kind is list or kind is tuple:
        for item in value:
            room = _room_left(item, room - 2, depth - 1)
            if room < 0:
                return -1
        return room
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

    __slots__ = ("_bound_names", "_heads", "_ignore", "_names", "_varargs")

    def __init__(self, function: object, ignore: frozenset[str] = frozenset()) -> None:
        code: types.CodeType | None = getattr(function, "__code__", None)
        self._names: tuple[str, ...] = code.co_varnames[: code.co_argcount] if code else ()
        self._bound_names = self._names[1:]
        index = code.co_argcount + code.co_kwonlyargcount if code and code.co_flags & inspect.CO_VARARGS else None
        self._varargs = code.co_varnames[index] if code and index is not None else "args"
        self._ignore = ignore
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
        self._heads = {name: b"," + orjson.dumps(name) + b":" for name in known if name not in ignore}

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
            return self._joined(names, args, kwargs, bounds)
        except (KeyError, TypeError, ValueError, RuntimeError):
            # A name that is ignored or unknown, or a value that the fast way does not take.
            values: dict[str, object] = dict(zip(names, args, strict=False))
            if len(args) > len(names):
                values[self._varargs] = args[len(names) :]
            values.update(kwargs)
            return encode({name: value for name, value in values.items() if name not in self._ignore}, bounds)

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
    walk = _Walk(bounds)
    line = orjson.dumps(walk.plain(value, bounds.max_depth))
    if walk.cut or len(line) > bounds.max_bytes * 2:
        # Imported here: the runtime stands above this module, and few values are cut.
        from llmops_sdk.tracing._runtime import record_loss

        record_loss("value", "too_large", 1, walk.cut)
    if len(line) <= bounds.max_bytes * 2:
        return line
    # Escapes and multi-byte characters made it longer than the walk could know.
    return orjson.dumps({"$truncated": len(line), "$head": line[: bounds.max_bytes // 2].decode("utf-8", "ignore")})


class _Walk:
    """One walk over one value, with what is left of its room."""

    __slots__ = ("bounds", "cut", "open", "room")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.room = bounds.max_bytes
        self.cut = 0  # how much was left out: characters of texts, one for each item
        self.open: set[int] = set()

    def plain(self, value: Any, depth: int) -> object:
        """`value` rebuilt from exact builtins that orjson writes as strict JSON."""
        if value is None or value is True or value is False:
            self.room -= 5
            return value
        # By the type alone: isinstance() asks the value for its __class__, which may be the application's code.
        cls = cast("type[Any]", type(cast("object", value)))
        if issubclass(cls, str):
            return self.text(value)
        if cls is dict or cls is list or cls is tuple:
            return self.container(value, depth)
        if issubclass(cls, enum.Enum):
            return self.plain(object.__getattribute__(value, "_value_"), depth)
        if issubclass(cls, int):
            self.room -= 8
            number = int.__int__(value)
            return number if -_INT_LIMIT <= number < _INT_LIMIT else self.text(_decimal_text(number))
        if issubclass(cls, float):
            self.room -= 8
            real = float.__float__(value)
            return real if math.isfinite(real) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(real, "NaN")
        if issubclass(cls, (bytes, bytearray)):
            return {"$bytes": bytes.__len__(value) if issubclass(cls, bytes) else bytearray.__len__(value)}
        # What is left may be the application's code, or a view of memory that is gone: it may raise for this value,
        # and the others are kept.
        with Caught() as wrong:
            if cls is memoryview:
                return {"$bytes": value.nbytes}
            simple = _simple_text(value)
            return self.text(simple) if simple is not None else self.container(value, depth)
        return {"$unreadable": str(type.__getattribute__(cls, "__qualname__")), "error": type(wrong.error).__name__}

    def text(self, value: str) -> str:
        """A string within the room left, free of lone surrogates."""
        length = str.__len__(value)
        keep = max(self.room, 0)
        if length > keep:
            self.cut += length - keep
            value = str.__getitem__(value, slice(0, keep))
        self.room -= min(length, keep)
        clean = value if type(value) is str and value.isascii() else str.encode(value, "utf-8", "replace").decode()
        return f"{clean}…[+{length - keep} characters]" if length > keep else clean

    def container(self, value: Any, depth: int) -> object:
        """A container, with its own type's way of iterating only where that is a builtin's."""
        here = id(value)
        if here in self.open:
            return {"$cycle": type(value).__name__}
        if depth <= 0 or self.room <= 0:
            self.cut += 1
            return {"$truncated": type(value).__name__}
        self.open.add(here)
        try:
            # The builtin's own iteration, whatever a subclass overrides.
            cls = cast("type[Any]", type(cast("object", value)))
            if issubclass(cls, dict):
                return self.mapping(cast("Any", dict).items(value), depth)
            for builtin in (list, tuple, set, frozenset):
                if issubclass(cls, builtin):
                    own = cast("Any", builtin)
                    return self.items(own.__iter__(value), own.__len__(value), depth)
            return self.instance(value, depth)
        finally:
            self.open.discard(here)

    def items(self, values: Iterable[object], length: int, depth: int) -> list[object]:
        """The items within the bounds, and how many more there are."""
        kept: list[object] = []
        for item in values:
            if len(kept) >= self.bounds.max_items or self.room <= 0:
                self.cut += length - len(kept)
                kept.append({"$truncated": length - len(kept)})
                break
            self.room -= 2
            kept.append(self.plain(item, depth - 1))
        return kept

    def mapping(self, pairs: Iterable[tuple[object, object]], depth: int) -> dict[str, object]:
        """The entries within the bounds; a key that is not text gets a text of its own."""
        kept: dict[str, object] = {}
        left = 0
        for key, item in pairs:
            if len(kept) >= self.bounds.max_items or self.room <= 0:
                left += 1
                continue
            name = self.plain(key, 1)
            text = name if isinstance(name, str) else orjson.dumps(name).decode()
            self.room -= 4
            kept[text] = self.plain(item, depth - 1)
        if left:
            self.cut += left
            kept["$truncated"] = left
        return kept

    def instance(self, value: Any, depth: int) -> object:
        """An object of a class: its fields where the class declares them, else only what it is."""
        cls = cast("type[Any]", type(cast("object", value)))
        if issubclass(cls, BaseException):
            args = cast("tuple[object, ...]", cast("Any", BaseException).args.__get__(value))
            message = args[0] if args and type(args[0]) is str else None
            return {"$exception": cls.__qualname__, "message": self.plain(message, depth - 1)}
        names = _declared_fields(cls)
        if names is not None:
            return self.fields(value, names, depth)
        kind = f"{cls.__module__}.{cls.__qualname__}"
        if cls.__module__.partition(".")[0] in {"numpy", "pandas", "torch", "polars"}:
            shape = guarded("capture", None, getattr, value, "shape", None)
            if type(shape) is tuple:
                return {"$type": kind, "shape": self.plain(cast("object", shape), 2)}
        return {"$type": kind}

    def fields(self, value: object, names: tuple[str, ...], depth: int) -> dict[str, object]:
        """The named fields, read past any `__getattr__` or `__getattribute__` of the class."""
        pairs: list[tuple[object, object]] = []
        for name in names:
            try:
                pairs.append((name, object.__getattribute__(value, name)))
            except AttributeError:
                continue  # declared, but not set on this instance
        return self.mapping(pairs, depth)


@functools.lru_cache(maxsize=1_024)
def _declared_fields(cls: type[Any]) -> tuple[str, ...] | None:
    """The fields that a dataclass, a pydantic model or an attrs class declares; None for other classes."""
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    for marker in ("__pydantic_fields__", "__attrs_attrs__"):
        declared: object = cls.__dict__.get(marker)
        if isinstance(declared, Mapping):
            return tuple(str(name) for name in cast("Mapping[object, object]", declared))
        if isinstance(declared, tuple):
            return tuple(str(field.name) for field in cast("tuple[Any, ...]", declared))
    return None


def _decimal_text(number: int) -> str:
    # Converting a huge int to decimal is quadratic and refused beyond 4,300 digits.
    return str(number) if number.bit_length() < 4_096 else f"int of {number.bit_length()} bits"


def _simple_text(value: object) -> str | None:
    """The text of standard-library values that have one; exact types only, so that no override is run."""
    kind = type(value)
    if kind is dt.datetime or kind is dt.date or kind is dt.time:
        return cast("dt.date", value).isoformat()
    if kind is dt.timedelta or kind is decimal.Decimal or kind is uuid.UUID:
        return str(value)
    if kind.__module__ in {"pathlib", "pathlib._local"} and hasattr(kind, "__fspath__"):
        return os.fspath(cast("os.PathLike[str]", value))
    return None
