"""What type checkers infer of calls in threads; see api.py."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from concurrent.futures import Future, ThreadPoolExecutor
from typing import assert_type

import llmops_sdk as llmops


def count(text: str, *, times: int = 1) -> int:
    """A function to be called elsewhere."""
    return len(text) * times


def submitted(pool: llmops.Executor) -> None:
    """A pool keeps the types of what it calls."""
    assert_type(pool.submit(count, "a", times=2), Future[int])
    for number in pool.map(count, ["a", "b"]):
        assert_type(number, int)
    pool.submit(count, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    as_a_thread_pool: ThreadPoolExecutor = pool
    as_a_thread_pool.shutdown()


async def on_a_loop(loop: AbstractEventLoop, pool: llmops.Executor) -> None:
    """An event loop takes it."""
    assert_type(await loop.run_in_executor(pool, count, "a"), int)
