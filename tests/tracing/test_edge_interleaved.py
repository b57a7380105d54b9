"""Generators side by side: siblings, active only inside `next`, whatever the order they end in."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from span_rows import context_unchanged, only, parents, recorded, statuses

import llmops_sdk as llmops


def make(name: str, count: int) -> Iterator[int]:
    @llmops.trace(name)
    def numbers() -> Iterator[int]:
        for number in range(count):
            with llmops.span(f"{name}{number}"):
                pass
            yield number

    return numbers()


def test_generators_exhausted_out_of_order_restore_the_context() -> None:
    with llmops.span("outer") as outer:
        first, second = make("a", 2), make("b", 1)
        for stream in (first, second, first, second, first):
            next(stream, None)
            assert llmops.current_span().span_id == outer.span_id
    assert parents() == {"outer": None, "a": "outer", "b": "outer", "a0": "a", "a1": "a", "b0": "b"}
    assert set(statuses().values()) == {"ok"}


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_generators_closed_in_any_order_restore_the_context(order: tuple[str, ...]) -> None:
    with context_unchanged():
        streams = {name: make(name, 3) for name in "abc"}
        for stream in streams.values():
            next(stream)
        for name in order:
            streams[name].close()
    assert {name: statuses()[name] for name in "abc"} == dict.fromkeys("abc", "closed")
    assert {name: parents()[name] for name in "abc"} == dict.fromkeys("abc")


def test_zip_and_islice_over_generators_keep_the_context() -> None:
    with context_unchanged():
        assert list(zip(make("a", 2), make("b", 3), strict=False)) == [(0, 0), (1, 1)]
        assert list(itertools.islice(make("c", 5), 2)) == [0, 1]
        gc.collect()
    got = statuses()
    assert (got["a"], got["b"], got["c"]) == ("ok", "closed", "closed")


def test_yield_from_nests_the_inner_span() -> None:
    @llmops.trace("outer")
    def outer() -> Iterator[int]:
        yield from make("a", 2)
        yield from make("b", 1)

    with context_unchanged():
        assert list(outer()) == [0, 1, 0]
    assert parents() == {"outer": None, "a": "outer", "a0": "a", "a1": "a", "b": "outer", "b0": "b"}


def test_one_generator_feeds_another() -> None:
    @llmops.trace("doubled")
    def doubled(source: Iterator[int]) -> Iterator[int]:
        for number in source:
            with llmops.span(f"double{number}"):
                pass
            yield number * 2

    with context_unchanged():
        assert list(doubled(make("a", 2))) == [0, 2]
    assert parents() == {
        "doubled": None, "a": "doubled", "a0": "a", "a1": "a", "double0": "doubled", "double1": "doubled",
    }  # fmt: skip


def test_begun_under_one_span_and_finished_under_another() -> None:
    with llmops.span("first"):
        stream = make("a", 2)
        next(stream)
    with llmops.span("second") as second:
        next(stream)
        assert llmops.current_span().span_id == second.span_id
        assert list(stream) == []
    assert parents() == {"first": None, "second": None, "a": "first", "a0": "a", "a1": "a"}


def test_made_under_one_span_and_begun_under_another() -> None:
    with llmops.span("maker"):
        stream = make("a", 1)
    with llmops.span("runner"):
        assert list(stream) == [0]
    assert parents()["a"] in {"maker", "runner"}
    only("a")


def test_a_collected_generator_ends_its_span() -> None:
    with context_unchanged():
        stream = make("a", 3)
        next(stream)
        del stream
        gc.collect()
    assert statuses()["a"] == "closed"


def test_dropped_in_a_cycle_under_another_span() -> None:
    class Holder:
        stream: Iterator[int]
        me: Holder

    holder = Holder()
    holder.me = holder
    holder.stream = make("a", 3)
    next(holder.stream)
    with llmops.span("other") as other:
        del holder
        gc.collect()
        assert llmops.current_span().span_id == other.span_id
    assert statuses() == {"a": "closed", "a0": "ok", "other": "ok"}
    assert parents()["a"] is None


def test_closed_from_another_thread() -> None:
    with llmops.span("outer") as outer:
        stream = make("a", 3)
        next(stream)
        thread = threading.Thread(target=stream.close)
        thread.start()
        thread.join()
        assert llmops.current_span().span_id == outer.span_id
    assert statuses()["a"] == "closed"
    assert parents()["a"] == "outer"


def test_iterated_by_a_pool_thread_for_each_item() -> None:
    done = object()
    with context_unchanged(), ThreadPoolExecutor(3) as pool:
        stream = make("a", 3)
        got = list(iter(lambda: pool.submit(next, stream, done).result(), done))
        assert [pool.submit(lambda: llmops.current_span().is_recording()).result() for _ in range(3)] == [False] * 3
    assert got == [0, 1, 2]
    assert parents() == {"a": None, "a0": "a", "a1": "a", "a2": "a"}
    assert statuses()["a"] == "ok"


def test_interleaved_async_generators_stay_siblings() -> None:
    @llmops.trace("stream")
    async def stream(name: str) -> AsyncIterator[str]:
        for number in range(2):
            with llmops.span(f"{name}{number}"):
                await asyncio.sleep(0)
            yield name

    async def main() -> None:
        async with llmops.span("outer") as outer, contextlib.AsyncExitStack():
            first, second = stream("a"), stream("b")
            for each in (first, second, second, first, second, first):
                await anext(each, None)
                assert llmops.current_span().span_id == outer.span_id

    with context_unchanged():
        asyncio.run(main())
    rows = recorded()
    outer = only("outer")["span_id"]
    assert [row["parent_span_id"] for row in rows if row["name"] == "stream"] == [outer, outer]
    assert {row["status"] for row in rows} == {"ok"}
    by_id = {row["span_id"]: row for row in rows}
    for row in rows:
        if row["name"] not in {"outer", "stream"}:
            assert by_id[row["parent_span_id"]]["input"] == {"name": row["name"][0]}


def test_context_variables_set_by_the_body_reach_the_caller_as_without_us() -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default="before")

    @llmops.trace("sets")
    def sets() -> Iterator[int]:
        variable.set("by the body")
        yield 1

    @llmops.trace("awaits")
    async def awaits() -> AsyncIterator[int]:
        variable.set("by the async body")
        yield 1

    async def main() -> str:
        async for _ in awaits():
            pass
        return variable.get()

    assert list(sets()) == [1]
    assert variable.get() == "by the body"
    assert asyncio.run(main()) == "by the async body"
