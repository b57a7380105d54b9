"""A bounded pool of daemon threads for requests that nobody may wait for any more."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

from llmops_sdk._util._daemon import start_daemon

__all__ = ["MAX_THREADS", "submit"]

MAX_THREADS = 64
"""A call that finds no free thread is made in the caller's own, unhedged."""
_IDLE_SECONDS = 30.0


class _Pool:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._idle = 0
        self._threads = 0

    def submit(self, job: Callable[[], None]) -> bool:
        """Run a job in a free thread or a new one; return False if there is none. A job must not raise."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._jobs.put(job)
                return True
            if self._threads >= MAX_THREADS:
                return False
            self._threads += 1
        if start_daemon(lambda: self._work(job), "llmops-hedge") is not None:
            return True
        with self._lock:
            self._threads -= 1
        return False

    def _work(self, job: Callable[[], None] | None) -> None:
        while job is not None:
            job()
            # A job holds its answer, and the context of its caller.
            del job
            job = self._next()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            self._idle += 1
        while True:
            try:
                return self._jobs.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        self._threads -= 1
                        return None
                # Every idle thread is spoken for: a job is about to come.


_pool = _Pool()


def submit(job: Callable[[], None]) -> bool:
    """Run a job in a thread of the process's pool; return False, and run nothing, if no thread is free.

    Args:
        job: It must not raise.
    """
    return _pool.submit(job)


def _forget() -> None:
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
