"""`@retry`: the same policy for code that calls a vendor's client itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack
from random import uniform
from typing import Any, TypeAlias, TypeVar, cast, overload

from llmops_sdk._util._callables import Kind, decorate, kind_of
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._guard import Caught
from llmops_sdk.config import RetrySettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.resilience._attempts import Attempts
from llmops_sdk.resilience._policy import transient
from llmops_sdk.resilience._retry_loop import acall, call

__all__ = ["retry"]

_F = TypeVar("_F", bound=Callable[..., Any])

On: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]"


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
            may, connection errors, time-outs, and any exception with an HTTP status of 408, 429 or 5xx.
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
    again = _predicate(on)

    def begin() -> Attempts:
        return Attempts(policy=policy, clock=clock, uniform=uniform, total=deadline)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        return _WRAPS[kind_of(target)](target, begin, again)

    def decorator(target: Any) -> Any:
        return decorate(target, wrap)

    return decorator if function is None else decorator(function)


def _predicate(on: On | None) -> Callable[[BaseException], bool]:
    if on is None:
        return transient
    if isinstance(on, (type, tuple)):
        kinds = cast("tuple[type[BaseException], ...]", on)
        return lambda error: isinstance(error, kinds)
    return on


_Begin: TypeAlias = Callable[[], Attempts]
_Again: TypeAlias = Callable[[BaseException], bool]


def _function(target: Callable[..., Any], begin: _Begin, again: _Again) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        attempts = begin()

        def attempt() -> Any:
            with attempts.begin():
                return target(*args, **kwargs)

        return call(attempt, attempts, again)

    return wrapper


def _coroutine(target: Callable[..., Any], begin: _Begin, again: _Again) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        attempts = begin()

        async def attempt() -> Any:
            with attempts.begin():
                return await target(*args, **kwargs)

        return await acall(attempt, attempts, again)

    return wrapper


def _generator(target: Callable[..., Any], begin: _Begin, again: _Again) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        attempts = begin()

        def attempt() -> tuple[ExitStack, Generator[Any, Any, Any]]:
            with ExitStack() as undo:
                undo.enter_context(attempts.begin())
                items = target(*args, **kwargs)
                undo.callback(items.close)
                primed = _Primed(items)
                return undo.pop_all(), primed

        undo, primed = call(attempt, attempts, again)
        with undo:
            return (yield from primed)

    return wrapper


def _asyncgen(target: Callable[..., Any], begin: _Begin, again: _Again) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        attempts = begin()

        async def attempt() -> tuple[AsyncExitStack, AsyncGenerator[Any, Any], Any]:
            async with AsyncExitStack() as undo:
                undo.enter_context(attempts.begin())
                items = target(*args, **kwargs)
                undo.push_async_callback(items.aclose)
                first = await anext(items, _END)
                return undo.pop_all(), items, first

        undo, items, item = await acall(attempt, attempts, again)
        async with undo:
            # There is no `yield from` here: what the consumer sends and throws is handed on by hand.
            while item is not _END:
                sent: Any = None
                with Caught(BaseException) as thrown:
                    sent = yield item
                step: Awaitable[Any] = items.asend(sent) if thrown.error is None else items.athrow(thrown.error)
                try:
                    item = await step
                except StopAsyncIteration:
                    item = _END

    return wrapper


_END: Any = object()

_WRAPS: Mapping[Kind, Callable[[Callable[..., Any], _Begin, _Again], Callable[..., Any]]] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asyncgen": _asyncgen,
}


class _Primed(Generator[Any, Any, Any]):
    """A generator that is taken to its first item at once: `yield from` it gives that item, then the rest.

    What the consumer sends, throws and closes reaches the generator inside, as `yield from` promises.
    """

    def __init__(self, items: Generator[Any, Any, Any]) -> None:
        self._items = items
        self._end: StopIteration | None = None
        self._first: list[Any] = []
        try:
            self._first.append(next(items))
        except StopIteration as end:
            self._end = end

    def send(self, value: Any, /) -> Any:
        """The next item."""
        if self._end is not None:
            raise self._end
        return self._first.pop() if self._first else self._items.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside the generator."""
        return self._items.throw(*error)

    def close(self) -> None:
        """End the generator inside."""
        self._items.close()
