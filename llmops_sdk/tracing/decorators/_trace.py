"""Define `@llmops.trace`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast, overload

import wrapt

from llmops_sdk._util._callables import call_style_of
from llmops_sdk._util._guard import Caught
from llmops_sdk.tracing.decorators._binding import Binding
from llmops_sdk.tracing.decorators._generators import trace_async_generator, trace_generator
from llmops_sdk.tracing.decorators._plan import CallPlan
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active, _runtime

__all__ = ["TracedFunction", "trace"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_F = TypeVar("_F", bound=Callable[..., Any])


class _BoundTracedFunction(wrapt.BoundFunctionWrapper[..., Any]):
    """A traced method of an instance or a class; it pickles like Python's methods."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        method = cast("Any", self)
        return getattr, (method.__self__, method.__name__)


class TracedFunction(wrapt.FunctionWrapper[..., Any]):
    """A traced callable other than a plain function; it has the wrapped object's attributes and binds like it."""

    __bound_function_wrapper__ = _BoundTracedFunction

    def __reduce_ex__(self, protocol: Any) -> Any:
        return cast("Any", self).__wrapped__.__qualname__

    def __copy__(self) -> TracedFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TracedFunction:
        return self


# The wrappers of the four call styles. They use the context through its module, not through an imported name, so that a
# notebook's function can be pickled by value.


def _call(plan: CallPlan, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        runtime = _runtime.current or _runtime.start()
        if not runtime.enabled:
            return function(*args, **kwargs)
        context = _active.get()
        span = plan.start(runtime, context, args, kwargs)
        # A signal handler may raise between any two steps outside of C. So set the variable inside the try, and restore
        # it by a call of C; without a token if the handler raised before the assignment.
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
        kept = result if plan.output_filter is None else plan.captured_result(span, result)
        span.return_result(kept, plan.capture_output)
        return result

    return call


def _coroutine(plan: CallPlan, function: Callable[..., Any]) -> Callable[..., Any]:
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
        kept = result if plan.output_filter is None else plan.captured_result(span, result)
        span.return_result(kept, plan.capture_output)
        return result

    return call


_WRAPPERS: dict[str, Callable[[CallPlan, Callable[..., Any]], Callable[..., Any]]] = {
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

    Decorate functions, coroutines, generators, async generators, methods, classmethods and staticmethods (above or
    below their decorator), partials and callable objects. Result, exception, task and context stay those of the
    undecorated function.

    Args:
        name: The span's name; by default the function's qualified name.
        kind: The span's kind: chain, agent, tool, retriever, llm, embedding, reranker, guardrail or evaluator.
        capture_input: Whether to capture the arguments, or a function that takes them, without `self` and `cls`,
            and returns what to capture.
        capture_output: Whether to capture the result, or a function that takes it and returns what to capture.
        ignore: Names of parameters to leave out.
        attributes: Attributes to set on each span.

    Raises:
        TypeError: `ignore` is a bare string, or the decorated object is not callable.
        ValueError: The kind is unknown.

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
        raise ValueError(f"kind={kind!r} is unknown: use one of {', '.join(_semconv.KINDS)}")
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
        raise TypeError(f"@trace expects a callable, got {type(function).__name__}")
    if isinstance(function, type):
        raise TypeError(
            f"@trace expects a function or method, not a class: decorate the methods of {function.__name__} instead"
        )
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


def _traced(function: Any, options: tuple[Any, ...], takes_receiver: bool | Binding) -> Any:
    """Wrap a function in a function, which binds, pickles, copies and is inspected like any other."""
    plan = CallPlan(function, *options)
    plan.takes_receiver = (
        takes_receiver or function.__name__ == "__new__"
    )  # a staticmethod that is given its class all the same
    wrapper: Any = functools.wraps(function)(_WRAPPERS[call_style_of(function)](plan, function))
    # Only for inspection: the wrapper passes all arguments on, and the function inside applies its own defaults.
    wrapper.__defaults__, wrapper.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    with Caught():  # without a signature, leave it unset, so that inspect.signature raises as usual
        wrapper.__signature__ = inspect.signature(function)
    plan.wrapper = wrapper
    return wrapper


def _for_wrapt(function: Any, options: tuple[Any, ...]) -> Callable[..., Any]:
    plan, bound_plan = CallPlan(function, *options), CallPlan(function, *options)
    bound_plan.receiver_bound = True
    wrap = _WRAPPERS[call_style_of(getattr(function, "__func__", function))]

    def call(wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return wrap(plan if instance is None else bound_plan, wrapped)(*args, **kwargs)

    return call
