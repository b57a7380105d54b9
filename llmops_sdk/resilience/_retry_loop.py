"""Repeat a call until it succeeds, its error must not be retried, or a bound is reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from llmops_sdk._util._guard import Caught
from llmops_sdk.resilience._attempts import Attempts

__all__ = ["acall", "call"]

_T = TypeVar("_T")


def call(function: Callable[[], _T], attempts: Attempts, should_retry: Callable[[BaseException], bool]) -> _T:
    """Call `function` until it returns, and raise its last error once no attempt is left."""
    while True:
        with Caught() as caught:
            return function()
        attempts.clock.sleep(attempts.wait_or_raise(caught.error, should_retry))
        attempts.raise_if_deadline_passed(caught.error)


async def acall(
    function: Callable[[], Awaitable[_T]], attempts: Attempts, should_retry: Callable[[BaseException], bool]
) -> _T:
    """Await `function` until it returns, as `call` does."""
    while True:
        with Caught() as caught:
            return await function()
        await attempts.clock.asleep(attempts.wait_or_raise(caught.error, should_retry))
        attempts.raise_if_deadline_passed(caught.error)
