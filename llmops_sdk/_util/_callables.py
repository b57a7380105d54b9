"""What kind of callable a decorator was given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Literal, TypeAlias, cast

__all__ = ["Kind", "Primed", "decorate", "kind_of", "resume"]

Kind: TypeAlias = Literal["function", "coroutine", "generator", "asyncgen"]


def kind_of(function: Callable[..., Any]) -> Kind:
    """How a callable gives its result; looks through partials and at the `__call__` of objects."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    target: Any = function if inspect.isroutine(function) or inspect.isclass(function) else function.__call__
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target):
        return "coroutine"
    if inspect.isasyncgenfunction(target):
        return "asyncgen"
    if inspect.isgeneratorfunction(target):
        return "generator"
    return "function"


def decorate(target: Any, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    """Apply `wrap` to a callable, or to the one inside a classmethod or staticmethod; names and signature are kept."""
    if isinstance(target, (classmethod, staticmethod)):
        method = cast("classmethod[Any, Any, Any] | staticmethod[Any, Any]", target)
        return type(method)(decorate(method.__func__, wrap))
    if not callable(target):
        raise TypeError(f"a function is needed, not {target!r}")
    return functools.update_wrapper(wrap(target), target)


class Primed(Generator[Any, Any, Any]):
    """A generator whose first item was already taken: `yield from` it gives that item, then the rest.

    What the consumer sends, throws and closes reaches the generator inside, as `yield from` promises.
    """

    def __init__(self, first: Any, rest: Generator[Any, Any, Any]) -> None:
        self._first: tuple[Any, ...] = (first,)
        self._rest = rest

    def send(self, value: Any, /) -> Any:
        """The next item."""
        if self._first:
            (item,), self._first = self._first, ()
            return item
        return self._rest.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside the generator."""
        self._first = ()
        return self._rest.throw(*error)

    def close(self) -> None:
        """End the generator inside."""
        self._rest.close()


async def resume(first: Any, rest: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """The async twin of `Primed`: give an item that was already taken, then the rest, with `asend` and `athrow`."""
    step: Awaitable[Any]
    item = first
    try:
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - handed on to the generator inside, as `yield from` would
                step = rest.athrow(error)
            else:
                step = rest.asend(sent)
            try:
                item = await step
            except StopAsyncIteration:
                return
    finally:
        await rest.aclose()
