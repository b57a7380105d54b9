"""Flush on SIGTERM, whose default action ends a process at once, without `atexit`."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.tracing.runtime import _start as _runtime

__all__ = ["flush_on_sigterm"]

_GRACE = 0.5  # seconds
_timeout = 2.0


def flush_on_sigterm(timeout: float = 2.0) -> bool:
    """Flush on SIGTERM if no handler is installed.

    By default SIGTERM ends a process at once, and the spans of the last `flush_interval` are lost. Call this once, in
    the main thread. The exit status stays that of the signal. This never replaces a handler that the application or its
    server has set or sets later: call `flush` in that handler.

    Python runs signal handlers between two steps of the main thread. During a long call into a C library SIGTERM waits,
    as Ctrl-C does. Therefore the SDK does not install the handler by default.

    Args:
        timeout: Maximum seconds to delay the end.

    Returns:
        True if SIGTERM flushes now; False if SIGTERM has a handler already, or is ignored.

    Raises:
        LLMOpsError: This is not the main thread; only the main thread may set a handler.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.flush_on_sigterm()
        True
    """
    global _timeout
    if threading.current_thread() is not threading.main_thread():
        raise LLMOpsError("flush_on_sigterm() sets a signal's handler: call it in the main thread")
    found = signal.getsignal(signal.SIGTERM)
    if found is not signal.SIG_DFL and found is not _on_sigterm:
        return False
    _timeout = timeout
    signal.signal(signal.SIGTERM, _on_sigterm)
    return True


def _on_sigterm(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as `signal` calls it
    # A later handler may call this one and let the process go on: then only flush.
    last = signal.getsignal(number) is _on_sigterm
    end = _runtime.shutdown if last else _runtime.flush
    # In a thread of its own: the interrupted main thread may hold a lock that a flush needs.
    thread = threading.Thread(
        target=guarded, args=("flushing at SIGTERM", None, end, _timeout), name="llmops-sigterm", daemon=True
    )
    with Caught(RuntimeError) as starting:
        thread.start()
    if starting.error is None:  # else the interpreter is ending, and `atexit` hooks already flush
        thread.join(_timeout + _GRACE)
    if last:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # Still alive: the first process of a container ignores signals without a handler.
        signal.signal(number, _on_sigterm)
