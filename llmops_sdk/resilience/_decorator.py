"""`@retry`: the same policy for code that calls a vendor's client itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import uniform
from typing import Any, TypeVar, overload

from llmops_sdk._util._callables import decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import RetrySettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.resilience._attempts import Attempts, Try
from llmops_sdk.resilience._policy import On, predicate, transient
from llmops_sdk.resilience._retry_loop import acall, call
from llmops_sdk.resilience._wraps import wrapped

__all__ = ["retry"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


@overload
def retry(function: _F, /) -> _F: ...
@overload
def retry(
    *,
    attempts: int = 3,
    on: On | None = None,
    base: float = 0.5,
    max_wait: float = 20.0,
    max_retry_after: float = 60.0,
    deadline: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[_F], _F]: ...
def retry(
    function: Any = None,
    /,
    *,
    attempts: int = 3,
    on: On | None = None,
    base: float = 0.5,
    max_wait: float = 20.0,
    max_retry_after: float = 60.0,
    deadline: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Call a function again when it fails in a way that may pass; its signature and types are kept.

    A generator is begun again only until its first item. Each attempt is an event on the current span.

    Args:
        function: A function, coroutine function, generator or async generator; methods of every kind too.
        attempts: How many times it is called in all; 1 means never again.
        on: The exceptions that may pass, or a function that tells them. By default the errors of providers that
            may, connection errors, time-outs, any exception with an HTTP status of 408, 429 or 5xx, and what the
            openai and anthropic clients raise for an error event that says that the server failed.
        base: Seconds: the n-th wait is drawn uniformly from 0 to base·2ⁿ⁻¹.
        max_wait: Seconds: the cap on a drawn wait.
        max_retry_after: Seconds: a server that asks for a longer wait is not waited for.
        deadline: Seconds for all attempts and waits together: a wait that would pass it is not begun.
        clock: The time, and how to wait.

    Raises:
        ConfigError: A bound is not a valid one.

    Example:
        >>> import llmops_sdk as llmops
        >>> answers = iter([TimeoutError("too slow"), "fine"])
        >>> @llmops.retry(attempts=2, base=0.001)
        ... def ask() -> str:
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> ask()
        'fine'
    """
    policy = RetrySettings(attempts=attempts, base=base, max_wait=max_wait, max_retry_after=max_retry_after)
    if deadline is not None and not deadline > 0:
        raise ConfigError(f"@retry(deadline={deadline!r}): seconds above zero, or None", key="deadline", value=deadline)
    again = predicate(on, transient)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        def start() -> _Retries:
            return _Retries(target, Attempts(policy=policy, clock=clock, uniform=uniform, total=deadline), again)

        return wrapped(target, start)

    def decorator(target: Any) -> Any:
        return decorate(target, wrap)

    return decorator if function is None else decorator(function)


class _Retries:
    """One call of a function that is tried again."""

    def __init__(self, target: Callable[..., Any], attempts: Attempts, again: Callable[[BaseException], bool]) -> None:
        self._target = target
        self._attempts = attempts
        self._again = again

    def begin(self) -> Try:
        return self._attempts.begin()

    def call(self, attempt: Callable[[Callable[..., Any]], _T]) -> _T:
        return call(lambda: attempt(self._target), self._attempts, self._again)

    async def acall(self, attempt: Callable[[Callable[..., Any]], Awaitable[_T]]) -> _T:
        return await acall(lambda: attempt(self._target), self._attempts, self._again)
