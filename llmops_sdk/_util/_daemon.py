"""Start daemon threads, also while the interpreter ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["start_daemon"]


def start_daemon(target: Callable[[], None], name: str) -> threading.Thread | None:
    """Start a daemon thread; return None if the interpreter is ending or there are too many threads."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread
