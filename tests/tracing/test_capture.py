"""Values to JSON: strict, bounded, a snapshot, and nothing of the application's is run."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import json
import math
import pathlib
import threading
import uuid
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmops_sdk as llmops
from llmops_sdk.tracing.capture._bounds import Bounds
from llmops_sdk.tracing.capture._encode import encode

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_plain_values_round_trip(value: Any):
    assert json.loads(encode(value)) == value


def strict(text: bytes) -> Any:
    """Parsed by a reader that refuses what is not JSON."""

    def refuse(constant: str) -> float:
        raise ValueError(constant)

    return json.loads(text.decode("utf-8"), parse_constant=refuse)


class Color(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Point:
    x: int
    inner: Any = None


class Invoice(pydantic.BaseModel):
    total: float
    lines: list[str]


class Hostile:
    """Everything that a value can be asked raises."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    def __repr__(self) -> str:
        raise AssertionError("repr")

    def __str__(self) -> str:
        raise AssertionError("str")

    def __iter__(self) -> Any:
        raise AssertionError("iter")

    def __len__(self) -> int:
        raise AssertionError("len")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("eq")

    __hash__ = None  # pyright: ignore[reportAssignmentType]


class HostileText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise AssertionError("len")

    def __str__(self) -> str:
        raise AssertionError("str")

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise AssertionError("encode")


class HostileList(list[Any]):
    def __iter__(self) -> Any:
        raise AssertionError("iter")

    def __len__(self) -> int:
        raise AssertionError("len")


class HostileDict(dict[str, Any]):
    def items(self) -> Any:
        raise AssertionError("items")

    def __iter__(self) -> Any:
        raise AssertionError("iter")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, "a", None), [1, "a", None]),
        ({"k": {"n": [True, 1.5]}}, {"k": {"n": [True, 1.5]}}),
        ({1: "int", ("a", 2): "tuple", None: "none"}, {"1": "int", '["a",2]': "tuple", "null": "none"}),
        (math.nan, "NaN"),
        ([math.inf, -math.inf], ["Infinity", "-Infinity"]),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        (2**70, str(2**70)),
        (-(2**63), -(2**63)),
        (10**5000, f"int of {(10**5000).bit_length()} bits"),
        (Color.RED, "red"),
        (Number.ONE, 1),
        (b"abc", {"$bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest(), "$head": "abc"}),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05+00:00"),
        (dt.timedelta(seconds=1), "0:00:01"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        ({3}, [3]),
        (Point(1, Point(2)), {"x": 1, "inner": {"x": 2, "inner": None}}),
        (Invoice(total=1.5, lines=["a"]), {"total": 1.5, "lines": ["a"]}),
        (ValueError("why"), {"$exception": "ValueError", "message": "why"}),
        (np.zeros((2, 3)), {"$type": "numpy.ndarray", "dtype": "float64", "shape": [2, 3], "$head": [0.0] * 6}),
        (Hostile(), {"$type": f"{__name__}.Hostile"}),
        ([Hostile()], [{"$type": f"{__name__}.Hostile"}]),
        (HostileText("text"), "text"),
        (HostileList([1]), [1]),
        (HostileDict(a=1), {"a": 1}),
        (threading.Lock(), {"$type": "_thread.lock"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_every_type_are_captured(value: Any, expected: Any):
    assert strict(encode(value)) == expected


def test_a_cycle_becomes_a_marker():
    knot: list[Any] = [1]
    knot.append(knot)
    assert strict(encode(knot)) == [1, {"$cycle": "list"}]
    point = Point(1)
    point.inner = point
    assert strict(encode(point)) == {"x": 1, "inner": {"$cycle": "Point"}}


def test_deep_nesting_is_cut():
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert b'"$truncated"' in encode(deep)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 50_000_000,
        ["y" * 1000] * 50_000,
        {f"k{i}": "z" * 100 for i in range(100_000)},
        "\x00" * 100_000,
        "é" * 90_000,
    ],
    ids=["text", "list", "mapping", "escapes", "multi-byte"],
)
def test_a_huge_value_is_cut_and_marked(value: Any):
    bounds = Bounds(max_bytes=65_536)
    line = encode(value, bounds)
    strict(line)
    assert len(line) <= bounds.max_bytes * 6 + 4_096
    assert b"truncated" in line or b"characters]" in line


def test_omitted_items_are_counted():
    assert strict(encode([*range(4), {5}], Bounds(max_bytes=120, max_items=3))) == [0, 1, 2, {"$truncated": 2}]


def test_a_keyword_named_like_a_positional_parameter_is_captured(sink):
    @llmops.trace("positional")
    def positional(a: int, /, **more: int) -> None: ...

    @llmops.trace("rest")
    def rest(*args: int, **more: int) -> None: ...

    positional(1, a=2, b=3)
    rest(1, args=2)
    assert json.loads(sink.named("positional").input) == {"a": 1, "a#2": 2, "b": 3}
    assert json.loads(sink.named("rest").input) == {"args": [1], "args#2": 2}


def test_a_container_changed_during_capture_raises_nothing():
    shared = {str(i): i for i in range(100)}
    stop = threading.Event()

    def churn() -> None:
        n = 0
        while not stop.is_set():
            shared[f"x{n % 50}"] = n
            shared.pop(f"x{(n + 25) % 50}", None)
            n += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        captured = [strict(encode(shared)) for _ in range(300)]
    finally:
        stop.set()
        thread.join()
    assert len(captured) == 300


def test_an_unreadable_value_does_not_affect_its_siblings(sink):
    released = memoryview(b"abc")
    released.release()

    @llmops.trace
    def f(*values: object, b: int) -> int:
        return b

    assert f(released, b"", b=1) == 1
    captured = json.loads(sink.only().input)
    assert captured["b"] == 1
    assert [value.get("$unreadable") for value in captured["values"]] == ["builtins.memoryview", None]


def test_cut_content_appears_in_losses(sink):
    with llmops.span("large", input="x" * 100_000):
        pass
    ((what, reason, count, size),) = [(loss.what, loss.reason, loss.count, loss.bytes) for loss in sink.losses]
    assert (what, reason, count) == ("value", "too_large", 1)
    assert size == 100_000 - 65_536
