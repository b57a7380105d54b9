"""SIGTERM, whose default action ends a process at once, past `atexit` and whatever else could flush."""

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
    """Have SIGTERM, where nothing handles it, flush before it ends the process.

    By default SIGTERM ends a process at once, and with it what had not been written yet: the spans of the last
    `flush_interval`. Call this once, in the main thread. The exit status stays that of the signal. A handler that the
    application or its server has set, now or later, is never replaced: flush there.

    Python runs handlers between two steps of the main thread: while that is inside a long call of a C library, SIGTERM
    waits for its return, as Ctrl-C does. That is why nothing is installed unasked.

    Args:
        timeout: Seconds that the end may be delayed.

    Returns:
        Whether SIGTERM flushes now; False when there is a handler already, or SIGTERM is ignored.

    Raises:
        LLMOpsError: This is not the main thread, the only one that may set a handler.

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
    # Not where a later handler calls this one, the one before it: the process goes on then, as it would without us.
    last = signal.getsignal(number) is _on_sigterm
    end = _runtime.shutdown if last else _runtime.flush
    # By a thread of its own: the main one may hold, where it was interrupted, a lock that a flush needs.
    thread = threading.Thread(
        target=guarded, args=("flushing at SIGTERM", None, end, _timeout), name="llmops-sigterm", daemon=True
    )
    with Caught(RuntimeError) as starting:
        thread.start()
    if starting.error is None:  # else the interpreter is ending: what `atexit` calls has begun to flush
        thread.join(_timeout + _GRACE)
    if last:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        # Still here: the first process of a container, on which a signal without a handler has no effect.
        signal.signal(number, _on_sigterm)
