"""Run sync functions in threads that an event loop awaits, and leaves when they do not return in time."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["MAX_LEFT", "ThreadCalls", "TooManyLeftError"]

_T = TypeVar("_T")

MAX_LEFT = 64
"""Threads that may go on after their time-out. Python cannot end a thread."""


class TooManyLeftError(RuntimeError):
    """Too many calls have not returned after their time-out."""


class _Worker:
    """One thread, which runs one function at a time."""

    def __init__(self, calls: ThreadCalls) -> None:
        self.jobs: queue.SimpleQueue[tuple[contextvars.Context, Callable[[], Any], asyncio.Future[Any]] | None]
        self.jobs = queue.SimpleQueue()
        self._calls = calls
        # A daemon: a function that never returns must not hold up the end of the process.
        threading.Thread(target=self._run, name="llmops-evaluate", daemon=True).start()

    def _run(self) -> None:
        while (job := self.jobs.get()) is not None:
            context, function, future = job
            outcome = context.run(function)
            try:
                self._calls.loop.call_soon_threadsafe(self._calls.deliver, self, future, outcome)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
            # Between two jobs the thread must not keep the last one's values alive.
            del job, context, function, future, outcome


class ThreadCalls:
    """Threads for one event loop, at most as many as calls at one time, and those that were left.

    Args:
        loop: The loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._idle: list[_Worker] = []
        self._left = 0
        self._closed = False

    async def call(self, function: Callable[[], _T], context: contextvars.Context, timeout: float | None) -> _T:
        """Return what a function returns.

        Args:
            function: It must not raise.
            context: The context to run it in.
            timeout: Seconds, or None.

        Raises:
            TimeoutError: It has not returned in time; its thread goes on.
            TooManyLeftError: Too many functions have not returned.
        """
        if self._left >= MAX_LEFT:
            raise TooManyLeftError(
                f"{self._left} calls have not returned after their time-out, and Python cannot end their threads: give "
                "the task time-outs of its own, or make it async"
            )
        worker = self._idle.pop() if self._idle else _Worker(self)
        future: asyncio.Future[Any] = self.loop.create_future()
        worker.jobs.put((context, function, future))
        timer = None if timeout is None else self.loop.call_later(timeout, self._expire, future)
        try:
            return cast("_T", await future)
        finally:
            if timer is not None:
                timer.cancel()

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            self._left += 1
            future.set_exception(TimeoutError())

    def deliver(self, worker: _Worker, future: asyncio.Future[Any], outcome: Any) -> None:
        """Give the outcome to the one who waits, and keep the thread for another call; runs in the loop."""
        if not future.done():
            future.set_result(outcome)
        elif not future.cancelled():
            self._left -= 1
        if self._closed:
            worker.jobs.put(None)
        else:
            self._idle.append(worker)

    def close(self) -> None:
        """End the idle threads, and each other one when its function returns."""
        self._closed = True
        while self._idle:
            self._idle.pop().jobs.put(None)
