"""`@guard`: the guards for code that calls a vendor's client directly."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from typing import Any, TypeAlias, TypeVar, cast

from llmops_sdk._util._callables import CallStyle, call_style_of, decorate
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Guard, GuardContext, OnError, Rail
from llmops_sdk.guardrails._registry import resolve
from llmops_sdk.guardrails._runner import GuardRun, acheck_texts, check_texts
from llmops_sdk.guardrails._stream import ItemWindow
from llmops_sdk.guardrails._texts import put, take
from llmops_sdk.guardrails._window import arun_checks, run_checks

__all__ = ["guard"]

_F = TypeVar("_F", bound=Callable[..., Any])


def guard(
    *,
    input: Sequence[str | Guard] = (),
    output: Sequence[str | Guard] = (),
    documents: Sequence[str | Guard] = (),
    on_error: OnError = "closed",
) -> Callable[[_F], _F]:
    """Check what goes into a function and what comes out of it; the decorator keeps its signature and types.

    Guards check the strings of the arguments and of the result, also inside lists, tuples and dicts; other objects
    pass unchecked. A generator's strings are checked as one text, and released as soon as no later string can change a
    verdict. Each verdict is an event on the current span.

    Args:
        input: Guards on the arguments, by name or as objects, in order.
        output: Guards on the result.
        documents: Guards on the result of a function that retrieves documents, after those of `output`.
        on_error: What happens when a guard fails: "closed" blocks the call, "open" lets it pass.

    Raises:
        ConfigError: A guard's name is unknown, or `on_error` is neither.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.guard(input=["cards"])
        ... def ask(question: str) -> str:
        ...     return f"You asked: {question}"
        >>> ask("Is 4111" + " 1111" * 3 + " valid?")
        'You asked: Is [CARD] valid?'
    """
    if on_error not in ("closed", "open"):
        raise ConfigError(f'@guard(on_error={on_error!r}): use "closed" or "open"', key="on_error", value=on_error)
    checks = _Checks({"input": resolve(input), "output": resolve(output), "documents": resolve(documents)}, on_error)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        return _WRAPPERS[call_style_of(target)](target, checks)

    return functools.partial(decorate, wrap=wrap)


class _Checks:
    """The guards of one function."""

    def __init__(self, guards: Mapping[Rail, tuple[Guard, ...]], on_error: OnError) -> None:
        self._guards = guards
        self._on_error: OnError = on_error

    @property
    def on_result(self) -> bool:
        """Return whether there are guards on the result."""
        return bool(self._guards["output"] or self._guards["documents"])

    def window(self, stack: ExitStack | AsyncExitStack) -> ItemWindow:
        """Return the window that the items of a generator pass; the guards record their verdicts with the stack."""
        rails: tuple[Rail, ...] = ("output", "documents")
        return ItemWindow(
            [
                stack.enter_context(GuardRun(guard, GuardContext(rail=rail), self._on_error))
                for rail in rails
                for guard in self._guards[rail]
            ]
        )

    def check(self, value: Any, rail: Rail) -> Any:
        """Return the value as the guards leave it."""
        guards = self._guards[rail]
        if not guards:
            return value
        return put(value, iter(check_texts(list(take(value)), guards, GuardContext(rail=rail), self._on_error)))

    async def acheck(self, value: Any, rail: Rail) -> Any:
        """Return the value as the guards leave it, async."""
        guards = self._guards[rail]
        if not guards:
            return value
        return put(value, iter(await acheck_texts(list(take(value)), guards, GuardContext(rail=rail), self._on_error)))


def _function(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = checks.check((args, kwargs), "input")
        return checks.check(checks.check(target(*args, **kwargs), "output"), "documents")

    return wrapper


def _coroutine(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = await checks.acheck((args, kwargs), "input")
        return await checks.acheck(await checks.acheck(await target(*args, **kwargs), "output"), "documents")

    return wrapper


def _generator(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        args, kwargs = checks.check((args, kwargs), "input")
        generator = cast("Generator[Any, Any, Any]", target(*args, **kwargs))
        if not checks.on_result:
            return (yield from generator)
        with ExitStack() as stack:
            stack.enter_context(closing(generator))
            window = checks.window(stack)
            while True:
                try:
                    item = next(generator)
                except StopIteration as end:
                    result = end.value
                    break
                yield from run_checks(window.add(item))
            yield from run_checks(window.finish())
            return run_checks(window.value(result))

    return wrapper


def _asyncgen(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        args, kwargs = await checks.acheck((args, kwargs), "input")
        async with AsyncExitStack() as stack:
            generator = cast("AsyncGenerator[Any, Any]", target(*args, **kwargs))
            await stack.enter_async_context(aclosing(generator))
            window = checks.window(stack)
            async for item in generator:
                for released in await arun_checks(window.add(item)):
                    yield released
            for released in await arun_checks(window.finish()):
                yield released

    return wrapper


_Wrap: TypeAlias = Callable[[Callable[..., Any], _Checks], Callable[..., Any]]
_WRAPPERS: Mapping[CallStyle, _Wrap] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asyncgen": _asyncgen,
}
