"""Run a policy around callables of every style; for generators until the first item has come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from reprlib import repr as short_repr
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar

from llmops_sdk._util._asyncgen import first_anext_unhooked
from llmops_sdk._util._callables import CallStyle, call_style_of
from llmops_sdk._util._guard import Caught
from llmops_sdk.errors import ConfigError

__all__ = ["Block", "PolicyRun", "checked_name", "name_of", "wrap_callable"]

_LONGEST_NAME = 256

_T = TypeVar("_T")
_Target: TypeAlias = Callable[..., Any]


class PolicyRun(Protocol):
    """One call of a decorated function under a policy."""

    def begin(self) -> AbstractContextManager[object]:
        """Return the context of one attempt, which lasts until the result or the last item."""
        ...

    def call(self, attempt: Callable[[_Target], _T], /) -> _T:
        """Make attempts, each with the callable that the policy chooses, until one succeeds or the policy gives up."""
        ...

    async def acall(self, attempt: Callable[[_Target], Awaitable[_T]], /) -> _T:
        """Make attempts as `call` does, async."""
        ...


class Block(Protocol):
    """A policy that a block enters without a wait: `async with` is the same as `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Literal[False]: ...

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(cls, error, trace)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a callable: a classmethod and a staticmethod have that of their function, a partial none."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def checked_name(decorator: str, name: object) -> str:
    """Return the name that a decorator got, "" for none.

    Args:
        decorator: The decorator's own name, for the error.
        name: What the caller gave.

    Raises:
        ConfigError: It is no name.
    """
    if name is None:
        return ""
    if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME:
        return name
    raise ConfigError(
        f"@{decorator}: name = {short_repr(name)} is not valid: it must be a string of 1 to {_LONGEST_NAME} characters",
        key="name",
        value=name,
    )


def wrap_callable(target: _Target, start: Callable[[], PolicyRun]) -> _Target:
    """Return a callable of the same style that starts a run of the policy at each call."""
    return _WRAPPERS[call_style_of(target)](start)


def _function(start: Callable[[], PolicyRun]) -> _Target:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()

        def attempt(target: _Target) -> Any:
            with run.begin():
                return target(*args, **kwargs)

        return run.call(attempt)

    return wrapper


def _coroutine(start: Callable[[], PolicyRun]) -> _Target:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()

        async def attempt(target: _Target) -> Any:
            with run.begin():
                return await target(*args, **kwargs)

        return await run.acall(attempt)

    return wrapper


def _generator(start: Callable[[], PolicyRun]) -> _Target:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = start()

        def attempt(target: _Target) -> tuple[ExitStack, Generator[Any, Any, Any], Any, Any]:
            with ExitStack() as undo:
                undo.enter_context(run.begin())
                items = target(*args, **kwargs)
                undo.callback(items.close)
                first, result = _END, None
                try:
                    first = next(items)
                except StopIteration as end:
                    result = end.value
                return undo.pop_all(), items, first, result

        undo, items, item, result = run.call(attempt)
        thrown = Caught(BaseException)
        with undo:
            while item is not _END:
                sent: Any = None
                with thrown:
                    sent = yield item
                if sent is None and thrown.error is None:
                    return (yield from items)
                # `yield from` cannot begin with a value sent or an error thrown.
                try:
                    item = items.send(sent) if thrown.error is None else items.throw(thrown.error)
                except StopIteration as end:
                    item, result = _END, end.value
        return result

    return wrapper


def _asyncgen(start: Callable[[], PolicyRun]) -> _Target:
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
        thrown = Caught(BaseException)
        async with undo:
            while item is not _END:
                sent: Any = None
                with thrown:
                    sent = yield item
                step: Awaitable[Any] = items.asend(sent) if thrown.error is None else items.athrow(thrown.error)
                try:
                    item = await step
                except StopAsyncIteration:
                    item = _END

    return wrapper


_END: Any = object()

_WRAPPERS: Mapping[CallStyle, Callable[[Callable[[], PolicyRun]], _Target]] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asyncgen": _asyncgen,
}
