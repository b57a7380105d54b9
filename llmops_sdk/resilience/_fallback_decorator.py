"""`@fallback`: other callables for when one fails, for code that calls a vendor's client itself."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

from llmops_sdk._util._callables import CallStyle, call_style_of, decorate
from llmops_sdk._util._guard import guarded
from llmops_sdk.resilience._fallback import add_notes, told_before
from llmops_sdk.resilience._policy import On, elsewhere, predicate, status_code
from llmops_sdk.resilience._wraps import wrapped
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_FALLBACK

__all__ = ["fallback"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")
_Target: TypeAlias = Callable[..., Any]


def fallback(*others: Callable[..., Any], on: On | None = None) -> Callable[[_F], _F]:
    """Call another function when the decorated one fails in a way that it may not; its signature and types are kept.

    The others are called in order, with the same arguments, until one succeeds; the error of the last one called is
    raised. A generator goes on to another one only until its first item. Each step is an event `llmops.fallback` on
    the current span.

    Args:
        others: What is called in its place: functions of the same kind, or plain functions, which for a generator
            return something to iterate over.
        on: The exceptions to go on from, or a function that tells them. By default the errors of providers that
            another model may not have (an outage, a quota, a key, a missing model, a prompt too long; not a bad
            request), connection errors, time-outs, any exception with an HTTP status of 401 to 404, 408, 429 or
            5xx, and what the openai and anthropic clients raise for an error event that says that the server failed.

    Raises:
        TypeError: There is no other function, or one is of another kind.

    Example:
        >>> import llmops_sdk as llmops
        >>> def apologize(question: str) -> str:
        ...     return "Please ask again later."
        >>> @llmops.fallback(apologize)
        ... def ask(question: str) -> str:
        ...     raise TimeoutError("too slow")
        >>> ask("Where is my card?")
        'Please ask again later.'
    """
    if not others:
        raise TypeError("@fallback needs at least one other function, as in @fallback(ask_another_model)")
    goes_on = predicate(on, elsewhere)

    def wrap(target: _Target) -> _Target:
        targets = (target, *(_alike(other, call_style_of(target)) for other in others))
        return wrapped(target, lambda: _Hops(targets, goes_on))

    def decorator(target: Any) -> Any:
        return decorate(target, wrap)

    return decorator


class _Hops:
    """One call's way from function to function.

    As a context manager around one of them it swallows the error that the next one is called for.
    """

    def __init__(self, targets: Sequence[_Target], goes_on: Callable[[BaseException], bool]) -> None:
        self._targets = targets
        self._goes_on = goes_on
        self._at = 0
        self._before: list[str] = []

    def begin(self) -> AbstractContextManager[object]:
        return nullcontext()

    def call(self, attempt: Callable[[_Target], _T]) -> _T:
        while True:
            with self:
                return attempt(self._targets[self._at])

    async def acall(self, attempt: Callable[[_Target], Awaitable[_T]]) -> _T:
        while True:
            with self:
                return await attempt(self._targets[self._at])

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        if self._at + 1 == len(self._targets) or not self._goes_on(error):
            add_notes(error, self._before)
            return False
        failed, following = map(_name, self._targets[self._at : self._at + 2])
        guarded("record fallback", None, _record_event, failed, following, error)
        self._before.append(told_before(failed, error))
        self._at += 1
        return True


def _name(target: _Target) -> str:
    return getattr(target, "__qualname__", type(target).__qualname__)


def _record_event(failed: str, following: str, error: Exception) -> None:
    fields = {"from": failed, "to": following, "error_type": type(error).__name__, "status_code": status_code(error)}
    current_span().add_event(EVENT_FALLBACK, {key: value for key, value in fields.items() if value is not None})


def _alike(given: Any, kind: CallStyle) -> _Target:
    """The other callable as one of the decorated one's kind."""
    other: _Target = given
    if isinstance(given, (classmethod, staticmethod)):
        other = cast("classmethod[Any, Any, Any] | staticmethod[Any, Any]", given).__func__
    if not callable(other):
        raise TypeError(f"@fallback needs functions, not {other!r}")
    own = call_style_of(other)
    if own == kind:
        return other
    lift = _LIFTS.get((own, kind))
    if lift is None:
        raise TypeError(f"@fallback of {_WORDS[kind]} needs others of the same kind: {_name(other)} is {_WORDS[own]}")
    return decorate(other, lift)


def _as_coroutine(other: _Target) -> _Target:
    async def lifted(*args: Any, **kwargs: Any) -> Any:
        result = other(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return lifted


def _as_generator(other: _Target) -> _Target:
    def lifted(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        items: Generator[Any, Any, Any] = other(*args, **kwargs)
        return (yield from items)

    return lifted


def _as_asyncgen(other: _Target) -> _Target:
    async def lifted(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        items = other(*args, **kwargs)
        if hasattr(items, "__aiter__"):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item

    return lifted


_LIFTS: Mapping[tuple[CallStyle, CallStyle], Callable[[_Target], _Target]] = {
    ("function", "coroutine"): _as_coroutine,
    ("function", "generator"): _as_generator,
    ("function", "asyncgen"): _as_asyncgen,
}
_WORDS: Mapping[CallStyle, str] = {
    "function": "a plain function",
    "coroutine": "a coroutine function",
    "generator": "a generator",
    "asyncgen": "an async generator",
}
