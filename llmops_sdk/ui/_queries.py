"""Run reads in a few threads, each within a deadline, and end a read when its browser leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request

from llmops_sdk.store.reading._scope import QueryScope

__all__ = ["BusyError", "ClientLeftError", "DeadlineError", "Queries", "left"]

_T = TypeVar("_T")


class BusyError(Exception):
    """Too many reads wait already."""


class ClientLeftError(Exception):
    """The browser closed the connection; nobody waits for an answer."""


class DeadlineError(Exception):
    """The read took too long."""


class Queries:
    """The threads that read the store.

    Args:
        at_once: How many reads run at the same time.
        waiting: How many more may wait.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="llmops-ui")
        self._lock = threading.Lock()
        self._free = at_once + waiting

    async def run(self, request: Request, read: Callable[[], _T], seconds: float) -> _T:
        """Run a read in a thread and return its result.

        Args:
            request: The request; when its browser leaves, the read ends.
            read: Reads the store.
            seconds: The time for its queries.

        Raises:
            BusyError: Too many reads wait.
            ClientLeftError: The browser left.
            DeadlineError: The read took too long.
        """
        scope = QueryScope(seconds)
        with self._lock:
            if self._free <= 0:
                raise BusyError("too many requests wait; try again in a moment")
            self._free -= 1
        future = self._threads.submit(_in_scope, scope, read)
        future.add_done_callback(self._release)
        asked = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(left(request))
        try:
            await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientLeftError
            if asked.exception() is not None and scope.expired:
                raise DeadlineError(f"it took longer than {seconds:g} s: narrow the filters") from asked.exception()
            return asked.result()
        finally:
            gone.cancel()
            if not asked.done():
                asked.cancel()
                scope.cancel()

    def _release(self, _: object) -> None:
        with self._lock:
            self._free += 1

    def close(self) -> None:
        """End the threads as soon as their reads have ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _in_scope(scope: QueryScope, read: Callable[[], _T]) -> _T:
    with scope:
        return read()


async def left(request: Request) -> None:
    """Return when the browser has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
