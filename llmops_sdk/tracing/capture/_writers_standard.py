"""How values of Python's own classes are written, subclasses with overrides of their own included."""

from __future__ import annotations

import array
import collections
import contextlib
import datetime as dt
import decimal
import enum
import fractions
import functools
import gc
import io
import ipaddress
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

from llmops_sdk._util._static_reads import (
    MISSING,
    class_attribute,
    class_of,
    instance_dict,
    is_exactly,
    module_of,
    read_attribute,
    type_name,
)
from llmops_sdk.tracing.capture._writer_types import Walk
from llmops_sdk.tracing.capture._writers_bytes import of_bytearray, of_bytes, of_memoryview

__all__ = ["BRANCHES", "LEAVES"]

# The builtins' own methods, whatever a subclass overrides; checkers follow these into what they do not know.
_DICT: Any = dict
_LIST: Any = list
_TUPLE: Any = tuple
_SET: Any = set
_FROZENSET: Any = frozenset
_DEQUE: Any = collections.deque
_ARRAY: Any = array.array
_GROUP: Any = BaseExceptionGroup
_ERROR: Any = BaseException
_VIEWED: Any = {}
_SCALARS = (str, int, float, bool, type(None))
# Zones that are no code of the application.
_KNOWN_ZONES = (type(None), dt.timezone, zoneinfo.ZoneInfo)
_ZONE_LIBRARIES = frozenset({"dateutil", "pytz"})


# --- texts ----------------------------------------------------------------------------------------------------------


def _own_text(cls: type[Any]) -> Callable[[Walk, Any], object]:
    """As the class itself writes it; used for classes whose method is C, or reads slots only."""
    method = cast("Callable[[Any], str]", cls.__str__)
    return lambda walk, value: walk.text(method(value))


def _fraction(walk: Walk, value: fractions.Fraction) -> object:
    parts = (read_attribute(value, "_numerator"), read_attribute(value, "_denominator"))
    return walk.text("/".join(str(walk.integer(part)) for part in parts))


def _uuid(walk: Walk, value: uuid.UUID) -> object:
    return walk.text(str(uuid.UUID(int=read_attribute(value, "int"))))


def _zone(walk: Walk, value: zoneinfo.ZoneInfo) -> object:
    key = zoneinfo.ZoneInfo.key.__get__(value)
    return walk.text(key) if type(key) is str else walk.marker({"$type": "zoneinfo.ZoneInfo"})


def _moment(cls: type[Any], *parts: str) -> Callable[[Walk, Any], object]:
    """A datetime or a time: as ISO 8601, where its zone is no code of the application."""
    write: Callable[[Any], str] = cls.isoformat
    read_zone = cls.__dict__["tzinfo"].__get__
    readers = [getattr(cls, part).__get__ for part in parts]

    def moment(walk: Walk, value: object) -> object:
        zone: object = read_zone(value)
        kind = class_of(zone)
        if is_exactly(zone, *_KNOWN_ZONES) or module_of(kind).partition(".")[0] in _ZONE_LIBRARIES:
            return walk.text(write(value))
        naive = cls(*(reader(value) for reader in readers))
        return walk.marker({"$datetime": naive.isoformat(), "tzinfo": type_name(kind)})

    return moment


# --- things that only have a name -----------------------------------------------------------------------------------


def _named(walk: Walk, value: Any) -> object:
    """A function: its class and its own name."""
    said: dict[str, object] = {"$type": type_name(class_of(value))}
    name: object = value.__qualname__  # C's, which holds only exact text
    module: object = value.__module__
    if type(name) is str:
        said["name"] = walk.text(f"{module}.{name}" if type(module) is str else name)
    return walk.marker(said)


def _class(walk: Walk, value: type[Any]) -> object:
    return walk.marker({"$type": type_name(class_of(value)), "name": walk.text(type_name(value))})


def _module(walk: Walk, value: types.ModuleType) -> object:
    name: object = instance_dict(value).get("__name__")
    said: dict[str, object] = {"$type": type_name(class_of(value))}
    if type(name) is str:
        said["name"] = walk.text(name)
    return walk.marker(said)


def _file(walk: Walk, value: object) -> object:
    """An open file: its class, and its path where Python itself opened it."""
    said: dict[str, object] = {"$type": type_name(class_of(value))}
    raw: Any = value
    with contextlib.suppress(ValueError):  # detached from its buffer
        if type(raw) is io.TextIOWrapper:
            raw = raw.buffer
        if is_exactly(raw, io.BufferedReader, io.BufferedWriter, io.BufferedRandom):
            raw = raw.raw
    if type(raw) is io.FileIO:
        name: object = instance_dict(raw).get("name")
        if type(name) is str:
            said["name"] = walk.text(name)
    return walk.marker(said)


def _pattern(walk: Walk, value: re.Pattern[Any]) -> object:
    pattern: object = value.pattern
    return walk.marker({"$type": "re.Pattern", "pattern": walk.plain(pattern, 1)})


def _range(walk: Walk, value: range) -> object:
    return walk.text(f"range({value.start}, {value.stop}" + (")" if value.step == 1 else f", {value.step})"))


# --- containers -----------------------------------------------------------------------------------------------------


def _dict(walk: Walk, value: dict[object, object], depth: int) -> object:
    return walk.mapping(_DICT.items(value), _DICT.__len__(value), depth)


def _ordered(walk: Walk, value: Any, depth: int) -> object:
    # In its own order where no subclass has a say in the iteration.
    own: Any = dict if class_of(value) is not collections.OrderedDict else collections.OrderedDict
    return walk.mapping(own.items(value), _DICT.__len__(value), depth)


def _list(walk: Walk, value: list[object], depth: int) -> object:
    return walk.items(_LIST.__iter__(value), _LIST.__len__(value), depth)


def _tuple(walk: Walk, value: tuple[object, ...], depth: int) -> object:
    names: object = class_attribute(class_of(value), "_fields")
    length = _TUPLE.__len__(value)
    if type(names) is tuple and len(cast("tuple[object, ...]", names)) == length > 0:
        return walk.mapping(zip(cast("tuple[object, ...]", names), _TUPLE.__iter__(value), strict=True), length, depth)
    return walk.items(_TUPLE.__iter__(value), length, depth)


def _set(walk: Walk, value: Any, depth: int) -> object:
    own = _SET if issubclass(class_of(value), set) else _FROZENSET
    items: list[Any] = list(islice(own.__iter__(value), walk.bounds.max_items))
    kinds = [class_of(item) for item in items]
    # Texts or numbers: what else there is would be compared by its own code.
    if all(kind is str for kind in kinds) or all(kind is int or kind is float for kind in kinds):
        items.sort()
    return walk.items(items, own.__len__(value), depth)


def _deque(walk: Walk, value: Any, depth: int) -> object:
    return walk.items(_DEQUE.__iter__(value), _DEQUE.__len__(value), depth)


def _view(walk: Walk, value: Any, depth: int) -> object:
    return walk.items(value, len(value), depth)


def _proxy(walk: Walk, value: types.MappingProxyType[Any, Any], depth: int) -> object:
    # The collector alone knows what is behind it without asking it.
    behind = gc.get_referents(value)
    if len(behind) == 1 and issubclass(class_of(behind[0]), dict):
        return _dict(walk, behind[0], depth)
    return walk.marker({"$type": "builtins.mappingproxy"})


def _chain(walk: Walk, value: Any, depth: int) -> object:
    maps: object = read_attribute(value, "maps")
    layers = cast("list[Any]", maps) if type(maps) is list else []
    if not all(issubclass(class_of(layer), dict) for layer in layers):
        return walk.marker({"$type": type_name(class_of(value))})
    seen: dict[str, tuple[object, object]] = {}

    # The first that has a key wins; only texts are compared, for other keys have code of their own.
    def pairs() -> Iterator[tuple[object, object]]:
        for layer in layers:
            for key, item in _DICT.items(layer):
                if type(key) is not str:
                    yield key, item
                elif key not in seen:
                    seen[key] = (key, item)
                    yield key, item

    found = list(islice(pairs(), walk.bounds.max_items + 1))
    cut = len(found) > walk.bounds.max_items
    return walk.mapping(found, sum(map(_DICT.__len__, layers)) if cut else len(found), depth)


def _holder(walk: Walk, value: Any, depth: int) -> object:
    """UserDict, UserList, UserString: what they hold."""
    data = read_attribute(value, "data")
    return walk.marker({"$type": type_name(class_of(value))}) if data is MISSING else walk.plain(data, depth)


def _namespace(walk: Walk, value: Any, depth: int) -> object:
    held = instance_dict(value)
    return walk.mapping(_DICT.items(held), len(held), depth)


def _array(walk: Walk, value: array.array[Any]) -> object:
    length = _ARRAY.__len__(value)
    head = [walk.plain(_ARRAY.__getitem__(value, index), 1) for index in range(min(length, 8))]
    return walk.marker(
        {"$type": type_name(class_of(value)), "typecode": value.typecode, "length": length, "$head": head}
    )


def _slice(walk: Walk, value: slice[Any, Any, Any], depth: int) -> object:
    return walk.marker({"$slice": [walk.plain(part, depth - 1) for part in (value.start, value.stop, value.step)]})


def _enum(walk: Walk, value: enum.Enum, depth: int) -> object:
    held = read_attribute(value, "_value_")
    return walk.marker({"$type": type_name(class_of(value))}) if held is MISSING else walk.plain(held, depth)


def _exception(walk: Walk, value: BaseException, depth: int) -> object:
    """Its class and message; neither its traceback nor what hangs on that."""
    cls = class_of(value)
    said: dict[str, object] = {"$exception": type_name(cls).removeprefix("builtins.")}
    args: tuple[object, ...] = _ERROR.args.__get__(value)
    method: object = class_attribute(cls, "__str__")
    grouped = issubclass(cls, BaseExceptionGroup)
    if len(args) == 1 and type(args[0]) is str:
        said["message"] = walk.text(args[0])
    elif grouped:
        said["message"] = walk.text(_GROUP.message.__get__(value))
        nested: tuple[object, ...] = _GROUP.exceptions.__get__(value)
        said["exceptions"] = walk.items(nested, len(nested), depth)
    elif all(is_exactly(arg, *_SCALARS) for arg in args) and _is_python_own(method):
        # Python's own method, and nothing in it that could have code of its own.
        filename: object = read_attribute(value, "filename") if issubclass(cls, OSError) else None
        if is_exactly(filename, *_SCALARS):
            said["message"] = walk.text(cast("Any", method)(value))
    elif args:
        said["args"] = walk.items(args, len(args), depth)
    return walk.marker(said)


def _is_python_own(method: object) -> bool:
    return type(method) is types.WrapperDescriptorType and module_of(method.__objclass__) == "builtins"


LEAVES: dict[type[Any], Callable[[Walk, Any], object]] = {
    str: lambda walk, value: walk.text(value),
    int: lambda walk, value: walk.integer(value),
    float: lambda walk, value: walk.real(value),
    complex: lambda walk, value: walk.text(complex.__repr__(value)),
    bytes: of_bytes,
    bytearray: of_bytearray,
    memoryview: of_memoryview,
    dt.date: lambda walk, value: walk.text(dt.date.isoformat(value)),
    dt.datetime: _moment(dt.datetime, "year", "month", "day", "hour", "minute", "second", "microsecond"),
    dt.time: _moment(dt.time, "hour", "minute", "second", "microsecond"),
    dt.timedelta: _own_text(dt.timedelta),
    dt.timezone: _own_text(dt.timezone),
    zoneinfo.ZoneInfo: _zone,
    decimal.Decimal: _own_text(decimal.Decimal),
    fractions.Fraction: _fraction,
    uuid.UUID: _uuid,
    pathlib.PurePath: _own_text(pathlib.PurePath),
    **{
        cls: _own_text(cls)
        for cls in (
            ipaddress.IPv4Address,
            ipaddress.IPv6Address,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
        )
    },
    array.array: _array,
    range: _range,
    re.Pattern: _pattern,
    type: _class,
    types.ModuleType: _module,
    types.FunctionType: _named,
    types.BuiltinFunctionType: _named,
    types.MethodDescriptorType: _named,
    io.IOBase.__mro__[-2]: _file,  # the class in C below it, of which all are
}

BRANCHES: dict[type[Any], Callable[[Walk, Any, int], object]] = {
    dict: _dict,
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    collections.OrderedDict: _ordered,
    collections.deque: _deque,
    collections.ChainMap: _chain,
    collections.UserDict: _holder,
    collections.UserList: _holder,
    collections.UserString: _holder,
    types.MappingProxyType: _proxy,
    types.SimpleNamespace: _namespace,
    class_of(_VIEWED.keys()): _view,
    class_of(_VIEWED.values()): _view,
    class_of(_VIEWED.items()): _view,
    slice: _slice,
    enum.Enum: _enum,
    BaseException: _exception,
    types.MethodType: lambda walk, value, depth: walk.plain(value.__func__, depth),
    functools.partial: lambda walk, value, depth: walk.marker(
        {"$type": "functools.partial", "function": walk.plain(value.func, depth - 1)}
    ),
}
