"""Send a request, a second one after the delay, and return the first answer: sync by threads, async by tasks."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from llmops_sdk._util._guard import Caught, guarded, report
from llmops_sdk.resilience.hedging._call import Entry, HedgedCall
from llmops_sdk.resilience.hedging._threads import submit

__all__ = ["arace", "race"]

_T = TypeVar("_T")

_CANCEL_SECONDS = 0.1
"""The winner's answer waits at most this long for the end of the loser, which then ends by itself."""


def race(call: HedgedCall[_T], send: Callable[[Entry[_T]], _T], discard: Callable[[_T], object]) -> _T:
    """Return the first answer, or raise the error of the first request when no answer can come any more.

    A request that may be hedged runs in another thread, in a copy of the caller's context.

    Args:
        call: The call.
        send: Sends a request and returns its answer.
        discard: Releases an answer that comes too late.
    """
    threads: _Threads[_T] = _Threads(call.note_sent, send, discard)
    try:
        if call.delay is None or not threads.start(call.first):
            call.first.end(*_result_of(send, call.first))
        elif (
            not threads.next_end(call.delay)
            and (second := call.take_second()) is not None
            and not threads.start(second)
        ):
            call.withdraw_second()
        while (winner := call.decided()) is None:
            threads.next_end(None)
        return winner.value()
    finally:
        threads.leave()
        call.settle()


def _result_of(send: Callable[[Entry[_T]], _T], entry: Entry[_T]) -> tuple[_T | None, BaseException | None]:
    result: _T | None = None
    with Caught(BaseException) as caught:
        result = send(entry)
    return result, caught.error


class _Threads(Generic[_T]):
    """The requests of one race, each in a thread of the pool."""

    def __init__(
        self, begin: Callable[[Entry[_T]], None], send: Callable[[Entry[_T]], _T], discard: Callable[[_T], object]
    ) -> None:
        self._begin = begin
        self._send = send
        self._discard = discard
        self._ended: queue.SimpleQueue[tuple[Entry[_T], _T | None, BaseException | None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._left = False

    def start(self, entry: Entry[_T]) -> bool:
        """Send a request in a free thread; return False if there is none."""
        context = contextvars.copy_context()

        def run() -> None:
            with self._lock:
                if self._left:
                    return  # nobody waits for it any more, so it is not sent
                context.run(self._begin, entry)
            result, error = context.run(_result_of, self._send, entry)
            with self._lock:
                if not self._left:
                    self._ended.put((entry, result, error))
                    return
            self._drop(result, error)

        return submit(run)

    def next_end(self, seconds: float | None) -> bool:
        """Wait until another request ends, and note its end; return False when the time passed before that."""
        try:
            entry, result, error = self._ended.get(timeout=seconds)
        except queue.Empty:
            return False
        entry.end(result, error)
        return True

    def leave(self) -> None:
        """Discard the answers that nobody waits for, those to come, too."""
        with self._lock:
            self._left = True
        while not self._ended.empty():
            _, result, error = self._ended.get()
            self._drop(result, error)

    def _drop(self, result: _T | None, error: BaseException | None) -> None:
        if error is None:
            guarded("discarding the answer of a hedge", None, self._discard, cast("_T", result))


async def arace(
    call: HedgedCall[_T],
    send: Callable[[Entry[_T]], Coroutine[Any, Any, _T]],
    discard: Callable[[_T], Awaitable[object]],
) -> _T:
    """Return the first answer, async; see `race`. The loser is cancelled, and so are both with the caller.

    Args:
        call: The call.
        send: Sends a request and returns its answer.
        discard: Releases an answer that comes too late.
    """
    tasks: _Tasks[_T] = _Tasks(call.note_sent, send, discard)
    try:
        if call.delay is None:
            await tasks.run_here(call.first)
        else:
            tasks.start(call.first)
            if not await tasks.next_end(call.delay) and (second := call.take_second()) is not None:
                tasks.start(second)
        while (winner := call.decided()) is None:
            await tasks.next_end(None)
        return winner.value()
    finally:
        call.settle()
        await tasks.leave(call.winner)


class _Tasks(Generic[_T]):
    """The requests of one race, each in a task."""

    def __init__(
        self,
        begin: Callable[[Entry[_T]], None],
        send: Callable[[Entry[_T]], Coroutine[Any, Any, _T]],
        discard: Callable[[_T], Awaitable[object]],
    ) -> None:
        self._begin = begin
        self._send = send
        self._discard = discard
        self._running: dict[asyncio.Task[_T], Entry[_T]] = {}
        self._ended: list[Entry[_T]] = []

    async def run_here(self, entry: Entry[_T]) -> None:
        """Send a request in the caller's own task, and note its end."""
        result: _T | None = None
        with Caught(BaseException) as caught:
            result = await self._send(entry)
        entry.end(result, caught.error)

    def start(self, entry: Entry[_T]) -> None:
        """Send a request in a task of its own."""
        self._running[asyncio.create_task(self._run(entry))] = entry

    async def _run(self, entry: Entry[_T]) -> _T:
        self._begin(entry)
        return await self._send(entry)

    async def next_end(self, seconds: float | None) -> bool:
        """Wait until another request ends, and note its end; return False when the time passed before that."""
        done, _ = await asyncio.wait(self._running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            entry = self._running.pop(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            entry.end(None if error is not None else task.result(), error)
            self._ended.append(entry)
        return bool(done)

    async def leave(self, winner: Entry[_T] | None) -> None:
        """Cancel what runs, and discard the answers that nobody waits for, those to come, too."""
        for task in self._running:
            task.cancel()
            task.add_done_callback(self._drop)
        if self._running:
            await asyncio.wait(self._running, timeout=_CANCEL_SECONDS)
        for entry in self._ended:
            if entry is not winner and entry.error is None:
                await self._release(entry.value())

    def _drop(self, task: asyncio.Task[_T]) -> None:
        if not task.cancelled() and task.exception() is None:
            releasing = asyncio.ensure_future(self._release(task.result()))
            _releasing.add(releasing)
            releasing.add_done_callback(_releasing.discard)

    async def _release(self, result: _T) -> None:
        with Caught() as caught:
            await self._discard(result)
        if isinstance(caught.error, Exception):
            report("discarding the answer of a hedge", caught.error)


_releasing: set[asyncio.Future[None]] = set()
"""The loop itself keeps only weak references to its tasks."""
