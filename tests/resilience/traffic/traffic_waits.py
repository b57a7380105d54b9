"""Wait for what other threads and tasks do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


def until(condition: Callable[[], object], turns: int = 3_000) -> None:
    """Wait for other threads, for 30 seconds at most."""
    turn = threading.Event()
    for _ in range(turns):
        if condition():
            return
        turn.wait(0.01)
    raise AssertionError("it did not happen in 30 s")


async def settle(condition: Callable[[], object], turns: int = 100_000) -> None:
    """Let other tasks run until something is so."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")
