"""Tell what a callable's results depend on: its code, the values that it uses, and the application's code below it."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import inspect
import pathlib
import re
import string
import types
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from llmops_sdk._util._guard import Caught
from llmops_sdk._util._static_reads import instance_dict
from llmops_sdk.client._decorator import prompt_options
from llmops_sdk.client._llm import LLM, llm_options
from llmops_sdk.evals.identity._code import CodeUse, code_use, is_library
from llmops_sdk.evals.identity._digest import digest

__all__ = ["callable_digest", "callable_name"]

_PLAIN = (type(None), bool, int, float, complex, str)
_STABLE = (
    datetime.date, datetime.time, datetime.timedelta, datetime.tzinfo, decimal.Decimal, fractions.Fraction,
    pathlib.PurePath, uuid.UUID, range, slice,
)  # fmt: skip
"""Types whose `repr` says everything, and is the same in each process."""
_MAX_VALUES = 20_000
_MAX_DEPTH = 40
_SETUP = frozenset({"__init__", "__new__", "__post_init__"})
_NO_USE = CodeUse([], frozenset(), frozenset(), frozenset(), frozenset())


def callable_name(target: Any) -> str:
    """Return a short name of a callable.

    Args:
        target: A function, method, partial, class or callable object.
    """
    while isinstance(target, functools.partial):
        target = cast("functools.partial[Any]", target).func
    name = getattr(target, "__qualname__", None) or type(target).__qualname__
    return str(name).rpartition("<locals>.")[2][:200]


def callable_digest(target: Any) -> str:
    """Return a digest of what a callable's results depend on, as far as Python shows it.

    That is its bytecode and defaults, the texts and numbers in its closure and in the globals that it names, the
    arguments of a partial, the options of a prompt function, the attributes of an object, and likewise everything of
    the application that these refer to. Values that the code itself assigns, and containers that it changes in place,
    are state and do not count. Of installed packages only names count. Files, environment variables and services are
    not seen.

    Args:
        target: The callable.
    """
    return digest(_Walk().describe(target, _NO_USE, 0))


class _Walk:
    """One walk over what a callable refers to; each object is described once."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []  # an id is unique only as long as its object lives
        self._left = _MAX_VALUES

    def describe(self, value: Any, use: CodeUse, depth: int) -> Any:
        """Return a JSON value that is equal for equal values.

        Args:
            value: The value.
            use: What the code that refers to it does.
            depth: How deep it lies.
        """
        value_type = cast("type[Any]", type(value))
        if value_type in _PLAIN:
            return [value_type.__name__, repr(value)]
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0:
            return _type_name(value)
        if value_type is bytes:
            return ["bytes", value.hex()]
        if isinstance(value, (tuple, frozenset, enum.Enum, re.Pattern, *_STABLE)):
            # Whether equal constants are one object differs from one process to the next.
            return self._container(value, use, depth + 1)
        if id(value) in self._numbers:
            return ["seen", self._numbers[id(value)]]
        self._numbers[id(value)] = len(self._numbers)
        self._alive.append(value)
        found = self._container(value, use, depth + 1)
        return self._object(value, use, depth + 1) if found is None else found

    def _container(self, value: Any, use: CodeUse, depth: int) -> Any:
        value_name = _type_name(value)
        if use.mutates and isinstance(value, list | set | dict | bytearray | collections.deque):
            return value_name  # state
        if isinstance(value, tuple | frozenset | list | set | collections.deque):
            items = [self.describe(one, use, depth) for one in cast("Iterable[Any]", value)]
            ordered = isinstance(value, tuple | list | collections.deque)
            return [value_name, items if ordered else sorted(items, key=digest)]
        if isinstance(value, dict | types.MappingProxyType):
            pairs = cast("Mapping[Any, Any]", value).items()
            described = [[self.describe(key, use, depth), self.describe(one, use, depth)] for key, one in pairs]
            return ["dict", sorted(described, key=digest)]
        return self._single(value, value_name, use, depth)

    def _single(self, value: Any, value_name: str, use: CodeUse, depth: int) -> Any:
        """Return a value without parts, or None for another object."""
        if isinstance(value, enum.Enum):
            return [value_name, value.name, self.describe(value._value_, use, depth)]
        if isinstance(value, re.Pattern):
            pattern = cast("re.Pattern[Any]", value)
            return [value_name, repr(pattern.pattern), pattern.flags]  # its `repr` is cut off
        if isinstance(value, bytearray):
            return [value_name, bytes(value).hex()]
        if isinstance(value, _PLAIN):
            kind = next(one for one in (str, bool, int, float, complex) if isinstance(value, one))
            return [value_name, kind.__repr__(cast("Any", value))]
        if isinstance(value, string.Template):
            return [value_name, value.template]
        if isinstance(value, types.SimpleNamespace):
            return [value_name, self.describe(vars(value), use, depth)]
        if value_name == "numpy.ndarray":
            raw = value.tobytes() if value.dtype.kind in "biufcSUmM" else b""
            return [value_name, str(value.dtype), list(value.shape), hashlib.sha256(raw).hexdigest()]
        return [value_name, repr(cast("object", value))] if isinstance(value, _STABLE) else None

    def _object(self, value: Any, use: CodeUse, depth: int) -> Any:
        if isinstance(value, functools.partial):
            inner = cast("functools.partial[Any]", value)
            parts = (inner.func, inner.args, dict(inner.keywords))
            return ["partial", *(self.describe(one, _NO_USE, depth) for one in parts)]
        if _has_identity(cast("type[Any]", type(value))):
            return ["identity", self.describe(dict(value.identity), _NO_USE, depth)]
        options = prompt_options(value)
        if options is not None:
            return ["llm", self.describe(options, _NO_USE, depth), self._function(inspect.unwrap(value), depth)]
        if isinstance(value, types.MethodType):
            return ["method", self._function(value.__func__, depth), self.describe(value.__self__, use, depth)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type):
            return self._class(value, depth)
        if isinstance(value, LLM):
            return ["LLM", self.describe(llm_options(value), _NO_USE, depth)]
        if callable(value) and (isinstance(value, types.FunctionType) or hasattr(value, "__wrapped__")):
            return self._function(value, depth)
        if isinstance(value, types.BuiltinFunctionType):
            return ["builtin", str(value.__module__), value.__qualname__]
        return self._instance(value, use, depth)

    def _function(self, value: Any, depth: int) -> Any:
        layers: list[Any] = []
        while value is not None and len(layers) < _MAX_DEPTH:
            # A decorator of the application counts too, with its closure; the function that it wraps is the next layer.
            inner = getattr(value, "__wrapped__", None)
            if isinstance(value, types.FunctionType):
                layers.append(self._layer(value, depth, wrapped=inner))
            elif inner is None:
                layers.append(self.describe(value, _NO_USE, depth))
            value = inner
        return ["function", *layers]

    def _layer(self, function: types.FunctionType, depth: int, *, wrapped: object) -> Any:
        name = [function.__module__, function.__qualname__]
        if is_library(function.__code__.co_filename):
            return name
        use = code_use(function.__code__)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        outer = {name: _cell_value(cell) for name, cell in cells if name not in use.assigned}
        outer = {name: value for name, value in outer.items() if value is not wrapped}
        known = {name: function.__globals__[name] for name in use.names if name in function.__globals__}
        used = {**known, **outer}
        described = {
            name: self._named(value, _of_name(use, name), depth)
            for name, value in sorted(used.items())
            if name not in use.assigned
        }
        defaults = self.describe([function.__defaults__, function.__kwdefaults__], _NO_USE, depth)
        return [*name, use.body, described, defaults]

    def _named(self, value: Any, use: CodeUse, depth: int) -> Any:
        """Return a value that code names; of a module of the application also the values that the code names there."""
        if isinstance(value, types.ModuleType) and not is_library(getattr(value, "__file__", None)):
            members = vars(value)
            found = {name: members[name] for name in use.names if name in members}
            described = {name: self.describe(one, _of_name(use, name), depth) for name, one in sorted(found.items())}
            return ["module", value.__name__, described]
        return self.describe(value, use, depth)

    def _class(self, value: type, depth: int) -> Any:
        name = [value.__module__, value.__qualname__]
        if is_library(_file_of(value)):
            return ["class", *name]
        schema = _schema(value)
        if schema is not None:
            name.append(digest(schema))
        merged = _merged(_NO_USE, _methods(value))
        members: dict[str, Any] = {}
        for own, member in sorted(vars(value).items()):
            function = _function_of(member)
            if isinstance(function, types.FunctionType) or isinstance(member, _PLAIN):
                members[own] = self.describe(function, _NO_USE, depth)
            elif not own.startswith(("__", "_abc_")) and own not in merged.attributes:
                members[own] = self.describe(member, _of_name(merged, own), depth)
        members = {own: member for own, member in members.items() if own not in {"__module__", "__firstlineno__"}}
        bases = [self.describe(base, _NO_USE, depth) for base in value.__bases__ if base is not object]
        return ["class", *name, members, bases]

    def _instance(self, value: Any, use: CodeUse, depth: int) -> Any:
        cls = cast("type[Any]", type(value))
        own = {**_slots(value, cls), **instance_dict(value)}
        if is_library(_file_of(cls)):
            return _type_name(value)
        merged = _merged(use, (one for kind in cls.__mro__ for one in _methods(kind)))
        state = {name: one for name, one in sorted(own.items()) if name not in merged.attributes}
        described = {name: self.describe(one, _of_name(merged, name), depth) for name, one in state.items()}
        return ["object", self.describe(cls, _NO_USE, depth), described]


def _has_identity(cls: type) -> bool:
    """Return whether objects of a class say themselves what they depend on: our scorers and judges do."""
    return isinstance(inspect.getattr_static(cls, "identity", None), property) and is_library(_file_of(cls))


def _merged(use: CodeUse, methods: Iterable[CodeUse]) -> CodeUse:
    """Return what the code that refers to an object and its own methods do to it."""
    attributes, mutated = set(use.attributes), set(use.mutated)
    for one in methods:
        attributes |= one.attributes
        mutated |= one.mutated
    return CodeUse([], frozenset(), frozenset(), frozenset(attributes), frozenset(mutated))


def _of_name(use: CodeUse, name: str) -> CodeUse:
    """Return what code does to the value of one of the names that it uses."""
    return replace(use, mutates=name in use.mutated)


def _methods(cls: type) -> list[CodeUse]:
    functions = [_function_of(member) for name, member in vars(cls).items() if name not in _SETUP]
    return [
        code_use(function.__code__)
        for function in functions
        if isinstance(function, types.FunctionType) and not is_library(function.__code__.co_filename)
    ]


def _function_of(member: Any) -> Any:
    """Return the function behind a static or class method, a property or a cached one; else the member."""
    if isinstance(member, staticmethod | classmethod):
        return cast("Any", member).__func__
    if isinstance(member, property):
        return member.fget
    return cast("Any", member).func if isinstance(member, functools.cached_property) else member


def _slots(value: Any, cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in cls.__mro__:
        for name, member in vars(kind).items():
            if isinstance(member, types.MemberDescriptorType) and not name.startswith("__"):
                with suppress(AttributeError):  # not assigned
                    found.setdefault(name, member.__get__(value))
    return found


def _schema(cls: type) -> Any:
    """Return the JSON schema of a pydantic model, which a model that answers in its form is shown; else None."""
    if "__pydantic_core_schema__" not in vars(cls):
        return None
    with Caught():
        return cast("Any", cls).model_json_schema()
    return None


def _cell_value(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not yet assigned, as in a function that calls itself


def _file_of(cls: type) -> str | None:
    import sys

    if cls.__module__ in sys.builtin_module_names:
        return __file__  # of a library
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def _type_name(value: object) -> str:
    cls = type(value)
    return f"{cls.__module__}.{cls.__qualname__}"
