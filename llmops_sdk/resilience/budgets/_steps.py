"""Run each step of a callable of any style inside a budget's scope, and count what the callable itself costs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from llmops_sdk._util._asyncgen import first_anext_unhooked
from llmops_sdk._util._callables import CallStyle, call_style_of
from llmops_sdk._util._guard import Caught

__all__ = ["BudgetRun", "wrap_steps"]

_Target: TypeAlias = Callable[..., Any]


class BudgetRun(Protocol):
    """One call of a decorated function: a context manager, sync and async, from the call to the result or last item."""

    def __enter__(self) -> object: ...
    def __exit__(self, _: object, error: BaseException | None, trace: object, /) -> None: ...
    async def __aenter__(self) -> object: ...
    async def __aexit__(self, _: object, error: BaseException | None, trace: object, /) -> None: ...

    def step(self) -> AbstractContextManager[object]:
        """Return the scope of one step: a generator's caller must not be in it between two steps."""
        ...

    def note(self, value: object) -> None:
        """Take note of a result or an item."""
        ...


def wrap_steps(target: _Target, start: Callable[[], BudgetRun]) -> _Target:
    """Return a callable of the same style that makes each call in a run."""
    return _WRAPPERS[call_style_of(target)](target, start)


def _function(target: _Target, start: Callable[[], BudgetRun]) -> _Target:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()
        with run:
            with run.step():
                result = target(*args, **kwargs)
            run.note(result)
            return result

    return wrapper


def _coroutine(target: _Target, start: Callable[[], BudgetRun]) -> _Target:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = start()
        async with run:
            with run.step():
                result = await target(*args, **kwargs)
            run.note(result)
            return result

    return wrapper


def _generator(target: _Target, start: Callable[[], BudgetRun]) -> _Target:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = start()
        with run:
            items = target(*args, **kwargs)
            sent: Any = None
            thrown = Caught(BaseException)
            try:
                while True:
                    try:
                        with run.step():
                            item = items.send(sent) if thrown.error is None else items.throw(thrown.error)
                    except StopIteration as end:
                        return end.value
                    run.note(item)
                    sent, thrown = None, Caught(BaseException)
                    with thrown:
                        sent = yield item
            finally:
                with run.step():
                    items.close()

    return wrapper


def _asyncgen(target: _Target, start: Callable[[], BudgetRun]) -> _Target:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = start()
        async with run:
            items: AsyncGenerator[Any, Any] = target(*args, **kwargs)
            sent: Any = None
            thrown: Caught | None = None
            try:
                while True:
                    try:
                        with run.step():
                            if thrown is None:
                                item = await first_anext_unhooked(items)
                            elif thrown.error is None:
                                item = await items.asend(sent)
                            else:
                                item = await items.athrow(thrown.error)
                    except StopAsyncIteration:
                        return
                    run.note(item)
                    sent, thrown = None, Caught(BaseException)
                    with thrown:
                        sent = yield item
            finally:
                with run.step():
                    await items.aclose()

    return wrapper


_WRAPPERS: Mapping[CallStyle, Callable[[_Target, Callable[[], BudgetRun]], _Target]] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asyncgen": _asyncgen,
}
