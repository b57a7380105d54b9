"""Threads for guards whose time is bounded: a check that hangs keeps a thread, but neither the call nor the exit."""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from llmops_sdk._util._guard import Caught

__all__ = ["CHECKS", "GROUPS", "DaemonPool", "GuardTimeoutError"]

_T = TypeVar("_T")

_MOST_THREADS = 64
_IDLE_SECONDS = 10.0


class GuardTimeoutError(TimeoutError):
    """A guard took longer than its time."""


class DaemonPool:
    """Runs functions in at most 64 daemon threads, in the caller's context.

    `ThreadPoolExecutor` waits for its threads at the interpreter's exit, so that a hanging guard would keep the
    process alive.
    """

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            # A child process has none of its parent's threads.
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._threads = 0
        self._unserved = 0
        """The tasks that are queued or running."""

    def submit(self, function: Callable[..., _T], *args: Any) -> Future[_T]:
        """Queue a call of a function, and return its future."""
        future: Future[_T] = Future()
        context = contextvars.copy_context()
        with self._lock:
            self._unserved += 1
            self._queue.put((future, lambda: context.run(function, *args)))
            if self._unserved > self._threads and self._threads < _MOST_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, args=(self._queue,), name="llmops-guard", daemon=True).start()
        return future

    def _work(self, tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]]) -> None:
        while True:
            try:
                future, call = tasks.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if tasks.empty():
                        self._threads -= 1
                        return
                continue
            # A task whose caller no longer waits is not begun.
            if future.set_running_or_notify_cancel():
                result = None
                with Caught(BaseException) as caught:
                    result = call()
                if caught.error is None:
                    future.set_result(result)
                else:
                    future.set_exception(caught.error)
            with self._lock:
                self._unserved -= 1

    def run(self, seconds: float, function: Callable[..., _T], *args: Any) -> _T:
        """Return a function's result.

        Raises:
            GuardTimeoutError: There is none after `seconds`.
        """
        future = self.submit(function, *args)
        try:
            return future.result(seconds)
        except FutureTimeoutError:
            if future.done() and not future.cancelled():
                return future.result()  # the function's own error, or a result that came just now
            future.cancel()
            raise GuardTimeoutError from None

    async def arun(self, seconds: float, function: Callable[..., _T], *args: Any) -> _T:
        """Return a function's result, async.

        Raises:
            GuardTimeoutError: There is none after `seconds`.
        """
        waiting = asyncio.wrap_future(self.submit(function, *args))
        done, _ = await asyncio.wait((waiting,), timeout=seconds)
        if not done:
            waiting.cancel()
            raise GuardTimeoutError
        return waiting.result()


CHECKS = DaemonPool()
"""For checks with a bound on their time."""
GROUPS = DaemonPool()
"""For guards that run side by side. Another pool, because their checks may wait for the first."""
