"""The ends of a process that pass by `atexit`, each met by the hook that is documented for it.

A child of `multiprocessing` and a worker of Celery's prefork pool leave by os._exit, after their library has called
what was registered with it. For SIGTERM see `_sigterm`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from llmops_sdk._util._guard import guarded

__all__ = ["End", "count_threads", "is_ending", "join_libraries", "join_thread", "start_thread"]

_GONE_WITHIN = 0.05  # seconds


class End(Protocol):
    """What is called before a process leaves; a library may say more of the occasion."""

    def __call__(self, **occasion: object) -> None: ...


def is_ending() -> bool:
    """Whether the interpreter is ending: the main thread is through, and what `atexit` calls is all that is left."""
    return not threading.main_thread().is_alive()


def count_threads() -> int:
    """How many threads the kernel counts in this process; 0 where it does not say."""
    try:
        text = Path("/proc/self/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[17])


def start_thread(thread: threading.Thread) -> bool:
    """Start a thread; False where none can start any more."""
    try:
        thread.start()
    except RuntimeError:
        return False  # the interpreter is ending
    return True


def join_thread(thread: threading.Thread, timeout: float, count: int) -> None:
    """Wait for a thread's end as the kernel sees it, a moment after Python's: Python 3.12 counts before a fork.

    Args:
        thread: Any but the one that asks.
        timeout: Seconds to wait at most.
        count: What `count_threads` said while it ran.
    """
    thread.join(timeout)
    deadline = time.monotonic() + _GONE_WITHIN
    while not thread.is_alive() and count_threads() >= count > 0 and time.monotonic() < deadline:
        os.sched_yield()


def join_libraries(end: End) -> None:
    """Have `end` called by every library in use that ends processes past `atexit`; again in each forked child.

    Args:
        end: A function of a module: multiprocessing holds it weakly.
    """
    util = sys.modules.get("multiprocessing.util")  # billiard, which Celery forks by, registers with this one too
    if util is not None:
        # The child's bootstrap clears the finalizers that it inherits, then runs what is registered here.
        util.register_after_fork(end, _register_finalizer)
        if util.process.parent_process() is not None:
            _register_finalizer(end)  # this is such a child already, and past its bootstrap
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        # A worker of the pool runs no finalizer: it sends this signal, and leaves.
        guarded("joining Celery", None, signals.worker_process_shutdown.connect, end, weak=False, dispatch_uid="llmops")


def _register_finalizer(end: End) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, end, exitpriority=10)
