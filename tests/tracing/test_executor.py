"""The caller's span and context in threads: our executor, asyncio's ways, raw threads, Starlette's generators."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import Executor as AnyExecutor
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.concurrency import iterate_in_threadpool

import llmops_sdk as llmops

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


@llmops.trace
def work(number: int, *, times: int = 1) -> tuple[int, str, str]:
    return number * times, TENANT.get(), threading.current_thread().name


def parents(sink, name: str = "work") -> list[tuple[int, int]]:
    return [(span.trace_id, span.parent_id) for span in sink.spans if span.name == name]


def ids(span: llmops.Span) -> tuple[int, int]:
    return int(span.trace_id, 16), int(span.span_id, 16)


def test_submit_carries_span_context_and_variables(sink):
    token = TENANT.set("acme")
    with llmops.Executor(2, thread_name_prefix="ours") as pool:
        with llmops.context(session_id="s1", tags=["a"]), llmops.span("first") as first:
            one = pool.submit(work, 2, times=3)
        with llmops.span("second") as second:
            two = pool.submit(work, 4)
    TENANT.reset(token)

    assert one.result()[:2] == (6, "acme")
    assert two.result()[:2] == (4, "acme")
    assert one.result()[2].startswith("ours")
    assert sorted(parents(sink)) == sorted([ids(first), ids(second)])
    stamped = [span.stamp.session_id for span in sink.spans if span.name == "work" and span.stamp]
    assert stamped == ["s1"]


def test_map_carries_the_context_to_all_items(sink):
    together = threading.Barrier(4, timeout=30)

    def meet(number: int) -> int:
        together.wait()  # four threads are inside their copy of the context at the same time
        return work(number)[0]

    with llmops.Executor(4) as pool, llmops.span("batch") as batch:
        assert list(pool.map(meet, range(4))) == [0, 1, 2, 3]

    assert parents(sink) == [ids(batch)] * 4


def test_context_changes_of_a_call_do_not_leak(sink):
    def change(name: str) -> str:
        before = TENANT.get()
        TENANT.set(name)
        return before

    with llmops.Executor(1) as pool:
        assert list(pool.map(change, ["one", "two"])) == ["nobody", "nobody"]
        assert pool.submit(TENANT.get).result() == "nobody"
    assert TENANT.get() == "nobody"


def test_a_plain_pool_stays_as_python_made_it(sink):
    with llmops.Executor(1) as ours, ThreadPoolExecutor(1) as plain, llmops.span("outer"):
        assert ours.submit(lambda: llmops.current_span().recording).result() is True
        assert plain.submit(lambda: llmops.current_span().recording).result() is False
    assert AnyExecutor.submit.__module__ == "concurrent.futures._base"
    assert ThreadPoolExecutor.submit.__module__ == "concurrent.futures.thread"


def test_errors_cancellation_and_shutdown_are_those_of_a_thread_pool(sink):
    started, go = threading.Event(), threading.Event()

    def wait() -> bool:
        started.set()
        return go.wait(30)

    with llmops.Executor(1) as pool:
        failed = pool.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result()
        running = pool.submit(wait)
        assert started.wait(30)
        waiting = pool.submit(work, 1)
        assert waiting.cancel()
        go.set()
        assert running.result() is True
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(work, 1)
    assert parents(sink) == []


async def test_run_in_executor_and_the_default_executor(sink):
    loop = asyncio.get_running_loop()
    with llmops.Executor(2) as pool:
        with llmops.span("handler") as handler:
            assert (await loop.run_in_executor(pool, work, 3))[0] == 3
        loop.set_default_executor(pool)
        with llmops.span("other") as other:
            assert (await loop.run_in_executor(None, work, 4))[0] == 4
    assert parents(sink) == [ids(handler), ids(other)]


async def test_to_thread_carries_the_context_by_itself(sink):
    async def request(user: str) -> tuple[int, int]:
        with llmops.context(user_id=user), llmops.span(user) as span:
            await asyncio.to_thread(work, 1)
        return ids(span)

    spans = await asyncio.gather(*(request(f"user-{number}") for number in range(8)))

    assert sorted(parents(sink)) == sorted(spans)
    users = {span.parent_id: span.stamp.user_id for span in sink.spans if span.name == "work" and span.stamp}
    assert users == {span_id: f"user-{number}" for number, (_, span_id) in enumerate(spans)}


def test_a_raw_thread_needs_a_copy_of_the_context(sink):
    with llmops.span("outer") as outer:
        carried = threading.Thread(target=contextvars.copy_context().run, args=(work, 1))
        bare = threading.Thread(target=work, args=(2,))
        for thread in (carried, bare):
            thread.start()
            thread.join()
    assert sorted(parent for _, parent in parents(sink)) == [0, ids(outer)[1]]


async def test_a_generator_iterated_in_a_thread_pool_is_one_span(sink):
    @llmops.trace
    def pieces(count: int) -> Iterator[str]:
        for number in range(count):
            with llmops.span("piece"):
                elsewhere = threading.current_thread() is not threading.main_thread()
            work(number)
            yield f"{number} elsewhere: {elsewhere}"

    with llmops.context(session_id="s1"), llmops.span("request") as request:
        got = [piece async for piece in iterate_in_threadpool(pieces(3))]
        assert llmops.current_span() is request

    assert got == [f"{number} elsewhere: True" for number in range(3)]
    (stream,) = [span for span in sink.spans if span.name.endswith("pieces")]
    assert (stream.trace_id, stream.parent_id) == ids(request)
    assert stream.status == "ok"
    below = (stream.trace_id, stream.span_id)
    assert parents(sink) == parents(sink, "piece") == [below] * 3
    assert {span.stamp.session_id for span in sink.spans if span.stamp} == {"s1"}
    assert llmops.current_span().recording is False


async def test_a_generator_that_a_client_leaves_in_a_thread_pool_is_closed(sink):
    @llmops.trace(name="pieces")
    def pieces() -> Iterator[int]:
        yield from range(1000)

    with llmops.span("request"):
        stream = pieces()
        async for number in iterate_in_threadpool(stream):
            if number == 2:
                break
        await asyncio.to_thread(stream.close)
    spans = [span for span in sink.spans if span.name == "pieces"]
    assert [span.status for span in spans] == ["closed"]
