"""What tracing keeps alive: nothing, once a span is written."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from span_rows import context_unchanged, recorded

import llmops_sdk as llmops


class Big:
    """Something to hold a weak reference to."""


def _gone(reference: weakref.ref[Big]) -> bool:
    gc.collect()
    return reference() is None


@llmops.trace
def gives_back(value: Any) -> Any:
    return value


@llmops.trace
def raises(value: Any) -> None:
    raise ValueError("with a traceback that holds the value")


@llmops.trace
def streams(value: Any) -> Iterator[Any]:
    yield value


@llmops.trace
async def awaits(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@llmops.trace
async def streams_async(value: Any) -> AsyncIterator[Any]:
    yield value


def test_arguments_and_results_are_freed_after_the_call() -> None:
    value = Big()
    reference = weakref.ref(value)
    gives_back(gives_back({"deep": [value]}))
    del value
    llmops.flush()
    assert _gone(reference)


def test_the_arguments_go_before_the_flush_too() -> None:
    """What waits in the queue is a snapshot, not the object."""
    value = Big()
    reference = weakref.ref(value)
    gives_back(value)
    del value
    assert _gone(reference)


def test_arguments_of_a_failed_call_are_freed() -> None:
    value = Big()
    reference = weakref.ref(value)
    with contextlib.suppress(ValueError):
        raises(value)
    del value
    llmops.flush()
    assert _gone(reference)


def test_no_reference_cycle_around_an_exception() -> None:
    """Without the collector: an exception that was handled frees its frames at once, as without us."""
    gives_back(1)
    gc.collect()
    gc.disable()
    try:
        value = Big()
        reference = weakref.ref(value)
        with contextlib.suppress(ValueError):
            raises(value)
        del value
        llmops.flush()
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("how", ["function", "generator", "coroutine", "async generator", "block"])
def test_no_reference_cycle_around_a_call(how: str) -> None:
    async def drain(value: Big) -> None:
        async for _ in streams_async(value):
            pass

    gives_back(1)
    gc.collect()
    gc.disable()
    try:
        value = Big()
        reference = weakref.ref(value)
        if how == "function":
            gives_back(value)
        elif how == "generator":
            assert len(list(streams(value))) == 1
        elif how == "block":
            with llmops.span("block", input=value) as span:
                span.output = value
            del span
        else:
            pending = awaits(value) if how == "coroutine" else drain(value)
            with contextlib.suppress(StopIteration):
                while True:
                    pending.send(None)
            del pending
        del value
        llmops.flush()
        assert reference() is None
    finally:
        gc.enable()


def test_a_suspended_generator_holds_no_more_than_pythons() -> None:
    value = Big()
    reference = weakref.ref(value)
    stream = streams(value)
    next(stream)
    del stream, value
    assert _gone(reference)


def test_a_decorated_local_function_is_freed() -> None:
    def make() -> weakref.ref[Any]:
        @llmops.trace
        def local(x: int) -> int:
            return x

        local(1)
        return weakref.ref(local)

    reference = make()
    llmops.flush()
    gc.collect()
    assert reference() is None


def test_an_instance_whose_method_was_called_is_freed() -> None:
    class Holder:
        @llmops.trace
        def method(self) -> int:
            return 1

    holder = Holder()
    holder.method()
    reference = weakref.ref(holder)
    del holder
    llmops.flush()
    gc.collect()
    assert reference() is None


def test_a_span_object_kept_is_no_leak_of_the_next() -> None:
    kept = []
    with context_unchanged():
        for _ in range(3):
            with llmops.span("kept") as span:
                kept.append(span)
    assert len({row["span_id"] for row in recorded()}) == 3
    assert {row.get("parent_span_id") for row in recorded()} == {None}


@pytest.mark.thorough
def test_ten_thousand_calls_leave_no_objects_behind() -> None:
    for _ in range(100):
        gives_back({"a": 1})
    llmops.flush()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(10_000):
        gives_back({"a": 1})
    llmops.flush(timeout=30)
    gc.collect()
    assert len(gc.get_objects()) - before < 500
