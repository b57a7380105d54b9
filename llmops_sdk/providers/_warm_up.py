"""Import the library behind real models ahead of the first call."""

from __future__ import annotations

import os
import threading

from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded

__all__ = ["warm_up"]

_lock = threading.Lock()
_ready = threading.Event()
_started = False


def warm_up(wait: float = 0.0) -> bool:
    """Import the library behind real models in a thread, so that the first call does not wait for it.

    The import takes seconds, and on a busy machine more. Call this when the program starts. The setting
    `[providers] warm_up = true` does the same when the configuration is loaded. A program that forks should wait for
    the import first.

    Args:
        wait: Seconds to wait for the import to end. 0 returns at once.

    Returns:
        Whether the import has ended.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.warm_up(wait=90)
        True
    """
    global _started
    with _lock:
        started, _started = _started, True
    if not started and start_daemon(_import, "llmops-warm-up") is None:
        _started = False
    return _ready.wait(wait) if wait > 0 else _ready.is_set()


def _import() -> None:
    from llmops_sdk.providers.litellm._library import library

    guarded("importing litellm ahead of the first call", None, library)
    _ready.set()


def _after_fork() -> None:
    # The thread does not exist in the child.
    global _lock, _started
    _lock, _started = threading.Lock(), _ready.is_set()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
