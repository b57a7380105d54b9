"""`send`, `throw`, `close` and their async twins do what they do without us; what `inspect` says stays true."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from span_rows import context_unchanged, only, recorded

import llmops_sdk as llmops


class SaidError(Exception):
    """What a test throws."""


def talk(first: int = 0) -> Generator[Any, Any, str]:
    got: list[Any] = []
    while True:
        try:
            said = yield got.copy() or first
        except SaidError as error:
            got.append(error)
        else:
            if said is None:
                return f"heard {len(got)}"
            got.append(said)


async def atalk(first: int = 0) -> AsyncGenerator[Any, Any]:
    got: list[Any] = []
    while True:
        try:
            said = yield got.copy() or first
        except SaidError as error:
            got.append(error)
            await asyncio.sleep(0)
        else:
            if said is None:
                return
            got.append(said)


def test_send_throw_and_the_value_of_return() -> None:
    error = SaidError()
    with context_unchanged():
        stream = llmops.trace(talk)(7)
        assert next(stream) == 7
        assert stream.send("a") == ["a"]
        assert stream.throw(error)[1] is error
        assert stream.send(0) == ["a", error, 0]
        with pytest.raises(StopIteration) as stop:
            next(stream)
    assert stop.value.value == "heard 3"
    assert only("talk")["status"] == "ok"


def test_yield_from_gives_the_value_of_return() -> None:
    inner = llmops.trace(talk)

    @llmops.trace(name="outer")
    def outer() -> Generator[Any, Any, str]:
        return (yield from inner(1)) + "!"

    stream = outer()
    next(stream)
    stream.send("x")
    stream.throw(SaidError())
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == "heard 2!"
    assert only("outer")["status"] == only("talk")["status"] == "ok"
    assert only("talk")["parent_span_id"] == only("outer")["span_id"]


def test_throw_that_nobody_catches() -> None:
    error = KeyError("mine")
    stream = llmops.trace(talk)()
    next(stream)
    with context_unchanged(), pytest.raises(KeyError) as caught:
        stream.throw(error)
    assert caught.value is error
    row = only("talk")
    assert (row["status"], row["error_type"]) == ("error", "KeyError")


def test_throw_before_the_first_item() -> None:
    error = KeyError("early")
    stream = llmops.trace(talk)()
    with context_unchanged(), pytest.raises(KeyError) as caught:
        stream.throw(error)
    assert caught.value is error
    assert [row["status"] for row in recorded()] in ([], ["error"])
    assert list(stream) == []


def test_throw_of_generator_exit_is_a_close() -> None:
    stream = llmops.trace(talk)()
    next(stream)
    with context_unchanged(), pytest.raises(GeneratorExit):
        stream.throw(GeneratorExit())
    assert only("talk")["status"] == "closed"


def test_send_before_the_first_item() -> None:
    stream = llmops.trace(talk)()
    with context_unchanged(), pytest.raises(TypeError, match="can't send non-None value to a just-started generator"):
        stream.send(1)
    assert next(stream) == 0
    stream.close()
    assert only("talk")["status"] == "closed"


def test_send_of_none_begins() -> None:
    stream = llmops.trace(talk)(3)
    assert stream.send(None) == 3
    stream.close()
    assert only("talk")["status"] == "closed"


def test_close_returns_what_a_plain_generator_returns() -> None:
    @llmops.trace(name="returns")
    def returns() -> Generator[int, None, str]:
        try:
            yield 1
        except GeneratorExit:
            return "late"
        return "never"

    stream = returns()
    next(stream)
    with context_unchanged():
        assert stream.close() == ("late" if sys.version_info >= (3, 13) else None)
    assert only("returns")["status"] == "closed"


def test_an_error_raised_during_close_propagates() -> None:
    error = OSError("while closing")

    @llmops.trace(name="raises")
    def raises() -> Generator[int]:
        try:
            yield 1
        finally:
            raise error

    stream = raises()
    next(stream)
    with context_unchanged(), pytest.raises(OSError) as caught:
        stream.close()
    assert caught.value is error
    row = only("raises")
    assert (row["status"], row["error_type"]) == ("error", "OSError")


def test_a_body_that_yields_on_close() -> None:
    @llmops.trace(name="stubborn")
    def stubborn() -> Generator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    stream = stubborn()
    next(stream)
    with context_unchanged(), pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
        stream.close()
    list(stream)
    only("stubborn")


def test_stop_iteration_inside_the_body_is_a_runtime_error_as_in_python() -> None:
    @llmops.trace(name="stops")
    def stops() -> Generator[int]:
        yield 1
        raise StopIteration("wrong")  # noqa: PLR1708

    stream = stops()
    next(stream)
    with pytest.raises(RuntimeError, match="generator raised StopIteration") as caught:
        next(stream)
    assert isinstance(caught.value.__cause__, StopIteration)
    row = only("stops")
    assert (row["status"], row["error_type"]) == ("error", "RuntimeError")


def test_reentrance_is_refused_as_in_python() -> None:
    @llmops.trace(name="own")
    def own() -> Generator[int]:
        yield next(stream)

    stream = own()
    with context_unchanged(), pytest.raises(ValueError, match="generator already executing"):
        next(stream)
    assert only("own")["status"] == "error"


def test_next_after_the_end_is_no_second_span() -> None:
    stream = llmops.trace(talk)()
    next(stream)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(stream)
    stream.close()
    assert only("talk")["status"] == "ok"


async def test_asend_and_athrow() -> None:
    error = SaidError()
    with context_unchanged():
        stream = llmops.trace(atalk)(7)
        assert await anext(stream) == 7
        assert await stream.asend("a") == ["a"]
        assert (await stream.athrow(error))[1] is error
        assert await stream.asend(0) == ["a", error, 0]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert only("atalk")["status"] == "ok"


async def test_athrow_that_nobody_catches() -> None:
    error = KeyError("mine")
    stream = llmops.trace(atalk)()
    await anext(stream)
    with context_unchanged(), pytest.raises(KeyError) as caught:
        await stream.athrow(error)
    assert caught.value is error
    assert only("atalk")["status"] == "error"


async def test_asend_before_the_first_item() -> None:
    stream = llmops.trace(atalk)()
    with context_unchanged(), pytest.raises(TypeError, match="can't send non-None value to a just-started async gen"):
        await stream.asend(1)
    assert await anext(stream) == 0
    await stream.aclose()
    assert only("atalk")["status"] == "closed"


async def test_asend_is_lazy_like_pythons() -> None:
    stream = llmops.trace(atalk)()
    awaitable = stream.asend(None)
    assert [row["name"] for row in recorded()] == []
    assert await awaitable == 0
    await stream.aclose()


def plain() -> int:
    return 1


async def coroutine() -> int:
    return 1


@pytest.mark.parametrize("function", [plain, coroutine, talk, atalk], ids=lambda f: f.__name__)
@pytest.mark.parametrize("decorate", [llmops.trace, llmops.trace(name="x", kind="tool")], ids=["bare", "called"])
def test_inspect_sees_the_original_call_style(function: Callable[..., Any], decorate: Callable[..., Any]) -> None:
    traced = decorate(function)
    for question in (
        inspect.isfunction, inspect.ismethod, inspect.isroutine, inspect.iscoroutinefunction,
        inspect.isgeneratorfunction, inspect.isasyncgenfunction, inspect.isclass, inspect.isbuiltin, callable,
        inspect.signature, inspect.getsource, inspect.getfullargspec, inspect.getdoc, inspect.getmodule,
        inspect.unwrap,
    ):  # fmt: skip
        assert question(traced) == question(function), question
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "__type_params__"):
        assert getattr(traced, name, None) == getattr(function, name, None)
    assert traced.__wrapped__ is function


@pytest.mark.parametrize("function", [coroutine, talk, atalk], ids=lambda f: f.__name__)
def test_a_call_returns_pythons_own_generator_type(function: Callable[..., Any]) -> None:
    mine, pythons = llmops.trace(function)(), function()
    for kind in (
        collections.abc.Coroutine, collections.abc.Awaitable, collections.abc.Generator, collections.abc.Iterator,
        collections.abc.AsyncGenerator, collections.abc.AsyncIterator, types.CoroutineType, types.GeneratorType,
        types.AsyncGeneratorType,
    ):  # fmt: skip
        assert isinstance(mine, kind) == isinstance(pythons, kind), kind
    for question in (
        inspect.iscoroutine, inspect.isawaitable, inspect.isgenerator, inspect.isasyncgen, asyncio.iscoroutine,
    ):  # fmt: skip
        assert question(mine) == question(pythons), question
    for each in (mine, pythons):
        close = getattr(each, "close", None)
        if close is not None:
            close()
        else:
            asyncio.run(each.aclose())


def test_inspect_getgeneratorstate_works() -> None:
    stream = llmops.trace(talk)()
    assert inspect.getgeneratorstate(stream) == "GEN_CREATED"
    next(stream)
    assert inspect.getgeneratorstate(stream) == "GEN_SUSPENDED"
    stream.close()
    assert inspect.getgeneratorstate(stream) == "GEN_CLOSED"


def test_a_coroutine_never_awaited_warns_once_and_leaves_no_span() -> None:
    with pytest.warns(RuntimeWarning, match="coroutine .*coroutine.* was never awaited") as warned:
        llmops.trace(coroutine)()
    assert len(warned) == 1
    assert recorded() == []
