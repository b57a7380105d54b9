"""What is kept of a value: bounded, from before the call, and nothing is run, drained or printed for it."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from span_rows import context_unchanged, only, recorded

import llmops_sdk as llmops


class BadReprBase:
    def __repr__(self) -> str:
        raise KeyboardInterrupt


class EndlessList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return itertools.count()


@dataclasses.dataclass
class Point:
    x: int
    bad: Any = None


def _numbers() -> Iterator[int]:
    yield 1


async def _coroutine() -> None:
    pass


def test_an_endless_list_is_bounded() -> None:
    @llmops.trace(name="traced")
    def traced(given: Any) -> int:
        return 1

    assert traced(EndlessList([1])) == 1
    assert only("traced")["status"] == "ok"


def test_a_repr_that_is_interrupted() -> None:
    """The interrupt belongs to the application: it passes, or the object is not asked at all."""

    @llmops.trace(name="traced")
    def traced(given: Any) -> int:
        return 1

    assert traced(BadReprBase()) == 1
    assert only("traced")["status"] == "ok"


@pytest.mark.parametrize("make", [lambda: iter([1, 2]), _numbers, lambda: map(str, [1, 2]), lambda: (n for n in [1, 2]),
                                  lambda: io.StringIO("a\nb"), lambda: zip([1], [2], strict=True)])  # fmt: skip
def test_iterators_are_not_drained(make: Callable[[], Any]) -> None:
    untouched = list(make())
    value = make()

    @llmops.trace(name="traced")
    def traced(given: Any) -> Any:
        return given

    assert list(traced(value)) == untouched
    if hasattr(value, "close"):
        value.close()
    only("traced")


def test_a_coroutine_as_argument_is_not_awaited() -> None:
    value = _coroutine()

    @llmops.trace(name="traced")
    def traced(given: Any) -> None:
        given.close()

    traced(value)
    assert only("traced")["status"] == "ok"


def test_capture_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    class Loud:
        def __repr__(self) -> str:
            print("loud")
            return "loud"

        __str__ = __repr__

        def __getattr__(self, name: str) -> Any:
            print(name)
            raise AttributeError(name)

    @llmops.trace(name="traced")
    def traced(given: Any) -> None:
        pass

    traced([Loud()])
    assert only("traced")["status"] == "ok"
    assert capfd.readouterr() == ("", "")


def test_properties_are_not_run() -> None:
    ran: list[str] = []

    class Lazy:
        @property
        def expensive(self) -> int:
            ran.append("expensive")
            return 1

    @llmops.trace(name="traced")
    def traced(given: Any) -> None:
        pass

    traced(Lazy())
    only("traced")
    assert ran == []


@pytest.mark.parametrize("value", [[0] * 3_000_000, {str(n): n for n in range(300_000)}, b"x" * 50_000_000,
                                   np.zeros((3000, 3000)), "é" * 1_000_000, "\U0001f600" * 500_000,
                                   ["x" * 70_000] * 100, [[0] * 1000] * 1000],
                         ids=["list", "dict", "bytes", "numpy", "two", "four", "long items", "square"])  # fmt: skip
def test_large_values_are_bounded(value: Any) -> None:
    @llmops.trace(name="traced", capture_output=False)
    def traced(given: Any) -> Any:
        return given

    assert traced(value) is value
    row = only("traced")
    assert len(json.dumps(row["input"], ensure_ascii=False).encode()) < 100_000
    assert "output" not in row


def test_the_snapshot_is_from_before_the_call() -> None:
    inner: dict[str, Any] = {"b": [1]}
    value = {"a": inner}
    point = Point(1, [1])

    @llmops.trace(name="traced")
    def traced(given: dict[str, Any], point: Point) -> dict[str, Any]:
        given["a"]["b"].append(2)
        given["c"] = 3
        point.bad.clear()
        return given

    result = traced(value, point)
    result["after"] = True
    inner.clear()
    row = only("traced")
    assert row["input"] == {"given": {"a": {"b": [1]}}, "point": {"x": 1, "bad": [1]}}
    assert row["output"] == {"a": {"b": [1, 2]}, "c": 3}


def test_mutated_by_another_thread_during_capture() -> None:
    value: dict[int, int] = dict.fromkeys(range(500), 0)
    stop = threading.Event()

    def churn() -> None:
        n = 500
        while not stop.is_set():
            value[n] = n
            del value[n]
            n += 1

    @llmops.trace(name="traced")
    def traced(given: Any) -> int:
        return 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(300):
            assert traced(value) == 1
    finally:
        stop.set()
        thread.join()
    assert [row["status"] for row in recorded()] == ["ok"] * 300


def test_generator_items_are_bounded() -> None:
    @llmops.trace(name="traced")
    def traced() -> Iterator[str]:
        for _ in range(2000):
            yield "x" * 1000

    assert sum(map(len, traced())) == 2_000_000
    assert len(json.dumps(only("traced")["output"])) < 100_000


def test_names_and_attributes_that_are_odd() -> None:
    with context_unchanged(), llmops.span("sur\ud800rogate", attributes={"\ud800": "\ud800", "n": float("nan")}):
        pass
    with llmops.span(""), llmops.span("x" * 100_000):
        pass
    assert len(recorded()) == 3
    assert llmops.query("SELECT count(*) FROM spans").rows() == [(3,)]
