"""What the exporting threads share: no import of theirs and no lock of a library is held while the process forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context as otel_context

__all__ = ["import_lock", "uninstrumented"]

# A fork while the exporter is being imported would leave the child with an import lock that nobody releases.
import_lock = threading.Lock()
_forking: list[bool] = []


def _before_fork() -> None:
    import_lock.acquire()
    _forking.append(True)


def _after_fork() -> None:
    # This module may be imported by what another hook does before the fork: then the lock was not taken for it.
    if _forking:
        _forking.pop()
        import_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


@contextmanager
def uninstrumented() -> Generator[None]:
    # An instrumented `requests` or `grpc` would make a span of each export, and so another export. The SDK's own
    # processors hold them off with this key too; there is no public name for it.
    key = otel_context._SUPPRESS_INSTRUMENTATION_KEY  # pyright: ignore[reportPrivateUsage]
    token = otel_context.attach(otel_context.set_value(key, value=True))
    try:
        yield
    finally:
        otel_context.detach(token)
