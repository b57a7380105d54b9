"""The current span over threads, executors, pools and copied contexts."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import httpx
import pytest
from span_rows import context_unchanged, only, parents, recorded, statuses
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.routing import Route

import llmops_sdk as llmops


def work(name: str) -> bool:
    with llmops.span(name):
        pass
    return llmops.current_span().is_recording()


def test_nothing_of_pythons_is_patched() -> None:
    """A pool's and a raw thread's context is their own, as Python has it."""
    submit, start = ThreadPoolExecutor.submit, threading.Thread.start
    with llmops.span("outer"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(work, "pool").result() is False
        assert list(pool.map(work, ["map"])) == [False]
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()
    assert parents() == {"outer": None, "pool": None, "map": None, "thread": None}
    assert ThreadPoolExecutor.submit is submit
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit.__module__ == "concurrent.futures.thread"


def test_copy_context_run_carries_the_span() -> None:
    with context_unchanged():
        with llmops.span("outer"):
            context = contextvars.copy_context()
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(context.run, work, "pool").result() is True
        assert context.run(work, "late") is False  # current still, but ended
        assert contextvars.Context().run(work, "empty") is False
    assert parents() == {"outer": None, "pool": "outer", "late": "outer", "empty": None}


def test_a_generator_moved_between_contexts() -> None:
    @llmops.trace("stream")
    def stream() -> Iterator[int]:
        for n in range(3):
            work(f"item {n}")
            yield n

    with llmops.span("outer"):
        source = stream()
        assert contextvars.copy_context().run(next, source) == 0
        assert contextvars.Context().run(next, source) == 1
    assert next(source) == 2
    assert list(source) == []
    assert parents() == {"outer": None, "stream": "outer", "item 0": "stream", "item 1": "stream", "item 2": "stream"}
    assert statuses()["stream"] == "ok"


def test_a_block_left_in_another_context_than_entered() -> None:
    """As frameworks do with dependencies that yield: the span ends, the exit does not raise."""
    scope = llmops.span("block")
    contextvars.copy_context().run(scope.__enter__)
    with context_unchanged():
        scope.__exit__(None, None, None)
    assert only("block")["status"] == "ok"


def test_blocks_left_in_the_wrong_order() -> None:

    def cross() -> None:
        first, second = llmops.span("first"), llmops.span("second")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)

    contextvars.copy_context().run(cross)
    assert statuses() == {"first": "ok", "second": "ok"}


def test_to_thread_and_run_in_executor() -> None:
    async def main() -> None:
        async with llmops.span("outer"):
            assert await asyncio.to_thread(work, "to_thread") is True
            assert await anyio.to_thread.run_sync(work, "anyio") is True
            assert await run_in_threadpool(work, "starlette") is True
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, work, "executor") is False

    with context_unchanged():
        asyncio.run(main())
    assert parents() == {
        "outer": None, "to_thread": "outer", "anyio": "outer", "starlette": "outer", "executor": None,
    }  # fmt: skip


def test_loop_callbacks_and_tasks_inherit_the_span() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        async with llmops.span("outer"):
            loop.call_soon(work, "call_soon")
            loop.call_later(0, work, "call_later")
            task = asyncio.create_task(asyncio.to_thread(work, "task"))
            threading.Thread(target=loop.call_soon_threadsafe, args=(done.set_result, None)).start()
            work("inline")
        await task
        await done
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert parents() == {
        "outer": None, "call_soon": "outer", "call_later": "outer", "task": "outer", "inline": "outer",
    }  # fmt: skip


def test_a_task_that_outlives_its_parent() -> None:
    @llmops.trace("child")
    async def child(go: asyncio.Event) -> None:
        await go.wait()
        work("late")

    async def main() -> None:
        go = asyncio.Event()
        async with llmops.span("parent"):
            task = asyncio.create_task(child(go))
            await asyncio.sleep(0)
        go.set()
        await task

    asyncio.run(main())
    assert parents() == {"parent": None, "child": "parent", "late": "child"}


def test_gather_gives_siblings() -> None:
    @llmops.trace("one")
    async def one(n: int) -> int:
        await asyncio.sleep(0)
        work(f"leaf {n}")
        await asyncio.sleep(0)
        return n

    async def main() -> list[int]:
        async with llmops.span("outer"):
            return await asyncio.gather(*(one(n) for n in range(20)))

    assert asyncio.run(main()) == list(range(20))
    rows = recorded()
    by_id = {row["span_id"]: row for row in rows}
    outer = only("outer")["span_id"]
    assert [row["parent_span_id"] for row in rows if row["name"] == "one"] == [outer] * 20
    for row in rows:
        if row["name"].startswith("leaf"):
            assert by_id[row["parent_span_id"]]["input"] == {"n": int(row["name"][5:])}


def test_iterated_in_starlettes_thread_pool() -> None:
    @llmops.trace("stream")
    def stream() -> Iterator[str]:
        for n in range(3):
            work(f"item {n}")
            yield str(n)

    async def main() -> list[str]:
        async with llmops.span("request"):
            return [item async for item in iterate_in_threadpool(stream())]

    with context_unchanged():
        assert asyncio.run(main()) == ["0", "1", "2"]
    assert parents() == {
        "request": None, "stream": "request", "item 0": "stream", "item 1": "stream", "item 2": "stream",
    }  # fmt: skip
    assert statuses()["stream"] == "ok"


def test_a_real_starlette_application() -> None:
    @llmops.trace("stream")
    def stream(name: str) -> Iterator[str]:
        for n in range(3):
            yield f"{name}{n} "

    @llmops.trace("handle")
    def handle(request: object) -> StreamingResponse:
        return StreamingResponse(stream("a"))

    async def main() -> list[str]:
        transport = httpx.ASGITransport(Starlette(routes=[Route("/", handle)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return [(await client.get("/")).text for _ in range(2)]

    assert asyncio.run(main()) == ["a0 a1 a2 "] * 2
    rows = recorded()
    assert sorted((row["name"], row["status"]) for row in rows) == [("handle", "ok")] * 2 + [("stream", "ok")] * 2
    assert len({row["trace_id"] for row in rows if row["name"] == "handle"}) == 2


def test_many_threads_at_once() -> None:
    @llmops.trace("outer")
    def outer(n: int) -> int:
        return inner(n)

    @llmops.trace("inner")
    def inner(n: int) -> int:
        return n

    with ThreadPoolExecutor(24) as pool:
        assert sorted(pool.map(outer, range(2400))) == list(range(2400))
    rows = recorded()
    outers = {row["span_id"]: row["input"] for row in rows if row["name"] == "outer"}
    inners = [row for row in rows if row["name"] == "inner"]
    assert (len(outers), len(inners)) == (2400, 2400)
    assert all(outers[row["parent_span_id"]] == row["input"] for row in inners)
    assert len({row["span_id"] for row in rows}) == 4800


def test_nested_loops_in_threads() -> None:
    @llmops.trace("inner")
    async def inner() -> int:
        await asyncio.sleep(0)
        return 1

    @llmops.trace("outer")
    async def outer() -> int:
        return await asyncio.to_thread(lambda: asyncio.run(inner()))

    assert asyncio.run(outer()) == 1
    assert parents() == {"outer": None, "inner": "outer"}


def test_a_sync_function_that_runs_a_loop() -> None:
    @llmops.trace("inner")
    async def inner() -> int:
        await asyncio.sleep(0)
        return 1

    @llmops.trace("outer")
    def outer() -> int:
        return asyncio.run(inner())

    with context_unchanged():
        assert outer() == 1
    assert parents() == {"outer": None, "inner": "outer"}


def test_an_exit_stack_of_span_blocks_nests_them() -> None:
    with context_unchanged(), contextlib.ExitStack() as stack:
        for name in ("a", "b", "c"):
            stack.enter_context(llmops.span(name))
    assert parents() == {"a": None, "b": "a", "c": "b"}


def test_one_block_object_entered_twice() -> None:
    """Two spans, or an error at the second entry; never one span that ends twice."""
    scope = llmops.span("again")
    with scope:
        pass
    with contextlib.suppress(RuntimeError), scope:
        pass
    rows = recorded()
    assert len({row["span_id"] for row in rows}) == len(rows)
    assert {row["status"] for row in rows} == {"ok"}


def test_ended_twice_is_one_span() -> None:
    with llmops.span("once") as span:
        span.end()
        span.end()
        span.output = 1
    assert only("once")["name"] == "once"


@pytest.mark.parametrize("backend", ["asyncio"])
def test_spans_in_anyio_task_groups_nest(backend: str) -> None:
    async def main() -> None:
        async with llmops.span("outer"), anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(anyio.to_thread.run_sync, work, f"item {n}")

    anyio.run(main, backend=backend)
    assert parents() == {"outer": None, **{f"item {n}": "outer" for n in range(3)}}
