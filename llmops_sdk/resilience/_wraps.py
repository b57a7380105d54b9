"""A policy around each kind of callable: what is done again or elsewhere, until a result or a first item has come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from typing import Any, Protocol, TypeAlias, TypeVar

from llmops_sdk._util._asyncgen import first_anext_unhooked
from llmops_sdk._util._callables import CallStyle, call_style_of
from llmops_sdk._util._guard import Caught

__all__ = ["Run", "wrapped"]

_T = TypeVar("_T")
_Target: TypeAlias = Callable[..., Any]


class Run(Protocol):
    """One call of a decorated function under a policy."""

    def begin(self) -> AbstractContextManager[object]:
        """Around one try, until its result or its last item."""
        ...

    def call(self, attempt: Callable[[_Target], _T], /) -> _T:
        """Make tries, each with the callable whose turn it is, until one succeeds or the policy gives up."""
        ...

    async def acall(self, attempt: Callable[[_Target], Awaitable[_T]], /) -> _T:
        """The async twin of `call`."""
        ...


def wrapped(target: _Target, start: Callable[[], Run]) -> _Target:
    """A callable of the same kind, each call of which is a run of its own."""
    return _WRAPS[call_style_of(target)](start)


def _function(start: Callable[[], Run]) -> _Target:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()

        def attempt(target: _Target) -> Any:
            with run.begin():
                return target(*args, **kwargs)

        return run.call(attempt)

    return wrapper


def _coroutine(start: Callable[[], Run]) -> _Target:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()

        async def attempt(target: _Target) -> Any:
            with run.begin():
                return await target(*args, **kwargs)

        return await run.acall(attempt)

    return wrapper


def _generator(start: Callable[[], Run]) -> _Target:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = start()

        def attempt(target: _Target) -> tuple[ExitStack, Generator[Any, Any, Any]]:
            with ExitStack() as undo:
                undo.enter_context(run.begin())
                items = target(*args, **kwargs)
                undo.callback(items.close)
                primed = _Primed(items)
                return undo.pop_all(), primed

        undo, primed = run.call(attempt)
        with undo:
            return (yield from primed)

    return wrapper


def _asyncgen(start: Callable[[], Run]) -> _Target:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = start()

        async def attempt(target: _Target) -> tuple[AsyncExitStack, AsyncGenerator[Any, Any], Any]:
            async with AsyncExitStack() as undo:
                undo.enter_context(run.begin())
                items = target(*args, **kwargs)
                undo.push_async_callback(items.aclose)
                first = _END
                with Caught(StopAsyncIteration):
                    first = await first_anext_unhooked(items)
                return undo.pop_all(), items, first

        undo, items, item = await run.acall(attempt)
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

_WRAPS: Mapping[CallStyle, Callable[[Callable[[], Run]], _Target]] = {
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
