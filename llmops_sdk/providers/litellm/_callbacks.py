"""Stop litellm from logging calls that nobody has asked it to log.

litellm queues a handler for each async call, with the messages and the client in it. Its queue belongs to one event
loop and carries over to the next, so a program with many short loops keeps everything. If the application has set
callbacks or a cache of litellm, its handlers run as usual.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["silence_stream", "without_logging"]

_CALLBACKS = ("callbacks", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback")
# The handlers that litellm starts as tasks when a stream ends or fails; the names differ between its versions.
_HANDLERS = (
    "async_success_handler", "async_failure_handler", "dispatch_success_handlers", "dispatch_attempt_failure_handlers",
)  # fmt: skip


def _application_listens(litellm: Any) -> bool:
    if getattr(litellm, "cache", None) is not None:
        return True
    # A call to Gemini makes litellm add "cache" by itself.
    return any(callback != "cache" for name in _CALLBACKS for callback in getattr(litellm, name, None) or ())


@contextmanager
def without_logging(library: Any) -> Generator[None]:
    """Mark the calls in this block as internal ones of litellm, which it does not log."""
    if library.is_internal_call is None or _application_listens(library.litellm):
        yield
        return
    token = library.is_internal_call.set(True)
    try:
        yield
    finally:
        library.is_internal_call.reset(token)


def silence_stream(library: Any, source: Any) -> None:
    """Replace the handlers that an open stream starts at its end."""
    if _application_listens(library.litellm):
        return
    for owner, names in (
        (getattr(source, "logging_obj", None), _HANDLERS),
        (source, ("async_cache_streaming_response",)),
    ):
        for name in names:
            if hasattr(owner, name):
                setattr(owner, name, _do_nothing)


async def _do_nothing(*_args: Any, **_kwargs: Any) -> None:
    """Take the place of a handler of litellm."""
