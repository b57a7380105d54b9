"""Tell how a callable returns its result, and wrap it."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

__all__ = ["CallStyle", "call_style_of", "decorate", "policies_of"]

_POLICY = "__llmops_policy__"

CallStyle: TypeAlias = Literal["function", "coroutine", "generator", "asyncgen"]


def call_style_of(function: Callable[..., Any]) -> CallStyle:
    """Tell how a callable returns its result; look through partials and at the `__call__` of objects."""
    while isinstance(function, functools.partial):
        function = cast("functools.partial[Any]", function).func
    target: Any = function if inspect.isroutine(function) or inspect.isclass(function) else function.__call__
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target):
        return "coroutine"
    code = getattr(target, "__code__", None)
    if isinstance(code, types.CodeType) and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return "coroutine"  # a generator under @types.coroutine: the caller awaits its result
    if inspect.isasyncgenfunction(target):
        return "asyncgen"
    if inspect.isgeneratorfunction(target):
        return "generator"
    return "function"


def decorate(
    target: Any,
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]],
    *,
    policy: Callable[[], str] | None = None,
) -> Any:
    """Apply `wrap` to a callable or to the function of a classmethod or staticmethod; keep its name and signature.

    Args:
        target: The callable.
        wrap: Returns the wrapper of a callable.
        policy: Returns the version of what the wrapper does to results, for a cache above it; None if it leaves them.
    """
    if isinstance(target, (classmethod, staticmethod)):
        method = cast("classmethod[Any, Any, Any] | staticmethod[Any, Any]", target)
        return type(method)(decorate(method.__func__, wrap, policy=policy))
    if not callable(target):
        raise TypeError(f"expected a callable, got {target!r}")
    wrapped: Any = functools.update_wrapper(wrap(target), target)
    if policy is not None:  # afterwards, because `update_wrapper` copies the one of the target
        setattr(wrapped, _POLICY, policy)
    return wrapped


def policies_of(function: Any) -> list[str]:
    """Return the versions of the policies that decorators below a callable apply to its results."""
    found: list[str] = []
    while function is not None:
        if isinstance(function, functools.partial):
            function = cast("functools.partial[Any]", function).func
        policy = getattr(function, "__dict__", {}).get(_POLICY)
        if policy is not None:
            found.append(policy())
        function = getattr(function, "__wrapped__", None)
    return found
