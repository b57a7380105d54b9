"""Wake a task of an event loop from any thread."""

from __future__ import annotations

import asyncio

__all__ = ["AsyncLatch"]


class AsyncLatch:
    """The async twin of `Latch`: any thread sets it, and one task of one event loop waits for it; waiting clears it.

    Create it in the event loop of the task.
    """

    __slots__ = ("_future", "_is_set", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._is_set = False

    def set(self) -> None:
        """Wake the waiter, now or when it comes.

        Raises:
            RuntimeError: The event loop is closed.
        """
        self._loop.call_soon_threadsafe(self._wake)

    async def wait(self, seconds: float) -> None:
        """Wait up to some seconds, and clear the latch."""
        if not self._is_set:
            future = self._future = self._loop.create_future()
            timer = self._loop.call_later(seconds, _resolve, future)
            try:
                await future
            finally:
                timer.cancel()
                self._future = None
        self._is_set = False

    def _wake(self) -> None:
        self._is_set = True
        if self._future is not None:
            _resolve(self._future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
