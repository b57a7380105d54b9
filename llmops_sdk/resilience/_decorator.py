"""`@retry`: the retry policy for code that calls a vendor's client directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import uniform
from typing import Any, TypeVar, overload

from llmops_sdk._util._callables import decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import RetrySettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.resilience._attempts import Attempts, AttemptScope
from llmops_sdk.resilience._decorated import wrap_callable
from llmops_sdk.resilience._error_classes import ErrorFilter, error_filter, is_transient
from llmops_sdk.resilience._retry_loop import acall, call

__all__ = ["retry"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


@overload
def retry(function: _F, /) -> _F: ...
@overload
def retry(
    *,
    attempts: int = 3,
    on: ErrorFilter | None = None,
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
    on: ErrorFilter | None = None,
    base: float = 0.5,
    max_wait: float = 20.0,
    max_retry_after: float = 60.0,
    deadline: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Call a function again when it fails with a transient error; the decorator keeps its signature and types.

    A generator is restarted only until its first item. Each attempt is an event on the current span.

    Args:
        function: A function, coroutine function, generator or async generator; methods of every kind too.
        attempts: The most calls in all; 1 means no retry.
        on: The exceptions to retry, or a function that decides. By default the transient errors of providers,
            connection errors, time-outs, any exception with an HTTP status of 408, 429 or 5xx, and the error that the
            openai and anthropic clients raise when an event in the stream says that the server failed.
        base: Seconds: the n-th wait is drawn uniformly from 0 to base·2ⁿ⁻¹.
        max_wait: Seconds: the cap on a drawn wait.
        max_retry_after: Seconds: the call fails at once when a server asks for a longer wait.
        deadline: Seconds for all attempts and waits together: no wait goes past it.
        clock: The time, and how to wait.

    Raises:
        ConfigError: A bound is not valid.

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
        raise ConfigError(
            f"@retry(deadline={deadline!r}): give seconds above zero, or None", key="deadline", value=deadline
        )
    should_retry = error_filter(on, is_transient)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        def start() -> _RetryRun:
            return _RetryRun(
                target, Attempts(policy=policy, clock=clock, uniform=uniform, total=deadline), should_retry
            )

        return wrap_callable(target, start)

    def decorator(target: Any) -> Any:
        return decorate(target, wrap)

    return decorator if function is None else decorator(function)


@dataclass(frozen=True, slots=True)
class _RetryRun:
    """One call of a retried function."""

    target: Callable[..., Any]
    attempts: Attempts
    should_retry: Callable[[BaseException], bool]

    def begin(self) -> AttemptScope:
        return self.attempts.begin()

    def call(self, attempt: Callable[[Callable[..., Any]], _T]) -> _T:
        return call(lambda: attempt(self.target), self.attempts, self.should_retry)

    async def acall(self, attempt: Callable[[Callable[..., Any]], Awaitable[_T]]) -> _T:
        return await acall(lambda: attempt(self.target), self.attempts, self.should_retry)
