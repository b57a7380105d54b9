"""Arguments and results that fight back: the call goes on, the span is kept, the JSON is strict."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import ipaddress
import json
import pathlib
import queue
import re
import socket
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pydantic
import pytest
from span_rows import context_unchanged, only

import llmops_sdk as llmops


class BadRepr:
    def __repr__(self) -> str:
        raise ValueError("no repr")

    __str__ = __repr__


class BadGetattr:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class BadGetattribute:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class YesToAll:
    """Like a mock or a lazy proxy: has every attribute, each callable."""

    def __getattr__(self, name: str) -> YesToAll:
        return self

    def __call__(self, *args: object, **kwargs: object) -> YesToAll:
        return self


class Tensor:
    """Like torch's: refuses comparison, truth and length; a huge repr."""

    shape = (1000, 1000)
    dtype = "float32"

    def __bool__(self) -> bool:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")

    def __eq__(self, other: object) -> Any:
        raise RuntimeError("no comparison")

    __hash__ = None

    def __len__(self) -> int:
        raise TypeError("len() of a 0-d tensor")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("iteration over a 0-d tensor")

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class BadDict(dict[str, Any]):
    def items(self) -> Any:
        raise ValueError("no items")

    __iter__ = keys = values = items


class BadList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise ValueError("no items")

    def __len__(self) -> int:
        raise ValueError("no length")


class BadStr(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("no text")

    encode = __len__ = __iter__ = __getitem__ = __str__


class BadInt(int):
    def __repr__(self) -> str:
        raise ValueError("no digits")

    __str__ = __index__ = __int__ = __repr__


class BadKey:
    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise ValueError("no key")

    __str__ = __repr__


class Proxy:
    """Says that it is of another class."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


class Liar:
    __class__ = dict


class ModelDump:
    def model_dump(self, **_: object) -> Any:
        raise RuntimeError("no dump")

    to_dict = dict = model_dump_json = __json__ = _asdict = model_dump


class SlotsOnly:
    __slots__ = ("missing", "there")

    def __init__(self) -> None:
        self.there = 1


class Meta(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError("no class attribute")

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no isinstance")

    def __repr__(cls) -> str:
        raise RuntimeError("no class repr")


class OfMeta(metaclass=Meta):
    pass


@dataclasses.dataclass
class Point:
    x: int
    bad: Any = None


@dataclasses.dataclass
class Deleted:
    x: int = dataclasses.field(init=False)


@attrs.define
class Attrs:
    x: int
    child: Any = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    x: int
    child: Any = None


class Pair(NamedTuple):
    a: int
    b: Any


class Color(enum.Enum):
    RED = BadRepr()


class Flags(enum.IntFlag):
    A = 1
    B = 2


def _cycle_list() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def _cycle_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["me"] = [value]
    return value


def _cycle_object() -> Point:
    value = Point(1)
    value.bad = {"again": (value,)}
    return value


def _cycle_model() -> Model:
    value = Model(x=1)
    value.child = value
    return value


def _deep(make: Callable[[Any], Any], levels: int = 10_000) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = make(value)
    return value


def _deep_error() -> Exception:
    error: Exception = ValueError(0)
    for n in range(2000):
        outer = ValueError(n)
        outer.__cause__ = error
        error = outer
    return error


def _numbers() -> Iterator[int]:
    yield 1


async def _coroutine() -> None:
    pass


def _closed_file() -> io.IOBase:
    file = io.BytesIO(b"x")
    file.close()
    return file


def _aware() -> datetime.datetime:
    class BadZone(datetime.tzinfo):
        def utcoffset(self, _: object) -> Any:
            raise ValueError("no offset")

        dst = tzname = utcoffset

    return datetime.datetime(2026, 1, 1, tzinfo=BadZone())


VALUES: dict[str, Callable[[], Any]] = {
    "bad repr": BadRepr,
    "bad getattr": BadGetattr,
    "bad getattribute": BadGetattribute,
    "yes to all": YesToAll,
    "tensor": Tensor,
    "bad dict": lambda: BadDict(a=1),
    "bad list": lambda: BadList([1]),
    "bad str": lambda: BadStr("text"),
    "bad int": lambda: BadInt(3),
    "bad key": lambda: {BadKey(): 1, (1, 2): 2, None: 3, b"x": 4, 1.5: 5},
    "bad keys of other kinds": lambda: {float("nan"): 1, frozenset({1}): 2, Color.RED: 3, BadStr("k"): 4},
    "surrogate key": lambda: {"\ud800": "\udfff"},
    "keys that collide as text": lambda: {1: "a", "1": "b", None: "c", "None": "d"},
    "proxy": Proxy,
    "liar": Liar,
    "model dump": ModelDump,
    "slots": SlotsOnly,
    "class with a hostile metaclass": lambda: OfMeta,
    "dataclass": lambda: Point(1, BadRepr()),
    "dataclass without its field": Deleted,
    "dataclass type": lambda: Point,
    "attrs": lambda: Attrs(1, BadRepr()),
    "pydantic": lambda: Model(x=1, child=BadRepr()),
    "pydantic of wrong types": lambda: Model.model_construct(x="no number"),
    "named tuple": lambda: Pair(1, BadRepr()),
    "enum": lambda: [Color.RED, Flags.A | Flags.B],
    "cycle of lists": _cycle_list,
    "cycle of dicts": _cycle_dict,
    "cycle of objects": _cycle_object,
    "cycle of models": _cycle_model,
    "deep lists": lambda: _deep(lambda value: [value]),
    "deep dicts": lambda: _deep(lambda value: {"a": value}),
    "deep tuples": lambda: _deep(lambda value: (value,)),
    "deep dataclasses": lambda: _deep(lambda value: Point(1, value)),
    "deep models": lambda: _deep(lambda value: Model.model_construct(x=1, child=value)),
    "deep attrs": lambda: _deep(lambda value: Attrs(1, value)),
    "deep mixture": lambda: _deep(lambda value: {"a": [Point(1, (value,))]}, 2500),
    "deep causes": _deep_error,
    "lock": threading.Lock,
    "rlock": threading.RLock,
    "event": threading.Event,
    "thread": lambda: threading.current_thread(),
    "queue": queue.Queue,
    "local": threading.local,
    "socket": lambda: socket.AF_INET,
    "module": lambda: sys,
    "frame": lambda: sys._getframe(),
    "code": lambda: _numbers.__code__,
    "function": lambda: _numbers,
    "builtin": lambda: len,
    "weakref": lambda: weakref.ref(Point),
    "weak dictionary": weakref.WeakValueDictionary,
    "type": lambda: int,
    "generic": lambda: dict[str, list[int]],
    "ellipsis": lambda: [..., NotImplemented],
    "nan": lambda: [float("nan"), float("inf"), -float("inf"), -0.0],
    "nan of numpy": lambda: [np.float64("nan"), np.float32("inf")],
    "huge int": lambda: [10**400, -(10**25), 2**64, 2**63, -(2**63) - 1],
    "int over the digit limit": lambda: 10**5000,
    "complex": lambda: 1 + 2j,
    "decimal": lambda: [decimal.Decimal("NaN"), decimal.Decimal("sNaN"), decimal.Decimal("1.10")],
    "fraction": lambda: fractions.Fraction(1, 3),
    "surrogates": lambda: "a\ud800b\udc00",
    "controls": lambda: "\x00\x01\x1f\x7f\u2028\u2029",
    "bytes": lambda: b"\xff\x00\xfe",
    "bytearray": lambda: bytearray(b"\xff"),
    "memoryview": lambda: memoryview(b"\xff"),
    "array": lambda: array.array("d", [1.0]),
    "range": lambda: range(10**12),
    "slice": lambda: slice(1, 2),
    "sets": lambda: [{1, "a"}, frozenset({2})],
    "deque": lambda: collections.deque([1], maxlen=3),
    "defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "counter": lambda: collections.Counter("aab"),
    "chain map": lambda: collections.ChainMap({"a": 1}, {"b": 2}),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "namespace": lambda: types.SimpleNamespace(a=BadRepr()),
    "path": lambda: pathlib.Path("/tmp/\udcff"),
    "uuid": lambda: uuid.UUID(int=1),
    "address": lambda: ipaddress.ip_address("127.0.0.1"),
    "pattern": lambda: re.compile("a"),
    "datetimes": lambda: [
        datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC),
        datetime.date.min,
        datetime.timedelta.max,
        datetime.time(1),
    ],
    "exception": lambda: ValueError(BadRepr()),
    "exception group": lambda: ExceptionGroup("many", [ValueError(1), OSError(2)]),
    "closed file": _closed_file,
    "text io": lambda: io.StringIO("text"),
    "numpy": lambda: np.arange(6).reshape(2, 3),
    "numpy of objects": lambda: np.array([BadRepr(), None], dtype=object),
    "numpy scalars": lambda: [np.int64(1), np.bool_(True), np.datetime64("NaT"), np.str_("x"), np.complex64(1)],
    "numpy structured": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "numpy zero-d": lambda: np.array(1),
    "numpy masked": lambda: np.ma.masked_array([1, 2], [True, False]),
    "pandas": lambda: pd.DataFrame({"a": [1, None], "b": ["x", BadRepr()]}),
    "pandas with doubled columns": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "pandas with a multi-index": lambda: pd.DataFrame({("a", 1): [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])),
    "series": lambda: pd.Series([1, 2], name="s"),
    "pandas scalars": lambda: [pd.NaT, pd.NA, pd.Timestamp(0), pd.Timedelta(1), pd.Interval(0, 1)],
    "polars": lambda: pl.DataFrame({"a": [1, None]}),
    "polars lazy": lambda: pl.LazyFrame({"a": [1]}),
    "polars expression": lambda: pl.col("a"),
    "polars series": lambda: pl.Series("a", [1.0, float("nan")]),
}


def _released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


def _strict(row: dict[str, Any], column: str) -> None:
    assert column in row
    json.dumps(row[column], allow_nan=False).encode()


@pytest.mark.parametrize("kind", VALUES)
def test_hostile_arguments_and_results_do_not_break_the_call(kind: str) -> None:
    value = VALUES[kind]()

    @llmops.trace(name="traced")
    def traced(given: Any, *, again: Any) -> Any:
        assert given is value
        assert again[0] is value
        return value

    with context_unchanged():
        assert traced(value, again=[value]) is value
    row = only("traced")
    assert row["status"] == "ok"
    _strict(row, "input")
    _strict(row, "output")
    assert set(row["input"]) == {"given", "again"}


@pytest.mark.parametrize(
    "kind", ["bad repr", "bad getattribute", "tensor", "deep dicts", "nan", "surrogates", "bad dict"]
)
def test_hostile_values_on_a_span_block_do_not_raise(kind: str) -> None:
    value = VALUES[kind]()
    with context_unchanged(), llmops.span("block", input=value, attributes={"a.b": value}, more=value) as span:
        span.output = value
        span.set({"c.d": value}, e=value)
        span.set_attribute("f", value)
        span.add_event("g", {"h": value})
    row = only("block")
    assert row["status"] == "ok"
    _strict(row, "input")
    _strict(row, "output")


@pytest.mark.parametrize("kind", ["bad repr", "bad getattr", "bad getattribute", "tensor", "yes to all", "lock"])
def test_hostile_generator_items_do_not_break_the_stream(kind: str) -> None:
    value = VALUES[kind]()

    @llmops.trace(name="traced")
    def traced() -> Iterator[Any]:
        yield value
        yield "text"
        yield value

    got = list(traced())
    assert [each is value for each in got] == [True, False, True]
    assert only("traced")["status"] == "ok"


@pytest.mark.parametrize("kind", ["bad repr", "bad getattribute", "bad getattr", "yes to all", "tensor"])
def test_a_hostile_self_does_not_break_the_call(kind: str) -> None:
    @llmops.trace(name="traced")
    def traced(self: Any, x: int) -> int:
        return x

    assert traced.__get__(VALUES[kind]())(3) == 3
    assert only("traced")["status"] == "ok"
