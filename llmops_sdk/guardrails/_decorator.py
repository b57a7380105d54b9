"""`@guard`: the guards for code that calls a vendor's client directly."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from typing import Any, TypeAlias, TypeVar, cast

from llmops_sdk._util._callables import CallStyle, call_style_of, decorate
from llmops_sdk.config import current
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Action, Guard, GuardContext, MaskMap, OnError, Rail
from llmops_sdk.guardrails._registry import check_names, policy_version, resolve
from llmops_sdk.guardrails._stream import ItemWindow
from llmops_sdk.guardrails._texts import put, take
from llmops_sdk.guardrails._window import arun_checks, run_checks
from llmops_sdk.guardrails.masking._masks import Masks, masks_of_call, scope_masks
from llmops_sdk.guardrails.masking._restore import ItemRestorer, restored_value
from llmops_sdk.guardrails.running._in_order import Texts, acheck_value, check_value
from llmops_sdk.guardrails.running._runner import GuardRun

__all__ = ["guard"]

_F = TypeVar("_F", bound=Callable[..., Any])
_WITHOUT: tuple[Action, ...] = ("reask", "fallback")


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
        input: Guards on the arguments, by name or as objects, in order. The result has the values again that the action
            "mask" replaced.
        output: Guards on the result.
        documents: Guards on the result of a function that retrieves documents, after those of `output`.
        on_error: What happens when a guard fails: "closed" blocks the call, "open" lets it pass.

    Raises:
        ConfigError: A guard's name is unknown, or `on_error` is neither. At a call: the options that the configuration
            has for a guard are not valid.

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
    checks = _Checks({"input": input, "output": output, "documents": documents}, on_error)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        return _WRAPPERS[call_style_of(target)](target, checks)

    return functools.partial(decorate, wrap=wrap, policy=checks.version)


class _Checks:
    """The guards of one function. Named ones have the options of the configuration, which is read at a call."""

    def __init__(self, rails: Mapping[Rail, Sequence[str | Guard]], on_error: OnError) -> None:
        named = [check_names(specs, rail=rail, without=_WITHOUT) for rail, specs in rails.items()]
        self._has_names = any(named)
        self._specs: dict[Rail, tuple[str | Guard, ...]] = {rail: tuple(specs) for rail, specs in rails.items()}
        self._on_error: OnError = on_error
        self._made: tuple[object, dict[Rail, tuple[Guard, ...]]] | None = None

    def version(self) -> str:
        """Return a digest of the guards, for the key of a cache above them."""
        return ":".join(policy_version(guards, self._on_error, rail=rail) for rail, guards in self._guards.items())

    @property
    def _guards(self) -> Mapping[Rail, tuple[Guard, ...]]:
        options = current().guardrails.options if self._has_names else None
        made = self._made
        if made is None or made[0] is not options:
            guards: dict[Rail, tuple[Guard, ...]] = {
                rail: resolve(specs, options, rail=rail, without=_WITHOUT) for rail, specs in self._specs.items()
            }
            made = self._made = (options, guards)
        return made[1]

    @property
    def on_result(self) -> bool:
        """Return whether there are guards on the result."""
        return bool(self._guards["output"] or self._guards["documents"])

    def window(self, stack: ExitStack | AsyncExitStack) -> ItemWindow:
        """Return the window that the items of a generator pass; the guards record their verdicts with the stack."""
        runs = [*self._runs("output", None), *self._runs("documents", scope_masks())]
        return ItemWindow([stack.enter_context(run) for run in runs])

    def restorer(self, masks: Masks) -> ItemRestorer:
        """Return what puts the values of the arguments back into the items of a generator."""
        # Documents go on to a model: what is masked in them stays.
        return ItemRestorer(Masks() if self._guards["documents"] else masks)

    def check(self, value: Any, rail: Rail, masks: MaskMap | None = None) -> Any:
        """Return the value as the guards leave it."""
        return check_value(value, _VALUE, self._runs(rail, masks))

    async def acheck(self, value: Any, rail: Rail, masks: MaskMap | None = None) -> Any:
        """Return the value as the guards leave it, async."""
        return await acheck_value(value, _VALUE, self._runs(rail, masks))

    def _runs(self, rail: Rail, masks: MaskMap | None) -> list[GuardRun]:
        context = GuardContext(rail=rail, masks=masks)
        return [GuardRun(guard, context, self._on_error, own_span=True) for guard in self._guards[rail]]

    def result(self, value: Any, masks: Masks) -> Any:
        """Return a function's result as its caller gets it: with the values of the arguments, documents checked."""
        value = restored_value(self.check(value, "output"), masks)
        return self.check(value, "documents", scope_masks())

    async def aresult(self, value: Any, masks: Masks) -> Any:
        """Return a function's result as its caller gets it, async."""
        value = restored_value(await self.acheck(value, "output"), masks)
        return await self.acheck(value, "documents", scope_masks())


def _put_value(value: Any, checked: Sequence[str], whole: bool) -> Any:
    return put(value, iter(checked), whole=whole)


_VALUE: Texts[Any] = Texts(lambda value, whole: list(take(value, whole=whole)), _put_value)


def _function(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        masks = masks_of_call()
        args, kwargs = checks.check((args, kwargs), "input", masks)
        return checks.result(target(*args, **kwargs), masks)

    return wrapper


def _coroutine(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        masks = masks_of_call()
        args, kwargs = await checks.acheck((args, kwargs), "input", masks)
        return await checks.aresult(await target(*args, **kwargs), masks)

    return wrapper


def _generator(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        masks = masks_of_call()
        args, kwargs = checks.check((args, kwargs), "input", masks)
        generator = cast("Generator[Any, Any, Any]", target(*args, **kwargs))
        if not checks.on_result and not masks:
            return (yield from generator)
        with ExitStack() as stack:
            stack.enter_context(closing(generator))
            window, restorer = checks.window(stack), checks.restorer(masks)
            while True:
                try:
                    item = next(generator)
                except StopIteration as end:
                    result = end.value
                    break
                yield from restorer.add(run_checks(window.add(item)))
            yield from restorer.add(run_checks(window.finish()))
            yield from restorer.finish()
            return restored_value(run_checks(window.value(result)), masks)

    return wrapper


def _asyncgen(target: Callable[..., Any], checks: _Checks) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        masks = masks_of_call()
        args, kwargs = await checks.acheck((args, kwargs), "input", masks)
        async with AsyncExitStack() as stack:
            generator = cast("AsyncGenerator[Any, Any]", target(*args, **kwargs))
            await stack.enter_async_context(aclosing(generator))
            window, restorer = checks.window(stack), checks.restorer(masks)
            async for item in generator:
                for released in restorer.add(await arun_checks(window.add(item))):
                    yield released
            for released in restorer.add(await arun_checks(window.finish())):
                yield released
            for released in restorer.finish():
                yield released

    return wrapper


_Wrap: TypeAlias = Callable[[Callable[..., Any], _Checks], Callable[..., Any]]
_WRAPPERS: Mapping[CallStyle, _Wrap] = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "asyncgen": _asyncgen,
}
