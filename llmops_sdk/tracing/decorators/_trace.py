"""`@llmops.trace`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast, overload

import wrapt

from llmops_sdk._util._callables import kind_of
from llmops_sdk._util._guard import Caught
from llmops_sdk.tracing.decorators._binding import Binding
from llmops_sdk.tracing.decorators._generators import trace_async_generator, trace_generator
from llmops_sdk.tracing.decorators._plan import Plan
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active, _runtime

__all__ = ["TracedFunction", "trace"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_F = TypeVar("_F", bound=Callable[..., Any])


class _BoundTracedFunction(wrapt.BoundFunctionWrapper[..., Any]):
    """A traced method of an instance or a class; it pickles as the methods of Python do."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By its owner and its name."""
        method = cast("Any", self)
        return getattr, (method.__self__, method.__name__)


class TracedFunction(wrapt.FunctionWrapper[..., Any]):
    """A traced callable that is no plain function. It has all that the object inside has, and binds like it."""

    __bound_function_wrapper__ = _BoundTracedFunction

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By its name, as functions pickle."""
        return cast("Any", self).__wrapped__.__qualname__

    def __copy__(self) -> TracedFunction:
        """Itself, as functions copy."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TracedFunction:
        """Itself, as functions copy."""
        return self


# The four ways to call. Each is made for a function that is decorated, and at each call of what wrapt holds. They reach
# the context by its module and not by a name of their own, so that a notebook's function can be pickled by value.


def _call(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        runtime = _runtime.current or _runtime.start()
        if not runtime.enabled:
            return function(*args, **kwargs)
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        # A signal's handler may raise between any two steps, but for calls of C: so the variable is set inside the try
        # and put back by a call of C, by value where the handler came before the token was kept.
        token: _active.ContextToken | None = None
        try:
            inner = context.copy()
            inner[_active.SPAN_KEY] = span
            token = _active.attach(inner)
            result = function(*args, **kwargs)
        except BaseException as error:
            if token is None:
                _active.attach(context)
            else:
                _active.reset(token)
            span.fail(error)
            raise
        _active.reset(token)
        kept = result if plan.show_output is None else plan.shown(span, result)
        span.return_result(kept, plan.capture_output)
        return result

    return call


def _coroutine(plan: Plan, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        runtime = _runtime.current or _runtime.start()
        if not runtime.enabled:
            return await function(*args, **kwargs)
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        token: _active.ContextToken | None = None
        try:
            inner = context.copy()
            inner[_active.SPAN_KEY] = span
            token = _active.attach(inner)
            result = await function(*args, **kwargs)
        except BaseException as error:
            if token is None:
                _active.attach(context)
            else:
                _active.detach(token)
            span.fail(error)
            raise
        _active.detach(token)
        kept = result if plan.show_output is None else plan.shown(span, result)
        span.return_result(kept, plan.capture_output)
        return result

    return call


_WAYS: dict[str, Callable[[Plan, Callable[..., Any]], Callable[..., Any]]] = {
    "function": _call,
    "coroutine": _coroutine,
    "generator": trace_generator,
    "asyncgen": trace_async_generator,
}


@overload
def trace(function: Callable[_P, _R], /) -> Callable[_P, _R]: ...


@overload
def trace(
    name: str | None = None,
    *,
    kind: str = "chain",
    capture_input: bool | Callable[..., object] = True,
    capture_output: bool | Callable[[Any], object] = True,
    ignore: Iterable[str] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Callable[[_F], _F]: ...


def trace(
    name: Any = None,
    *,
    kind: str = "chain",
    capture_input: bool | Callable[..., object] = True,
    capture_output: bool | Callable[[Any], object] = True,
    ignore: Iterable[str] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Any:
    """Record every call of a function as a span: arguments, result, duration, exception.

    It goes on functions, coroutines, generators, async generators, methods, classmethods and staticmethods (above or
    below their decorator), partials and callable objects. The call's result, exception, task and context are those
    of the undecorated function.

    Args:
        name: The span's name; by default the function's qualified name.
        kind: What it is: chain, agent, tool, retriever, llm, embedding, reranker, guardrail or evaluator.
        capture_input: Keep the arguments; or a function that is given them, without `self` and `cls`, and returns
            what is kept.
        capture_output: Keep the result; or a function that is given it and returns what is kept.
        ignore: Names of parameters that are not kept.
        attributes: Attributes of every span.

    Raises:
        TypeError: `ignore` is a bare string, or what is decorated cannot be called.
        ValueError: The kind is not known.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.trace(kind="tool", ignore=["token"])
        ... def add(a: int, b: int, token: str) -> int:
        ...     return a + b
        >>> add(1, 2, token="not kept")
        3
    """
    if isinstance(ignore, (str, bytes)):
        raise TypeError(f"ignore={ignore!r} is a string: give a list of parameter names, as in ignore=[{ignore!r}]")
    if kind not in _semconv.KINDS:
        raise ValueError(f"kind={kind!r} is not known: use one of {', '.join(_semconv.KINDS)}")
    if name is not None and not isinstance(name, str):
        return _decorate(name, None, kind, capture_input, capture_output, frozenset(ignore), attributes)

    def decorate(function: _F) -> _F:
        return cast("_F", _decorate(function, name, kind, capture_input, capture_output, frozenset(ignore), attributes))

    return decorate


def _decorate(
    function: Any,
    name: str | None,
    kind: str,
    capture_input: bool | Callable[..., object],
    capture_output: bool | Callable[[Any], object],
    ignore: frozenset[str],
    attributes: Mapping[str, Any] | None,
) -> Any:
    if not (callable(cast("object", function)) or type(function) in {classmethod, staticmethod}):
        raise TypeError(f"@trace goes on something that can be called, not on {type(function).__name__}")
    if isinstance(function, type):
        raise TypeError(f"@trace goes on functions and methods; decorate the methods of {function.__name__} instead")
    options = (name, kind, capture_input, capture_output, ignore, attributes)
    if type(function) is types.FunctionType:
        return _traced(function, options, Binding.of(function) or False)
    if type(function) in {classmethod, staticmethod, types.MethodType}:
        inner = function.__func__
        if type(inner) is types.FunctionType:
            traced = _traced(inner, options, type(function) is not staticmethod)
            return (
                types.MethodType(traced, function.__self__) if hasattr(function, "__self__") else type(function)(traced)
            )
    return TracedFunction(function, _for_wrapt(function, options))


def _traced(function: Any, options: tuple[Any, ...], bound: bool | Binding) -> Any:
    """A function around a function: it binds, pickles, copies and is inspected as any other."""
    plan = Plan(function, *options)
    plan.bound = bound or function.__name__ == "__new__"  # a staticmethod that is given its class all the same
    wrapper: Any = functools.wraps(function)(_WAYS[kind_of(function)](plan, function))
    # Only to be looked at: the wrapper takes whatever comes, and the function inside fills in what is missing.
    wrapper.__defaults__, wrapper.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    with Caught():  # of one that has none, whoever asks the wrapper for its own is told so
        wrapper.__signature__ = inspect.signature(function)
    plan.wrapper = wrapper
    return wrapper


def _for_wrapt(function: Any, options: tuple[Any, ...]) -> Callable[..., Any]:
    plan, of_method = Plan(function, *options), Plan(function, *options)
    of_method.given = True
    way = _WAYS[kind_of(getattr(function, "__func__", function))]

    def call(wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return way(plan if instance is None else of_method, wrapped)(*args, **kwargs)

    return call
