"""What is kept of each kind of value, exactly."""

from __future__ import annotations

import array
import collections
import contextvars
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import hashlib
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
import weakref
import zoneinfo
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, TypedDict
from unittest import mock

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._encode import encode


def kept(value: object, bounds: Bounds | None = None) -> Any:
    """What is captured, parsed by a reader that refuses what is not JSON."""

    def refuse(constant: str) -> float:
        raise ValueError(constant)

    return json.loads(encode(value, bounds or Bounds()).decode("utf-8", "strict"), parse_constant=refuse)


# --- classes with fields --------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Plain:
    x: int
    known: ClassVar[int] = 7
    seed: dataclasses.InitVar[int] = 0
    other: list[int] = dataclasses.field(default_factory=list)
    late: int = dataclasses.field(init=False, default=5)
    secret: str = dataclasses.field(default="s3cret", repr=False)


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    x: int
    inner: Any = None


@attrs.define
class WithAttrs:
    x: int
    secret: str = attrs.field(default="s3cret", repr=False)


class SubOfAttrs(WithAttrs):
    """Not decorated itself."""


class Pair(NamedTuple):
    a: int
    b: Any


class Row(TypedDict):
    a: int


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)
    name: str
    key: pydantic.SecretStr = pydantic.SecretStr("s3cret")
    raw: pydantic.SecretBytes = pydantic.SecretBytes(b"s3cret")
    hidden: str = pydantic.Field(default="s3cret", repr=False)
    internal: str = pydantic.Field(default="s3cret", exclude=True)
    _private: str = pydantic.PrivateAttr(default="s3cret")

    @pydantic.computed_field
    @property
    def computed(self) -> str:
        raise AssertionError("the application's code")

    @pydantic.computed_field
    @functools.cached_property
    def cached(self) -> str:
        return "once"


class Roots(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Validated:
    x: int


class Color(enum.Enum):
    RED = "red"
    LISTED = ("a", 1)


class Access(enum.Flag):
    READ = 1
    WRITE = 2


def test_dataclasses_are_captured_by_field():
    assert kept(Plain(1)) == {"x": 1, "other": [], "late": 5, "secret": {"$hidden": True}}
    assert kept(Slotted(1, Slotted(2))) == {"x": 1, "inner": {"x": 2, "inner": None}}
    knot = Slotted(1, [])
    knot.inner.append(knot)
    assert kept(knot) == {"x": 1, "inner": [{"$cycle": "Slotted"}]}
    bare = Plain.__new__(Plain)
    assert kept(bare) == {"late": 5, "secret": {"$hidden": True}}
    assert kept(dataclasses.make_dataclass("Made", ["a"])(3)) == {"a": 3}


def test_pydantic_models_are_captured_by_field():
    model = Model(name="a", more=[1])
    hidden = {"$hidden": True}
    expected = {"name": "a", "key": "**********", "raw": "**********", "hidden": hidden, "internal": hidden}
    assert kept(model) == {**expected, "more": [1]}
    assert model.cached == "once"
    assert kept(model) == {**expected, "cached": "once", "more": [1]}
    assert b"s3cret" not in encode(model)
    assert kept(Roots([1, 2])) == [1, 2]
    assert kept(Validated(1)) == {"x": 1}
    assert kept(Model.model_construct(name=3)) == {**expected, "name": 3}
    assert kept([pydantic.HttpUrl("https://a.example/b"), pydantic.PostgresDsn("postgres://h/db")]) == [
        "https://a.example/b",
        "postgres://h/db",
    ]


def test_attrs_named_tuples_and_typed_dicts_are_captured_by_field():
    assert kept(WithAttrs(1)) == kept(SubOfAttrs(1)) == {"x": 1, "secret": {"$hidden": True}}
    assert kept(Pair(1, Pair(2, None))) == {"a": 1, "b": {"a": 2, "b": None}}
    assert kept(Row(a=1)) == {"a": 1}


def test_enums_and_flags_are_captured_by_value():
    assert kept([Color.RED, Color.LISTED, Access.READ | Access.WRITE]) == ["red", ["a", 1], 3]


# --- the standard library -------------------------------------------------------------------------------------------


class ShoutingDate(dt.datetime):
    def isoformat(self, *_: object) -> str:
        raise AssertionError("the application's code")

    __str__ = __repr__ = isoformat


class OwnZone(dt.tzinfo):
    def utcoffset(self, _: object) -> dt.timedelta:
        raise AssertionError("the application's code")


MOMENT = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC).replace(tzinfo=None)
BERLIN = zoneinfo.ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MOMENT, "2026-01-02T03:04:05.000006"),
        (MOMENT.replace(tzinfo=BERLIN), "2026-01-02T03:04:05.000006+00:00"),
        (ShoutingDate(2026, 1, 2), "2026-01-02T00:00:00"),
        (MOMENT.replace(tzinfo=OwnZone()), {"$datetime": MOMENT.isoformat(), "tzinfo": f"{__name__}.OwnZone"}),
        (dt.time(1, 2, tzinfo=OwnZone()), {"$datetime": "01:02:00", "tzinfo": f"{__name__}.OwnZone"}),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.timedelta(days=-1, seconds=1), "-1 day, 0:00:01"),
        (BERLIN, "UTC"),
        (dt.timezone(dt.timedelta(hours=2)), "UTC+02:00"),
        (decimal.Decimal("sNaN"), "sNaN"),
        (fractions.Fraction(-1, 3), "-1/3"),
        (1 - 2j, "(1-2j)"),
        (complex("nan"), "(nan+0j)"),
        (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (pathlib.Path("a/b"), "a/b"),
        (range(3), "range(0, 3)"),
        (range(0, 10**30, 7), f"range(0, {10**30}, 7)"),
        (slice(1, None, "x"), {"$slice": [1, None, "x"]}),
        (re.compile("a+"), {"$type": "re.Pattern", "pattern": "a+"}),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({2.5, 1}, [1, 2.5]),
        (collections.deque([1, 2], maxlen=2), [1, 2]),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.ChainMap({"a": 1, 2: 0}, {"a": 9, "b": 2}), {"a": 1, "2": 0, "b": 2}),
        (types.MappingProxyType({"a": [1]}), {"a": [1]}),
        (types.MappingProxyType(collections.UserDict(a=1)), {"$type": "builtins.mappingproxy"}),
        (collections.UserDict(a=1), {"a": 1}),
        (collections.UserList([1]), [1]),
        (types.SimpleNamespace(a=1, b=[2]), {"a": 1, "b": [2]}),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.items(), [["a", 1]]),
        (array.array("d", [1.5]), {"$type": "array.array", "typecode": "d", "length": 1, "$head": [1.5]}),
        (len, {"$type": "builtins.builtin_function_or_method", "name": "builtins.len"}),
        (kept, {"$type": "builtins.function", "name": f"{__name__}.kept"}),
        (Model.model_dump, {"$type": "builtins.function", "name": "pydantic.main.BaseModel.model_dump"}),
        (int, {"$type": "builtins.type", "name": "builtins.int"}),
        (Color, {"$type": "enum.EnumType", "name": f"{__name__}.Color"}),
        (sys, {"$type": "builtins.module", "name": "sys"}),
        (
            functools.partial(len, "a"),
            {
                "$type": "functools.partial",
                "function": {"$type": "builtins.builtin_function_or_method", "name": "builtins.len"},
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_standard_library_values_are_captured_as_text(value: Any, expected: Any):
    assert kept(value) == expected
    assert kept([value, {"again": value}]) == [expected, {"again": expected}]


def test_keys_with_the_same_text_are_numbered():
    assert kept({1: "a", "1": "b", "1#2": "c", 1.5: "d", None: "e", "null": "f"}) == {
        "1": "a",
        "1#2": "b",
        "1#2#2": "c",
        "1.5": "d",
        "null": "e",
        "null#2": "f",
    }
    assert kept({"$truncated": "mine", "a": 1, "b": (2,)}, Bounds(max_bytes=90, max_items=2)) == {
        "$truncated": "mine",
        "a": 1,
        "$$truncated": 1,
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("why"), {"$exception": "ValueError", "message": "why"}),
        (KeyError("k"), {"$exception": "KeyError", "message": "k"}),
        (ValueError("a", 1), {"$exception": "ValueError", "message": "('a', 1)"}),
        (ValueError(), {"$exception": "ValueError", "message": ""}),
        (
            FileNotFoundError(2, "No such file", "a.txt"),
            {"$exception": "FileNotFoundError", "message": "[Errno 2] No such file: 'a.txt'"},
        ),
        (ValueError([1], "x"), {"$exception": "ValueError", "args": [[1], "x"]}),
        (
            ExceptionGroup("many", [ValueError("a"), OSError(2, "b")]),
            {
                "$exception": "ExceptionGroup",
                "message": "many",
                "exceptions": [
                    {"$exception": "ValueError", "message": "a"},
                    {"$exception": "FileNotFoundError", "message": "[Errno 2] b"},
                ],
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_are_captured_as_class_and_message(error: Exception, expected: Any):
    assert kept(error) == expected


def test_a_captured_exception_has_no_locals_and_no_custom_text():
    class OwnError(Exception):
        def __str__(self) -> str:
            raise AssertionError("the application's code")

    def fail() -> None:
        password = "hunter2"
        raise OwnError(password, 1)

    with pytest.raises(OwnError) as caught:
        fail()
    caught.value.args = ("only", 1)
    assert kept(caught.value) == {
        "$exception": f"{__name__}.{OwnError.__qualname__}",
        "args": ["only", 1],
    }
    assert b"hunter2" not in encode(caught.value)


def _numbers() -> Iterator[int]:
    yield 1


async def _coroutine() -> None:
    pass


async def _stream() -> Any:
    yield 1


class Target:
    pass


def _things() -> dict[str, Any]:
    target = Target()
    return {
        "_thread.lock": threading.Lock(),
        "_thread.RLock": threading.RLock(),
        "threading.Event": threading.Event(),
        "threading.Condition": threading.Condition(),
        "threading.Thread": threading.Thread(target=print),
        "_thread._local": threading.local(),
        "queue.Queue": queue.Queue(),
        "builtins.generator": _numbers(),
        "builtins.async_generator": _stream(),
        "builtins.list_iterator": iter([1]),
        "builtins.map": map(str, [1]),
        "builtins.zip": zip([1], [2], strict=True),
        "builtins.enumerate": enumerate([1]),
        "builtins.filter": filter(None, [1]),
        "_contextvars.ContextVar": contextvars.ContextVar("v"),
        "_contextvars.Context": contextvars.copy_context(),
        "weakref.ReferenceType": weakref.ref(target),
        "weakref.ProxyType": weakref.proxy(target),
        "weakref.WeakValueDictionary": weakref.WeakValueDictionary(a=target),
        "builtins.frame": sys._getframe(),
        "builtins.object": object(),
        "builtins.ellipsis": ...,
        f"{__name__}.Target": target,
    }


@pytest.mark.parametrize("name", list(_things()))
def test_values_without_data_are_captured_as_their_class(name: str):
    value = _things()[name]
    assert kept([value])[0] == {"$type": f"{type(value).__module__}.{type(value).__qualname__}"}


def test_coroutines_and_tasks_are_not_awaited():
    import asyncio

    async def main() -> Any:
        task = asyncio.ensure_future(asyncio.sleep(0, "done"))
        waiting = _coroutine()
        said = kept([task, waiting])
        await waiting
        return said, await task

    said, result = asyncio.run(main())
    assert [one["$type"] for one in said] == ["_asyncio.Task", "builtins.coroutine"]
    assert result == "done"


def test_open_files_and_sockets_are_captured_by_name(tmp_path: pathlib.Path):
    path = tmp_path / "a.txt"
    path.write_text("text")
    with path.open() as text, path.open("rb") as raw, path.open("rb", buffering=0) as bare:
        assert kept(text) == {"$type": "_io.TextIOWrapper", "name": str(path)}
        assert kept(raw) == {"$type": "_io.BufferedReader", "name": str(path)}
        assert kept(bare) == {"$type": "_io.FileIO", "name": str(path)}
        assert (text.read(), raw.tell()) == ("text", 0)
    assert kept(io.StringIO("text")) == {"$type": "_io.StringIO"}
    wrapper = io.TextIOWrapper(io.BytesIO())
    wrapper.detach()
    assert kept(wrapper) == {"$type": "_io.TextIOWrapper"}
    with socket.socket() as one:
        assert kept(one) == {"$type": "socket.socket"}


# --- binary content -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [bytes, bytearray, lambda text: memoryview(bytes(text))], ids=["b", "array", "view"])
def test_bytes_are_captured_as_size_digest_and_head(make: Any):
    content = b"\x00abc\xff" * 100
    assert kept(make(content)) == {
        "$bytes": 500,
        "sha256": hashlib.sha256(content).hexdigest(),
        "$head": ("\\x00abc\\xff") * 12 + "\\x00abc",
    }


def test_bytes_that_change_and_are_too_large_to_copy_have_no_digest():
    said = kept([bytearray(9_000_000), memoryview(bytearray(9_000_000))])
    assert [(one["$bytes"], "sha256" in one, one["$head"]) for one in said] == [(9_000_000, False, "\\x00" * 64)] * 2


# --- libraries ------------------------------------------------------------------------------------------------------


class OwnArray(np.ndarray):
    def __array_finalize__(self, _: object) -> None:
        self.seen = True

    def tolist(self) -> Any:
        raise AssertionError("the application's code")


class OwnFrame(pd.DataFrame):
    @property
    def shape(self) -> Any:
        raise AssertionError("the application's code")


def test_numpy_values_are_captured_as_shape_and_head():
    said = kept(np.arange(12, dtype="int16").reshape(3, 4))
    assert said == {"$type": "numpy.ndarray", "dtype": "int16", "shape": [3, 4], "$head": list(range(8))}
    assert kept(np.array([math_nan := float("nan"), 1.0]))["$head"] == ["NaN", 1.0], math_nan
    assert kept(np.array("x"))["shape"] == []
    assert kept(np.zeros((2, 0)))["$head"] == []
    assert kept(np.array([Target(), None], dtype=object))["$head"] == [{"$type": f"{__name__}.Target"}, None]
    assert kept(np.zeros(1, dtype=[("a", "i4"), ("b", "f8")]))["$head"] == [[0, 0.0]]
    assert kept(np.zeros(3).view(OwnArray))["$head"] == [0.0, 0.0, 0.0]
    scalars = [np.int8(1), np.float32(0.5), np.float64("nan"), np.bool_(True), np.str_("x"), np.longdouble(2)]
    assert kept(scalars) == [1, 0.5, "NaN", True, "x", "2.0"]
    moments = [np.datetime64("2026-01-02"), np.datetime64("NaT", "s"), np.timedelta64(3, "s")]
    assert kept(moments) == ["2026-01-02", "NaT", "3 seconds"]
    assert kept([np.complex64(1), np.void(b"ab")]) == ["(1+0j)", {"$type": "numpy.void", "dtype": "|V2"}]


def test_pandas_values_are_captured_as_shape_and_head():
    frame = pd.DataFrame({"a": range(7), "b": ["x"] * 7})
    assert kept(frame) == {
        "$type": f"{type(frame).__module__}.DataFrame",
        "shape": [7, 2],
        "columns": ["a", "b"],
        "$head": [[n, "x"] for n in range(5)],
    }
    wide = kept(pd.DataFrame([range(60)]))
    assert (wide["columns"][-1], len(wide["$head"][0])) == ({"$truncated": 10}, 50)
    series = kept(pd.Series([1, 2], name="s"))
    assert (series["name"], series["dtype"], series["shape"], series["$head"]) == ("s", "int64", [2], [1, 2])
    assert kept(pd.Index(["a"]))["$head"] == ["a"]
    assert kept([pd.Timestamp("2026-01-02"), pd.NaT, pd.NA]) == ["2026-01-02T00:00:00", "NaT", "<NA>"]
    assert kept(OwnFrame({"a": [1]})) == {"$type": f"{__name__}.OwnFrame"}
    assert kept(pd.DataFrame([[1, 2]], columns=["a", "a"]))["columns"] == ["a", "a"]


def test_polars_and_arrow_tables_are_captured_as_shape_and_head():
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    said = kept(frame)
    assert (said["shape"], said["columns"], said["$head"]) == ([2, 2], ["a", "b"], [[1, "x"], [None, "y"]])
    assert kept(frame["a"])["$head"] == [1, None]
    assert set(kept(frame.lazy())) == {"$type"}
    table = kept(pa.table({"a": [1, 2]}))
    assert (table["shape"], table["columns"], table["$head"]) == ([2, 1], ["a"], [[1], [2]])


class FakeTensor:
    """As a tensor's class in C: shape and dtype are slots."""

    __slots__ = ("dtype", "shape")

    def __init__(self) -> None:
        self.shape, self.dtype = (2, 3), "bfloat16"

    def __len__(self) -> int:
        raise RuntimeError("ambiguous")

    __bool__ = __iter__ = __array__ = __len__


class LazyTensor:
    @property
    def shape(self) -> Any:
        raise AssertionError("the application's code")

    dtype = shape


def test_tensors_are_captured_as_shape_and_dtype():
    assert kept(FakeTensor()) == {"$type": f"{__name__}.FakeTensor", "dtype": "bfloat16", "shape": [2, 3]}
    assert kept(LazyTensor()) == {"$type": f"{__name__}.LazyTensor"}
    assert kept([mock.MagicMock(), mock.create_autospec(FakeTensor)]) == [
        {"$type": "unittest.mock.MagicMock"},
        {"$type": "unittest.mock.MagicMock"},
    ]


def test_nothing_is_imported_for_a_value():
    class Claims:
        __module__ = "torch.fake"
        __qualname__ = "Tensor"

    assert kept(Claims()) == {"$type": "torch.fake.Tensor"}
    assert "torch" not in sys.modules
