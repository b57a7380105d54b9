"""What ends a call from outside: one span that is not ok, a clean context, and the exception as it was."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from span_rows import context_unchanged, only, parents, recorded

import llmops_sdk as llmops


class Unusual(BaseException):
    """Neither an Exception nor one of Python's own."""


STATUS = {
    KeyboardInterrupt: {"cancelled", "error"},
    SystemExit: {"cancelled", "error"},
    asyncio.CancelledError: {"cancelled"},
    Unusual: {"cancelled", "error"},  # as the cancellations of trio and gevent are
    ValueError: {"error"},
    StopAsyncIteration: {"error"},
    MemoryError: {"error"},
    RecursionError: {"error"},
    TimeoutError: {"error"},
}


def function(error: BaseException) -> None:
    raise error


async def coroutine(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


def generator(error: BaseException) -> Iterator[int]:
    yield 1
    raise error


async def async_generator(error: BaseException) -> AsyncIterator[int]:
    yield 1
    raise error


async def _drain(stream: AsyncIterator[int]) -> None:
    async for _ in stream:
        pass


def _step(awaitable: Any) -> None:
    """Run a coroutine by hand, so that no loop stands between the exception and the test."""
    steps = awaitable.__await__()
    for _ in steps:
        pass


def _block(error: BaseException) -> None:
    with llmops.span("block"):
        raise error


async def _async_block(error: BaseException) -> None:
    async with llmops.span("block"):
        raise error


RUNS: dict[str, tuple[str, Callable[[BaseException], object]]] = {
    "function": ("function", lambda error: llmops.trace(function)(error)),
    "coroutine": ("coroutine", lambda error: _step(llmops.trace(coroutine)(error))),
    "generator": ("generator", lambda error: list(llmops.trace(generator)(error))),
    "async generator": ("async_generator", lambda error: _step(_drain(llmops.trace(async_generator)(error)))),
    "block": ("block", _block),
    "async block": ("block", lambda error: _step(_async_block(error))),
}


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("form", RUNS)
def test_each_ending_of_a_call_leaves_one_ended_span(form: str, kind: type[BaseException]) -> None:
    name, run = RUNS[form]
    if kind is StopAsyncIteration and "async generator" in form:
        with pytest.raises(RuntimeError):
            run(kind("x"))
        assert only(name)["status"] == "error"
        return
    error = kind("the user's")
    with context_unchanged(), pytest.raises(kind) as caught:
        run(error)
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert getattr(error, "__notes__", None) is None
    row = only(name)
    assert row["status"] in STATUS[kind]
    assert row.get("error_type", "").endswith(kind.__name__) or row["status"] == "cancelled"


def test_stop_iteration_of_a_plain_function() -> None:
    error = StopIteration(3)
    with context_unchanged(), pytest.raises(StopIteration) as caught:
        llmops.trace(function)(error)
    assert caught.value is error
    assert only("function")["status"] == "error"


def test_generator_exit_of_a_plain_function() -> None:
    error = GeneratorExit()
    with context_unchanged(), pytest.raises(GeneratorExit) as caught:
        llmops.trace(function)(error)
    assert caught.value is error
    assert only("function")["status"] != "ok"


def test_a_real_sigint_ends_the_span_and_propagates() -> None:
    @llmops.trace(name="waits")
    def waits() -> None:
        signal.raise_signal(signal.SIGINT)
        threading.Event().wait(10)

    with context_unchanged(), pytest.raises(KeyboardInterrupt):
        waits()
    assert only("waits")["status"] in STATUS[KeyboardInterrupt]


def test_an_alarm_that_raises_in_the_body() -> None:
    class AlarmError(Exception):
        pass

    def ring(*_: object) -> None:
        raise AlarmError

    previous = signal.signal(signal.SIGALRM, ring)

    @llmops.trace(name="waits")
    def waits() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        threading.Event().wait(10)

    try:
        with context_unchanged(), pytest.raises(AlarmError):
            waits()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    row = only("waits")
    assert row["status"] == "error"
    assert row["error_type"].endswith("AlarmError")


def test_exit_inside_nested_spans() -> None:
    @llmops.trace(name="outer")
    def outer() -> None:
        with llmops.span("middle"):
            inner()

    @llmops.trace(name="inner")
    def inner() -> None:
        raise SystemExit(3)

    with context_unchanged(), pytest.raises(SystemExit) as caught:
        outer()
    assert caught.value.code == 3
    assert parents() == {"outer": None, "middle": "outer", "inner": "middle"}
    assert "ok" not in {row["status"] for row in recorded()}


def test_cancelled_before_the_first_step() -> None:
    async def main() -> None:
        task = asyncio.create_task(llmops.trace(coroutine)(ValueError()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [row["status"] for row in recorded()] in ([], ["cancelled"])


def test_cancelled_and_swallowed_is_ok() -> None:
    @llmops.trace(name="calm")
    async def calm() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
            return "calm"
        return "never"

    async def main() -> str:
        task = asyncio.create_task(calm())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(main()) == "calm"
    assert only("calm")["status"] == "ok"


def test_a_wait_for_timeout_cancels_the_span() -> None:
    @llmops.trace(name="inner")
    async def inner() -> None:
        await asyncio.Event().wait()

    @llmops.trace(name="outer")
    async def outer() -> None:
        await asyncio.wait_for(inner(), 0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(outer())
    assert only("inner")["status"] == "cancelled"
    assert (only("outer")["status"], only("outer")["error_type"]) == ("error", "TimeoutError")


def test_a_shielded_call_goes_on() -> None:
    let_go = asyncio.Event()

    @llmops.trace(name="inner")
    async def inner() -> int:
        await let_go.wait()
        return 1

    @llmops.trace(name="outer")
    async def outer(task: asyncio.Task[int]) -> None:
        await asyncio.shield(task)

    async def main() -> int:
        kept = asyncio.create_task(inner())
        task = asyncio.create_task(outer(kept))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        let_go.set()
        return await kept

    assert asyncio.run(main()) == 1
    assert only("outer")["status"] == "cancelled"
    assert only("inner")["status"] == "ok"


def test_an_exception_group_propagates_unchanged() -> None:
    @llmops.trace
    async def child(n: int) -> None:
        await asyncio.sleep(0)
        raise ValueError(n)

    @llmops.trace(name="grouped")
    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(child(n))

    with context_unchanged(), pytest.raises(ExceptionGroup) as caught:
        asyncio.run(grouped())
    assert [error.args for error in caught.value.exceptions] == [(0,), (1,), (2,)]
    row = only("grouped")
    assert (row["status"], row["error_type"]) == ("error", "ExceptionGroup")
    assert len(recorded()) == 4


def test_a_group_of_cancellations_and_an_interrupt() -> None:
    error = BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError()])
    with context_unchanged(), pytest.raises(BaseExceptionGroup) as caught:
        llmops.trace(function)(error)
    assert caught.value is error
    assert only("function")["status"] in {"cancelled", "error"}


def test_a_coroutine_closed_by_hand() -> None:
    @llmops.trace(name="waits")
    async def waits() -> None:
        await asyncio.sleep(0)

    with context_unchanged():
        pending = waits()
        pending.send(None)
        pending.close()
    assert only("waits")["status"] in {"cancelled", "closed"}


def test_the_chain_of_the_users_exception_is_left_alone() -> None:
    cause, context = OSError("cause"), KeyError("context")

    @llmops.trace(name="chained")
    def chained() -> None:
        try:
            raise context
        except KeyError:
            raise ValueError("outer") from cause

    with pytest.raises(ValueError) as caught:
        chained()
    assert caught.value.__cause__ is cause
    assert caught.value.__context__ is context
    assert only("chained")["error_type"] == "ValueError"


def test_raised_once_more_has_one_traceback_entry_of_the_body() -> None:
    error = ValueError("again")
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            llmops.trace(function)(error.with_traceback(None))
        assert caught.value is error
    assert [row["status"] for row in recorded()] == ["error"] * 3


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RecursionError])
@pytest.mark.parametrize("form", RUNS)
def test_an_exception_whose_text_raises(form: str, kind: type[BaseException]) -> None:
    """Nobody asked for its text but us: it is the user's own that reaches them."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise kind

        __repr__ = __str__

    name, run = RUNS[form]
    with context_unchanged(), pytest.raises(MuteError):
        run(MuteError())
    row = only(name)
    assert (row["status"], row["error_type"].rpartition(".")[2]) == ("error", "MuteError")
    assert "MuteError" in row["status_message"]
