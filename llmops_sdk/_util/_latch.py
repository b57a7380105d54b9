"""A signal from one thread to another that no exception can break in two."""

from __future__ import annotations

import threading

__all__ = ["Latch"]


class Latch:
    """Set by any thread, waited for by one, which takes the signal with it.

    `threading.Event` takes its lock in a Python function, so an exception of a signal's handler, a Ctrl-C for one, can
    leave that lock taken, and whoever sets the event next waits for ever. Here every step is one call into C.

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
        """Let the waiter go on, now or when it comes; once, however often this is called before."""
        try:
            self._lock.release()
        except RuntimeError:  # not locked: set already
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it was set within `timeout` seconds; it is unset again then."""
        return self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))

    def clear(self) -> None:
        """Unset it."""
        self._lock.acquire(blocking=False)
