"""Run a coroutine from synchronous code, also inside a running event loop, as in a notebook."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
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
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="llmops-evals") as pool:
        return pool.submit(context.run, lambda: asyncio.run(make())).result()
