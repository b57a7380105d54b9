"""`@fallback`: other functions to call when one fails, for code that calls a vendor's client directly."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

from llmops_sdk._util._callables import CallStyle, call_style_of, decorate
from llmops_sdk._util._guard import guarded
from llmops_sdk.resilience._decorated import name_of, wrap_callable
from llmops_sdk.resilience._error_classes import ErrorFilter, error_filter, should_fall_back_any, status_code
from llmops_sdk.resilience._fallback import add_notes, previous_failure_note
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_FALLBACK

__all__ = ["fallback"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")
_Target: TypeAlias = Callable[..., Any]


def fallback(*others: Callable[..., Any], on: ErrorFilter | None = None) -> Callable[[_F], _F]:
    """Call another function when the decorated one fails; the decorator keeps its signature and types.

    It calls the others in order, with the same arguments, until one succeeds, and raises the error of the last one.
    A generator falls back only until its first item. Each step is an event `llmops.fallback` on the current span.

    Args:
        others: The functions to fall back to: of the same style, or plain functions, which for a generator return an
            iterable.
        on: The exceptions to fall back from, or a function that decides. By default the errors of providers that
            another model may not have (an outage, a quota, a key, a missing model, a prompt too long; not a bad
            request), connection errors, time-outs, any exception with an HTTP status of 401 to 404, 408, 429 or 5xx,
            and the error that the openai and anthropic clients raise when an event in the stream says that the
            server failed.

    Raises:
        TypeError: There is no other function, or one is of another style.

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
    should_fall_back = error_filter(on, should_fall_back_any)

    def wrap(target: _Target) -> _Target:
        targets = (target, *(_adapt(other, call_style_of(target)) for other in others))
        return wrap_callable(target, lambda: _FallbackRun(targets, should_fall_back))

    return functools.partial(decorate, wrap=wrap)


class _FallbackRun:
    """One call that goes from function to function.

    As a context manager around one of them it swallows the error that the next function is called for.
    """

    def __init__(self, targets: Sequence[_Target], should_fall_back: Callable[[BaseException], bool]) -> None:
        self._targets = targets
        self._should_fall_back = should_fall_back
        self._at = 0
        self._notes: list[str] = []

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

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        if self._at + 1 == len(self._targets) or not self._should_fall_back(error):
            add_notes(error, self._notes)
            return False
        failed, following = map(name_of, self._targets[self._at : self._at + 2])
        guarded("record fallback", None, _record_event, failed, following, error)
        self._notes.append(previous_failure_note(failed, error))
        self._at += 1
        return True


def _record_event(failed: str, following: str, error: Exception) -> None:
    fields = {"from": failed, "to": following, "error_type": type(error).__name__, "status_code": status_code(error)}
    current_span().add_event(EVENT_FALLBACK, {key: value for key, value in fields.items() if value is not None})


def _adapt(given: Any, style: CallStyle) -> _Target:
    """Return the other callable in the style of the decorated one."""
    other: _Target = given
    if isinstance(given, (classmethod, staticmethod)):
        other = cast("classmethod[Any, Any, Any] | staticmethod[Any, Any]", given).__func__
    if not callable(other):
        raise TypeError(f"@fallback takes functions, got {other!r}")
    own = call_style_of(other)
    if own == style:
        return other
    if own != "function":
        raise TypeError(
            f"@fallback on {_STYLE_NAMES[style]} takes functions of the same style or plain ones, but "
            f"{name_of(other)} is {_STYLE_NAMES[own]}: wrap it in a function of the same style"
        )
    return decorate(other, _ADAPTERS[style])


def _as_coroutine(other: _Target) -> _Target:
    async def adapted(*args: Any, **kwargs: Any) -> Any:
        result = other(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    return adapted


def _as_generator(other: _Target) -> _Target:
    def adapted(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        items: Generator[Any, Any, Any] = other(*args, **kwargs)
        return (yield from items)

    return adapted


def _as_asyncgen(other: _Target) -> _Target:
    async def adapted(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        items = other(*args, **kwargs)
        if hasattr(items, "__aiter__"):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item

    return adapted


_ADAPTERS: Mapping[CallStyle, Callable[[_Target], _Target]] = {
    "coroutine": _as_coroutine,
    "generator": _as_generator,
    "asyncgen": _as_asyncgen,
}
_STYLE_NAMES: Mapping[CallStyle, str] = {
    "function": "a plain function",
    "coroutine": "a coroutine function",
    "generator": "a generator",
    "asyncgen": "an async generator",
}
