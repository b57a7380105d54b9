"""Write values of Python's own classes and their subclasses, past all overrides."""

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
from llmops_sdk.tracing.capture._writer_types import Branch, Branches, Leaf, Leaves, Walk
from llmops_sdk.tracing.capture._writers_bytes import write_bytearray, write_bytes, write_memoryview

__all__ = ["BRANCHES", "LEAVES", "class_text"]

# The builtins as Any, so that checkers do not infer types for the results of their methods.
_DICT: Any = dict
_TUPLE: Any = tuple
_ARRAY: Any = array.array
_GROUP: Any = BaseExceptionGroup
_ERROR: Any = BaseException
_VIEWED: Any = {}
_SCALARS = (str, int, float, bool, type(None))
# Zones whose methods are not code of the application.
_KNOWN_ZONES = (type(None), dt.timezone, zoneinfo.ZoneInfo)
_ZONE_LIBRARIES = frozenset({"dateutil", "pytz"})


# --- texts ----------------------------------------------------------------------------------------------------------


def class_text(cls: Any) -> Leaf:
    """Return a writer of the text that the class's own `__str__` gives, past all overrides.

    Use it for classes whose `__str__` is C, or reads slots only.
    """
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


def _time_writer(cls: type[Any], *parts: str) -> Leaf:
    """Return a writer of ISO 8601; a datetime or time with a zone of the application is written without it."""
    isoformat: Callable[[Any], str] = cls.isoformat
    read_zone = cls.__dict__["tzinfo"].__get__
    readers = [getattr(cls, part).__get__ for part in parts]

    def write(walk: Walk, value: object) -> object:
        zone: object = read_zone(value)
        zone_class = class_of(zone)
        if is_exactly(zone, *_KNOWN_ZONES) or module_of(zone_class).partition(".")[0] in _ZONE_LIBRARIES:
            return walk.text(isoformat(value))
        naive = cls(*(reader(value) for reader in readers))
        return walk.marker({"$datetime": naive.isoformat(), "tzinfo": type_name(zone_class)})

    return write


# --- functions, classes, modules, files -------------------------------------------------------------------------------


def _named(walk: Walk, value: object, name: object) -> object:
    return walk.type_marker(value, name=walk.text(name)) if type(name) is str else walk.type_marker(value)


def _function(walk: Walk, value: Any) -> object:
    name: object = value.__qualname__  # a C slot, which holds only exact text
    module: object = value.__module__
    return _named(walk, value, f"{module}.{name}" if type(name) is str and type(module) is str else name)


def _file(walk: Walk, value: object) -> object:
    """Write an open file: its class, and its path if Python itself opened it."""
    raw: Any = value
    with contextlib.suppress(ValueError):  # detached from its buffer
        if type(raw) is io.TextIOWrapper:
            raw = raw.buffer
        if is_exactly(raw, io.BufferedReader, io.BufferedWriter, io.BufferedRandom):
            raw = raw.raw
    return _named(walk, value, instance_dict(raw).get("name") if type(raw) is io.FileIO else None)


def _range(walk: Walk, value: range) -> object:
    return walk.text(f"range({value.start}, {value.stop}" + (")" if value.step == 1 else f", {value.step})"))


# --- containers -----------------------------------------------------------------------------------------------------


def _sequence_writer(cls: Any) -> Branch:
    return lambda walk, value, depth: walk.items(cls.__iter__(value), cls.__len__(value), depth)


def _dict(walk: Walk, value: dict[Any, Any], depth: int) -> object:
    return walk.mapping(_DICT.items(value), _DICT.__len__(value), depth)


def _ordered(walk: Walk, value: Any, depth: int) -> object:
    # A subclass may override the iteration, so only the exact class gives its own order.
    own: Any = dict if class_of(value) is not collections.OrderedDict else collections.OrderedDict
    return walk.mapping(own.items(value), _DICT.__len__(value), depth)


def _tuple(walk: Walk, value: tuple[object, ...], depth: int) -> object:
    names: object = class_attribute(class_of(value), "_fields")
    length = _TUPLE.__len__(value)
    if type(names) is tuple and len(cast("tuple[object, ...]", names)) == length > 0:
        return walk.mapping(zip(cast("tuple[object, ...]", names), _TUPLE.__iter__(value), strict=True), length, depth)
    return walk.items(_TUPLE.__iter__(value), length, depth)


def _set(walk: Walk, value: Any, depth: int) -> object:
    own: Any = set if issubclass(class_of(value), set) else frozenset
    items: list[Any] = list(islice(own.__iter__(value), walk.bounds.max_items))
    classes = [class_of(item) for item in items]
    # Sort only texts or numbers: comparing other items may run their code.
    if all(cls is str for cls in classes) or all(cls is int or cls is float for cls in classes):
        items.sort()
    return walk.items(items, own.__len__(value), depth)


def _view(walk: Walk, value: Any, depth: int) -> object:
    return walk.items(value, len(value), depth)


def _proxy(walk: Walk, value: types.MappingProxyType[Any, Any], depth: int) -> object:
    # Only the garbage collector finds the mapping behind a proxy without running its code.
    behind = gc.get_referents(value)
    if len(behind) == 1 and issubclass(class_of(behind[0]), dict):
        return _dict(walk, behind[0], depth)
    return walk.marker({"$type": "builtins.mappingproxy"})


def _chain(walk: Walk, value: Any, depth: int) -> object:
    maps: object = read_attribute(value, "maps")
    layers = cast("list[Any]", maps) if type(maps) is list else []
    if not all(issubclass(class_of(layer), dict) for layer in layers):
        return walk.type_marker(value)
    seen: set[str] = set()

    # The first layer with a key wins. Compare only texts: other keys may run their own code.
    def pairs() -> Iterator[tuple[object, object]]:
        for layer in layers:
            for key, item in _DICT.items(layer):
                if type(key) is not str:
                    yield key, item
                elif key not in seen:
                    seen.add(key)
                    yield key, item

    found = list(islice(pairs(), walk.bounds.max_items + 1))
    cut = len(found) > walk.bounds.max_items
    return walk.mapping(found, sum(map(_DICT.__len__, layers)) if cut else len(found), depth)


def _wrapper_writer(attribute: str) -> Branch:
    """Return a writer for a class that wraps one value, in this attribute."""

    def write(walk: Walk, value: Any, depth: int) -> object:
        inner = read_attribute(value, attribute)
        return walk.type_marker(value) if inner is MISSING else walk.rebuild(inner, depth)

    return write


def _namespace(walk: Walk, value: Any, depth: int) -> object:
    return _dict(walk, instance_dict(value), depth)


def _array(walk: Walk, value: array.array[Any]) -> object:
    length = _ARRAY.__len__(value)
    head = [walk.rebuild(_ARRAY.__getitem__(value, index), 1) for index in range(min(length, 8))]
    return walk.type_marker(value, typecode=value.typecode, length=length, **{"$head": head})


def _slice(walk: Walk, value: slice[Any, Any, Any], depth: int) -> object:
    return walk.marker({"$slice": [walk.rebuild(part, depth - 1) for part in (value.start, value.stop, value.step)]})


def _exception(walk: Walk, value: BaseException, depth: int) -> object:
    """Write the class and message of an exception, without its traceback."""
    cls = class_of(value)
    marker: dict[str, object] = {"$exception": type_name(cls).removeprefix("builtins.")}
    args: tuple[object, ...] = _ERROR.args.__get__(value)
    str_method: object = class_attribute(cls, "__str__")
    grouped = issubclass(cls, BaseExceptionGroup)
    if len(args) == 1 and type(args[0]) is str:
        marker["message"] = walk.text(args[0])
    elif grouped:
        marker["message"] = walk.text(_GROUP.message.__get__(value))
        nested: tuple[object, ...] = _GROUP.exceptions.__get__(value)
        marker["exceptions"] = walk.items(nested, len(nested), depth)
    elif all(is_exactly(arg, *_SCALARS) for arg in args) and _is_pythons_own(str_method):
        # Python's own `__str__`, over arguments that have no code of their own.
        filename: object = read_attribute(value, "filename") if issubclass(cls, OSError) else None
        if is_exactly(filename, *_SCALARS):
            marker["message"] = walk.text(cast("Any", str_method)(value))
    elif args:
        marker["args"] = walk.items(args, len(args), depth)
    return walk.marker(marker)


def _is_pythons_own(method: object) -> bool:
    return type(method) is types.WrapperDescriptorType and module_of(method.__objclass__) == "builtins"


LEAVES: Leaves = {
    str: lambda walk, value: walk.text(value),
    int: lambda walk, value: walk.integer(value),
    float: lambda walk, value: walk.real(value),
    complex: lambda walk, value: walk.text(complex.__repr__(value)),
    bytes: write_bytes,
    bytearray: write_bytearray,
    memoryview: write_memoryview,
    dt.date: lambda walk, value: walk.text(dt.date.isoformat(value)),
    dt.datetime: _time_writer(dt.datetime, "year", "month", "day", "hour", "minute", "second", "microsecond"),
    dt.time: _time_writer(dt.time, "hour", "minute", "second", "microsecond"),
    zoneinfo.ZoneInfo: _zone,
    fractions.Fraction: _fraction,
    uuid.UUID: _uuid,
    **{
        cls: class_text(cls)
        for cls in (
            dt.timedelta,
            dt.timezone,
            decimal.Decimal,
            pathlib.PurePath,
            ipaddress.IPv4Address,
            ipaddress.IPv6Address,
            ipaddress.IPv4Network,
            ipaddress.IPv6Network,
        )
    },
    array.array: _array,
    range: _range,
    re.Pattern: lambda walk, value: walk.marker({"$type": "re.Pattern", "pattern": walk.rebuild(value.pattern, 1)}),
    type: lambda walk, value: _named(walk, value, type_name(value)),
    types.ModuleType: lambda walk, value: _named(walk, value, instance_dict(value).get("__name__")),
    types.FunctionType: _function,
    types.BuiltinFunctionType: _function,
    types.MethodDescriptorType: _function,
    io.IOBase.__mro__[-2]: _file,  # its base in C, which all files share
}

BRANCHES: Branches = {
    dict: _dict,
    list: _sequence_writer(list),
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    collections.OrderedDict: _ordered,
    collections.deque: _sequence_writer(collections.deque),
    collections.ChainMap: _chain,
    collections.UserDict: _wrapper_writer("data"),
    collections.UserList: _wrapper_writer("data"),
    collections.UserString: _wrapper_writer("data"),
    types.MappingProxyType: _proxy,
    types.SimpleNamespace: _namespace,
    class_of(_VIEWED.keys()): _view,
    class_of(_VIEWED.values()): _view,
    class_of(_VIEWED.items()): _view,
    slice: _slice,
    enum.Enum: _wrapper_writer("_value_"),
    BaseException: _exception,
    types.MethodType: lambda walk, value, depth: walk.rebuild(value.__func__, depth),
    functools.partial: lambda walk, value, depth: walk.marker(
        {"$type": "functools.partial", "function": walk.rebuild(value.func, depth - 1)}
    ),
}
