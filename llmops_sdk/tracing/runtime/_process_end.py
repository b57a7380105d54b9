"""Hooks for process ends that skip `atexit`.

A child of `multiprocessing` and a worker of Celery's prefork pool leave through os._exit, after their library has
called its own exit hooks. RQ calls none. For SIGTERM see `_sigterm`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from llmops_sdk._util._guard import guarded

__all__ = ["ExitCallback", "count_threads", "ends_without_hook", "is_ending", "join_libraries", "join_thread"]

_RQ_CALLS = frozenset({"fork_work_horse", "main_work_horse"})
_EXIT_SECONDS = 0.05  # seconds until the kernel drops a thread that Python has joined


class ExitCallback(Protocol):
    """Is called before a process exits; some libraries pass arguments."""

    def __call__(self, **arguments: object) -> None: ...


def is_ending() -> bool:
    """Return whether the interpreter is ending: the main thread is done, and only `atexit` hooks still run."""
    return not threading.main_thread().is_alive()


def ends_without_hook() -> bool:
    """Return whether this process runs one job of RQ, and ends by os._exit at once after it, without any exit hook."""
    if "rq" not in sys.modules:
        return False
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage] - documented
    frame = frames.get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name in _RQ_CALLS and str(frame.f_globals.get("__name__")).startswith("rq."):
            return True
        frame = frame.f_back
    return False


def count_threads() -> int:
    """Return how many threads the kernel counts in this process, or 0 if it does not tell."""
    try:
        text = Path("/proc/self/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[17])


def join_thread(thread: threading.Thread, timeout: float, count: int) -> None:
    """Wait until the kernel has dropped a thread; Python 3.12 counts the kernel's threads before a fork.

    Args:
        thread: Any thread but the current one.
        timeout: Maximum seconds to wait.
        count: The result of `count_threads` while the thread ran.
    """
    thread.join(timeout)
    deadline = time.monotonic() + _EXIT_SECONDS
    while not thread.is_alive() and count_threads() >= count > 0 and time.monotonic() < deadline:
        os.sched_yield()


def join_libraries(callback: ExitCallback) -> None:
    """Register with every loaded library that ends processes without `atexit`; again in each forked child.

    Args:
        callback: A function of a module: multiprocessing holds it weakly.
    """
    util = sys.modules.get("multiprocessing.util")  # billiard, with which Celery forks, uses this one too
    if util is not None:
        # A child's bootstrap clears inherited finalizers, then runs the functions registered here.
        util.register_after_fork(callback, _register_finalizer)
        if util.process.parent_process() is not None:
            _register_finalizer(callback)  # this process is such a child, past its bootstrap
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        # A pool worker runs no finalizers: it sends this signal and exits.
        guarded(
            "joining Celery", None, signals.worker_process_shutdown.connect, callback, weak=False, dispatch_uid="llmops"
        )


def _register_finalizer(callback: ExitCallback) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, callback, exitpriority=10)
