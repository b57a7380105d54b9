"""Guards for the exporting threads: around forks, and against instrumentation."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from opentelemetry import context as otel_context

__all__ = ["import_lock", "start_daemon", "uninstrumented"]

# A fork during the import of an exporter would leave an import lock taken in the child.
import_lock = threading.Lock()
_forking: list[bool] = []


def _before_fork() -> None:
    import_lock.acquire()
    _forking.append(True)


def _after_fork() -> None:
    # Another fork hook may have imported this module: then this hook has not taken the lock.
    if _forking:
        _forking.pop()
        import_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def start_daemon(target: Callable[[], None], name: str) -> threading.Thread | None:
    """Start a daemon thread; return None if the interpreter is ending or there are too many threads."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


@contextmanager
def uninstrumented() -> Generator[None]:
    """Suppress instrumentation: a span for each export would cause another export."""
    # The SDK's own processors use this key too; it has no public name.
    key = otel_context._SUPPRESS_INSTRUMENTATION_KEY  # pyright: ignore[reportPrivateUsage]
    token = otel_context.attach(otel_context.set_value(key, value=True))
    try:
        yield
    finally:
        otel_context.detach(token)
