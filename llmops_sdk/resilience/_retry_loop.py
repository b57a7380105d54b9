"""The loop over the attempts of one call: tenacity turns it, and `Attempts` answers what it asks.

The first attempt is made outside of it, so that only a call that has failed pays for the loop. The one module that
imports tenacity.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, Retrying

from llmops_sdk._util._guard import Caught
from llmops_sdk.resilience._attempts import Attempts

__all__ = ["acall", "call"]

_T = TypeVar("_T")


class _Answers:
    """What tenacity asks about one call. Made anew for each: tenacity keeps state per thread, which tasks share.

    Args:
        attempts: The state of the call.
        again: Whether a failure is of a kind that may pass.
        first: What the first attempt raised.
    """

    def __init__(self, attempts: Attempts, again: Callable[[BaseException], bool], first: BaseException | None) -> None:
        self._attempts = attempts
        self._again = again
        self._first = first
        self._error: BaseException | None = None
        self._wait: float | None = None

    def begin(self) -> None:
        """Raise the last error when the wait overran the deadline: an attempt without time is none.

        The first turn of the loop is the attempt that was made before it.
        """
        if self._first is not None:
            first, self._first = self._first, None
            raise first
        left = self._attempts.remaining()
        if self._error is not None and left is not None and left <= 0:
            raise self._error

    def retry(self, state: RetryCallState) -> bool:
        """Whether the failure is of a kind that may pass."""
        self._error = state.outcome.exception() if state.outcome else None
        return isinstance(self._error, Exception) and self._again(self._error)

    def wait(self, _: RetryCallState) -> float:
        """Seconds until the next attempt; tenacity asks this before it asks whether to stop."""
        self._wait = None if self._error is None else self._attempts.wait_after(self._error)
        return self._wait or 0.0

    def stop(self, _: RetryCallState) -> bool:
        """Whether there shall be no next attempt."""
        return self._wait is None


def call(function: Callable[[], _T], attempts: Attempts, again: Callable[[BaseException], bool]) -> _T:
    """Call `function` until it returns, raises what is not to be tried again, or a bound is reached."""
    with Caught() as caught:
        return function()
    answers = _Answers(attempts, again, caught.error)

    def once() -> _T:
        answers.begin()
        return function()

    loop = Retrying(sleep=attempts.clock.sleep, stop=answers.stop, wait=answers.wait, retry=answers.retry, reraise=True)
    return loop(once)


async def acall(
    function: Callable[[], Awaitable[_T]], attempts: Attempts, again: Callable[[BaseException], bool]
) -> _T:
    """The async twin of `call`."""
    with Caught() as caught:
        return await function()
    answers = _Answers(attempts, again, caught.error)

    async def once() -> _T:
        answers.begin()
        return await function()

    loop = AsyncRetrying(
        sleep=attempts.clock.asleep, stop=answers.stop, wait=answers.wait, retry=answers.retry, reraise=True
    )
    return await loop(once)
