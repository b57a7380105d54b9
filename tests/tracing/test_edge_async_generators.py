"""Async generators: left, closed and cancelled; timeouts of the caller's task inside them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import pytest
from span_rows import context_unchanged, only, parents, recorded, statuses

import llmops_sdk as llmops


@llmops.trace
async def numbers(count: int) -> AsyncGenerator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def test_an_exhausted_stream_ends_ok() -> None:
    async def main() -> list[int]:
        with context_unchanged():
            return [n async for n in numbers(3)]

    assert asyncio.run(main()) == [0, 1, 2]
    assert only("numbers")["status"] == "ok"


def test_break_without_aclose_is_ended_while_the_loop_goes_on() -> None:
    async def main() -> str:
        async for _ in numbers(3):
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        return only("numbers")["status"]

    assert asyncio.run(main()) == "closed"


def test_aclosing_ends_the_span_once() -> None:
    async def main() -> None:
        with context_unchanged():
            async with contextlib.aclosing(numbers(3)) as stream:
                async for _ in stream:
                    break
            assert only("numbers")["status"] == "closed"

    asyncio.run(main())


def test_aclose_twice_and_after_the_end() -> None:
    async def main() -> None:
        stream = numbers(1)
        assert [n async for n in stream] == [0]
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(main())
    assert only("numbers")["status"] == "ok"


def test_a_stream_never_begun_leaves_no_span() -> None:
    async def main() -> None:
        stream = numbers(1)
        await stream.aclose()
        numbers(2)

    asyncio.run(main())
    assert recorded() == []


def test_consumer_cancelled_inside_the_body() -> None:
    reached = asyncio.Event()

    @llmops.trace(name="waits")
    async def waits() -> AsyncIterator[int]:
        yield 1
        reached.set()
        await asyncio.Event().wait()
        yield 2

    async def consume() -> None:
        with context_unchanged():
            async for _ in waits():
                pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        await reached.wait()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert only("waits")["status"] == "cancelled"

    asyncio.run(main())


def test_consumer_cancelled_between_two_items() -> None:
    reached = asyncio.Event()

    async def consume() -> None:
        with context_unchanged():
            async for _ in numbers(3):
                reached.set()
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(consume())
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert only("numbers")["status"] == "closed"


def test_an_error_in_the_body_ends_the_span() -> None:
    error = ValueError("inside")

    @llmops.trace(name="breaks")
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise error

    async def main() -> None:
        with context_unchanged():
            async for _ in breaks():
                pass

    with pytest.raises(ValueError) as caught:
        asyncio.run(main())
    assert caught.value is error
    row = only("breaks")
    assert (row["status"], row["error_type"]) == ("error", "ValueError")


def test_an_error_of_the_consumer_closes_the_stream() -> None:
    async def main() -> None:
        with context_unchanged():
            async with contextlib.aclosing(numbers(3)) as stream:
                async for _ in stream:
                    raise KeyError("the consumer's")

    with pytest.raises(KeyError):
        asyncio.run(main())
    assert only("numbers")["status"] == "closed"


@pytest.mark.parametrize("where", ["inside", "outside"])
def test_an_asyncio_timeout_cancels_the_body(where: str) -> None:
    tasks: list[object] = []

    @llmops.trace(name="slow")
    async def slow() -> AsyncIterator[int]:
        tasks.append(asyncio.current_task())
        yield 1
        tasks.append(asyncio.current_task())
        if where == "inside":
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        await asyncio.Event().wait()
        yield 2

    async def main() -> None:
        tasks.append(asyncio.current_task())

        async def consume() -> None:
            async with asyncio.timeout(None if where == "inside" else 0.01):
                async for _ in slow():
                    pass

        with context_unchanged(), pytest.raises(TimeoutError):
            await consume()

    asyncio.run(main())
    assert len(set(map(id, tasks))) == 1
    assert only("slow")["status"] == ("error" if where == "inside" else "cancelled")


def test_anyio_cancel_scope_around_an_item() -> None:
    @llmops.trace(name="slow")
    async def slow() -> AsyncIterator[int]:
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        yield 1

    async def main() -> list[int]:
        with context_unchanged():
            return [n async for n in slow()]

    assert asyncio.run(main()) == [1]
    assert only("slow")["status"] == "ok"


def test_a_task_group_inside_the_body_nests_its_spans() -> None:
    @llmops.trace
    async def child(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @llmops.trace(name="grouped")
    async def grouped() -> AsyncIterator[list[int]]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(n)) for n in range(2)]
        yield [task.result() for task in tasks]

    async def main() -> list[list[int]]:
        return [n async for n in grouped()]

    assert asyncio.run(main()) == [[0, 1]]
    rows = recorded()
    outer = only("grouped")
    assert [row["parent_span_id"] for row in rows if row is not outer and row["name"] != "grouped"] == [
        outer["span_id"]
    ] * 2


def test_consumed_in_another_task_than_begun() -> None:
    @llmops.trace(name="wanders")
    async def wanders() -> AsyncIterator[int]:
        for number in range(3):
            with llmops.span(f"step {number}"):
                await asyncio.sleep(0)
            yield number

    async def main() -> None:
        stream = wanders()
        assert await anext(stream) == 0
        assert await asyncio.create_task(anext(stream)) == 1
        assert await asyncio.create_task(anext(stream)) == 2
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(main())
    assert parents() == {"wanders": None, "step 0": "wanders", "step 1": "wanders", "step 2": "wanders"}


def test_a_span_block_open_across_yields_nests_correctly() -> None:
    @llmops.trace(name="holds")
    async def holds() -> AsyncIterator[int]:
        with llmops.span("block"):
            yield 1
            await asyncio.sleep(0)
            yield 2

    async def main() -> None:
        with context_unchanged():
            async for number in holds():
                with llmops.span(f"consumer {number}"):
                    await asyncio.sleep(0)

    asyncio.run(main())
    assert parents() == {"holds": None, "block": "holds", "consumer 1": None, "consumer 2": None}
    assert set(statuses().values()) == {"ok"}


def test_a_body_that_yields_after_close_raises_like_python() -> None:
    @llmops.trace(name="stubborn")
    async def stubborn() -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            with contextlib.suppress(GeneratorExit):
                yield 2

    async def main() -> None:
        stream = stubborn()
        await anext(stream)
        with context_unchanged(), pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            await stream.aclose()
        with contextlib.suppress(StopAsyncIteration):
            await anext(stream)

    asyncio.run(main())
    only("stubborn")


def test_concurrent_anext_raises_runtime_error() -> None:
    @llmops.trace(name="busy")
    async def busy() -> AsyncGenerator[int]:
        await asyncio.sleep(0)
        yield 1

    async def main() -> None:
        stream = busy()
        first = asyncio.ensure_future(anext(stream))
        second = asyncio.ensure_future(anext(stream))
        done = await asyncio.gather(first, second, return_exceptions=True)
        assert done[0] == 1
        assert isinstance(done[1], RuntimeError)
        await stream.aclose()

    asyncio.run(main())
    assert only("busy")["status"] == "closed"
