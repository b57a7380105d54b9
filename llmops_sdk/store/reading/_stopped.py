"""Queries that were stopped and have not ended yet: DuckDB may be deep in one call and notice late."""

from __future__ import annotations

import atexit
import os
import threading
import time

from llmops_sdk.errors import QueryError

__all__ = ["add_stopped", "refuse_if_too_many"]

_EXIT_SECONDS = 5.0
_MAX_STOPPED = 4
"""Each may hold a core and gigabytes."""

_stopped: set[threading.Event] = set()
_lock = threading.Lock()


def add_stopped(ended: threading.Event) -> None:
    """Remember a query until it has ended."""
    with _lock:
        _stopped.add(ended)


def refuse_if_too_many(sql: str) -> None:
    """Raise QueryError if too many stopped queries still run."""
    with _lock:
        _stopped.difference_update([ended for ended in _stopped if ended.is_set()])
        count = len(_stopped)
    if count >= _MAX_STOPPED:
        raise QueryError(
            f"{count} earlier queries still run, though they were stopped; wait until they end, or read less with "
            f"each:\n\n{sql}",
            sql=sql,
        )


def _wait_at_exit() -> None:
    """Wait until stopped queries have ended: a thread that comes back while the interpreter ends aborts the process."""
    deadline = time.monotonic() + _EXIT_SECONDS
    for ended in list(_stopped):
        ended.wait(max(deadline - time.monotonic(), 0.0))


def _forget() -> None:
    # The threads of the parent do not exist in a child.
    global _lock
    _stopped.clear()
    _lock = threading.Lock()


atexit.register(_wait_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
