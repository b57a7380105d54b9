"""Run a coroutine from synchronous code, also inside a running event loop, as in a notebook."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run_blocking"]

_T = TypeVar("_T")


def run_blocking(make: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Return the result of a coroutine, in an event loop of its own.

    In a thread that already runs a loop, the coroutine runs in another thread with the caller's context, and that loop
    waits: there an `await` is better.

    Args:
        make: Makes the coroutine.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(make())
    results: list[_T] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append(context.run(asyncio.run, make()))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, name="llmops-blocking", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
