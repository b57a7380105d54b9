"""Let one thread at a time use the sinks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["SinkLock"]

_T = TypeVar("_T")


class SinkLock:
    """A lock whose owner notices that it comes back from inside: a garbage collection or a signal handler ended a span.

    Example:
        >>> lock = SinkLock()
        >>> lock.run(lambda: lock.run(lambda: "inner") or "outer")
        'outer'
    """

    def __init__(self) -> None:
        # With a lock that is not reentrant, a signal handler just after `acquire` would wait for its own thread.
        self._lock = threading.RLock()
        self._inside = False

    def run(self, step: Callable[[], _T]) -> _T | None:
        """Run a step while no other thread runs one; return None if this thread is inside a step already."""
        with self._lock:
            if self._inside:
                return None
            self._inside = True
            try:
                return step()
            finally:
                self._inside = False

    def is_inside(self) -> bool:
        """Return whether this thread is inside a step."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self._inside
        finally:
            self._lock.release()

    def enter(self, timeout: float) -> bool:
        """Begin a step that `leave` ends; return False if a step has not ended within `timeout` seconds."""
        if not self._lock.acquire(timeout=timeout):
            return False
        if self._inside:
            self._lock.release()
            return False
        self._inside = True
        return True

    def leave(self) -> None:
        """End the step of `enter`."""
        self._inside = False
        self._lock.release()
