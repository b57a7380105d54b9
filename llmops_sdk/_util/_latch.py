"""Signal another thread without a step that an exception could interrupt."""

from __future__ import annotations

import threading

__all__ = ["Latch"]


class Latch:
    """An event that any thread sets and one thread waits for; waiting clears it.

    `threading.Event` takes its lock in Python code. An exception of a signal handler, such as Ctrl-C, can leave that
    lock taken, and the next `set()` then never returns. Here each step is one call into C.

    Example:
        >>> latch = Latch()
        >>> latch.set()
        >>> latch.wait(1.0), latch.wait(0.0)
        (True, False)
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Wake the waiter, now or when it comes. Further calls before it wakes change nothing."""
        try:
            self._lock.release()
        except RuntimeError:  # not locked: set already
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds, and clear the latch; return whether it was set."""
        return self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))

    def clear(self) -> None:
        """Clear the latch."""
        self._lock.acquire(blocking=False)
