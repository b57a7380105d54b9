"""Nothing of the application's is run for a capture, drained, printed, imported or changed."""

from __future__ import annotations

import collections
import copy
import dataclasses
import datetime as dt
import enum
import json
import pathlib
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pydantic
import pytest

from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._encode import encode

RAN: list[str] = []

# Everything that Python may ask of a value or a class, but what makes and ends one.
_ASKED = [
    name
    for name in sorted({*dir(int), *dir(str), *dir(dict), *dir(list), *dir(type), *dir(BaseException)})
    if name.startswith("__")
    and name not in {"__class__", "__new__", "__init__", "__init_subclass__", "__subclasshook__", "__dict__", "__doc__",
                     "__module__", "__name__", "__qualname__", "__bases__", "__base__", "__mro__", "__call__",
                     "__weakrefoffset__", "__basicsize__", "__itemsize__", "__flags__", "__dictoffset__",
                     "__abstractmethods__", "__text_signature__", "__annotations__", "__prepare__", "__del__",
                     "__cause__", "__context__", "__suppress_context__", "__traceback__", "__type_params__",
                     "__static_attributes__", "__firstlineno__", "__slots__", "__match_args__"}
]  # fmt: skip


def _told(name: str) -> Callable[..., Any]:
    def ask(*_: object, **__: object) -> Any:
        RAN.append(name)
        raise RuntimeError(name)

    return ask


class HostileMeta(type):
    """A class that tells when it is hashed, compared, asked for attributes or whether something is its instance."""


for _name in ("__getattribute__", "__getattr__", "__hash__", "__eq__", "__instancecheck__", "__subclasscheck__",
              "__repr__", "__str__", "__iter__", "__len__", "__contains__", "__call__"):  # fmt: skip
    setattr(HostileMeta, _name, _told(f"class {_name}"))


def _hostile(*under: type) -> Any:
    """A class whose every method tells that it was called."""
    overrides = {name: _told(name) for name in _ASKED}
    overrides |= {name: _told(name) for name in ("__getattr__", "__bool__", "__fspath__", "__index__", "__array__",
                                                 "__json__", "keys", "items", "values", "encode", "isoformat",
                                                 "model_dump", "dict", "to_dict", "__len__", "__iter__")}  # fmt: skip
    overrides["__class__"] = property(_told("__class__"))
    return type("Hostile", under, overrides)


def _made(cls: Any, *args: object) -> Any:
    """An object of a class whose `__new__` and `__init__` are the builtin's."""
    return cls.__mro__[1].__new__(cls, *args)


def _hostile_list() -> Any:
    value = _made(_hostile(list))
    list.extend(value, [1, 2])
    return value


def _hostile_dict(cls: type = dict) -> Any:
    value = _made(_hostile(cls))
    dict.__setitem__(value, "a", 1)
    return value


class LazyRow:
    """As a row of an object-relational mapper: what is asked for is loaded."""

    loaded: list[str]

    def __init__(self) -> None:
        object.__setattr__(self, "loaded", [])

    def __getattr__(self, name: str) -> Any:
        self.loaded.append(name)
        return f"loaded {name}"


class LoadingField:
    """A descriptor over a dataclass's field, as mappers put there."""

    def __get__(self, instance: object, owner: type) -> Any:
        RAN.append("load")
        return "loaded"

    def __set__(self, instance: Any, value: object) -> None:
        instance.__dict__["name"] = value


@dataclasses.dataclass
class Mapped:
    name: str


Mapped.name = LoadingField()  # pyright: ignore[reportAttributeAccessIssue]


class HostileKey:
    def __init__(self) -> None:
        self.quiet = True

    def __hash__(self) -> int:
        if not self.quiet:
            RAN.append("hash")
        return 1

    def __eq__(self, other: object) -> bool:
        if not self.quiet:
            RAN.append("eq")
        return self is other


def _keyed() -> dict[Any, int]:
    keys = [HostileKey(), HostileKey()]
    value: dict[Any, int] = dict.fromkeys(keys, 1)
    for key in keys:
        key.quiet = False
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "object": lambda: _made(_hostile()),
    "str": lambda: _made(_hostile(str), "text"),
    "int": lambda: _made(_hostile(int), 3),
    "float": lambda: _made(_hostile(float), 0.5),
    "bytes": lambda: _made(_hostile(bytes), b"abc"),
    "bytearray": lambda: _made(_hostile(bytearray)),
    "list": _hostile_list,
    "dict": _hostile_dict,
    "counter": lambda: _hostile_dict(collections.Counter),
    "ordered": lambda: _made(_hostile(collections.OrderedDict)),
    "set": lambda: _made(_hostile(set)),
    "tuple": lambda: _made(_hostile(tuple), (1, 2)),
    "deque": lambda: _made(_hostile(collections.deque)),
    "datetime": lambda: _made(_hostile(dt.datetime), 2026, 1, 2),
    "timedelta": lambda: _made(_hostile(dt.timedelta), 1),
    "exception": lambda: _made(_hostile(ValueError), "why"),
    "class of a hostile metaclass": lambda: type.__call__(HostileMeta, "Hostile", (), {}),
    "object of a hostile metaclass": lambda: object.__new__(type.__call__(HostileMeta, "Hostile", (), {})),
    "mapped": lambda: Mapped("stored"),
    "hostile keys": _keyed,
}


@pytest.mark.parametrize("kind", list(VALUES))
def test_capture_runs_no_code_of_a_value(kind: str):
    value = VALUES[kind]()
    RAN.clear()
    line = encode([value, {"k": value}])
    ran, RAN[:] = list(RAN), []
    assert ran == []
    assert len(json.loads(line)) == 2
    assert b"$unreadable" not in line


def test_builtin_subclasses_are_read_past_their_overrides():
    kept = [json.loads(encode(VALUES[kind]())) for kind in ("str", "int", "float", "list", "dict", "datetime", "tuple")]
    assert kept == ["text", 3, 0.5, [1, 2], {"a": 1}, "2026-01-02T00:00:00", [1, 2]]
    assert json.loads(encode(Mapped("stored"))) == {"name": "stored"}


def test_lazy_attributes_are_not_loaded():
    row = LazyRow()
    assert json.loads(encode([row])) == [{"$type": f"{__name__}.LazyRow"}]
    assert row.loaded == []


def test_a_mock_is_not_called():
    value = mock.MagicMock()
    assert json.loads(encode({"client": value, "method": value.create}))["client"] == {
        "$type": "unittest.mock.MagicMock"
    }
    assert value.mock_calls == []
    assert mock.call.create not in value.method_calls


def test_a_hanging_repr_does_not_block_capture():
    class Hangs:
        def __repr__(self) -> str:
            threading.Event().wait(60)
            return ""

        __str__ = __repr__

        def __getattr__(self, name: str) -> Any:
            threading.Event().wait(60)
            raise AttributeError(name)

        def __iter__(self) -> Iterator[int]:
            while True:
                yield 1

    began = time.monotonic()
    encode([Hangs(), {"k": Hangs()}, Hangs])
    assert time.monotonic() - began < 30


def test_a_recursive_repr_does_not_break_capture():
    class Recursing:
        def __repr__(self) -> str:
            return f"{self!r}"

    assert json.loads(encode(Recursing()))["$type"].endswith("Recursing")


def test_a_call_near_the_recursion_limit_still_succeeds():
    """However little of the stack is left, the capture neither raises nor breaks the JSON."""
    import logging

    from llmops_sdk._util._guard import raise_in_tests

    lines: list[bytes] = []

    def down(left: int) -> None:
        if left:
            down(left - 1)
        else:
            lines.append(encode([{1: [Mapped("x")]}]))

    raise_in_tests(False)  # that it is reported is what is wanted here
    log = logging.getLogger("llmops_sdk")
    log.disabled = True
    try:
        frame: Any = sys._getframe()
        depth = 0
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        for left in range(4, 40):
            try:
                down(sys.getrecursionlimit() - depth - left)
            except RecursionError:
                continue  # the program itself had no room left
    finally:
        log.disabled = False
        raise_in_tests(True)
    assert len(lines) > 10
    assert all(json.loads(line) for line in lines)


def test_capture_does_not_change_values():
    class Model(pydantic.BaseModel):
        a: int
        b: list[int] = pydantic.Field(default_factory=list)

    class Shade(enum.Enum):
        DARK = 1

    values: list[Any] = [
        {"a": [1, {2, 3}], 4: (5,)},
        collections.OrderedDict(b=1, a=2),
        collections.defaultdict(list, a=[1]),
        collections.deque([1, 2], maxlen=2),
        Model(a=1),
        Shade.DARK,
        uuid.UUID(int=5),
        pathlib.PurePosixPath("a/b"),
        bytearray(b"abc"),
    ]
    before = copy.deepcopy(values)
    encode(values)
    assert values == before
    assert (list(values[1]), dict(values[2]), values[3].maxlen) == (["b", "a"], {"a": [1]}, 2)


def test_capture_does_not_advance_iterators():
    import itertools

    things: list[Any] = [iter([1]), map(str, [1]), zip([1], strict=True), (n for n in [1]), reversed([1]),
                         enumerate([1]), itertools.islice([1], 1), itertools.chain([1]), iter({1: 1}.items()),
                         dict.fromkeys([1]).__iter__(), pathlib.Path(__file__).open()]  # noqa: SIM115 # fmt: skip
    assert all("$type" in said for said in json.loads(encode(things)))
    first = [next(thing) for thing in things]
    things[-1].close()
    assert first[:-1] == [1, "1", (1,), 1, 1, (0, 1), 1, 1, (1, 1), 1]
    assert first[-1].startswith('"""Nothing')


@pytest.mark.parametrize("depth", [1, 3, 1_000_000])
def test_every_depth_bound_is_respected(depth: int):
    deep: Any = 0
    for _ in range(10_000):
        deep = [deep]
    line = encode(deep, Bounds(max_depth=depth))
    assert line.count(b"[") == min(depth, 100)
    assert json.loads(line)
    knot: dict[str, Any] = {}
    knot["again"] = knot
    assert json.loads(encode(knot, Bounds(max_depth=depth))) in ({"again": {"$cycle": "dict"}}, {})
