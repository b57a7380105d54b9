"""`@llmops.trace`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast, overload

import wrapt

from llmops_sdk._util._callables import kind_of
from llmops_sdk.tracing import _active, _runtime, _semconv
from llmops_sdk.tracing._begin import begin
from llmops_sdk.tracing._capture import Parameters
from llmops_sdk.tracing._span import Span

__all__ = ["TracedFunction", "trace"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_F = TypeVar("_F", bound=Callable[..., Any])

_JOINED_ITEMS = 1_000


class _Plan:
    """What is known of a traced callable before it is called."""

    __slots__ = (
        "attributes",
        "capture_input",
        "capture_output",
        "kind",
        "name",
        "parameters",
    )

    def __init__(
        self,
        function: object,
        name: str | None,
        kind: str,
        capture_input: bool,
        capture_output: bool,
        ignore: frozenset[str],
        attributes: Mapping[str, Any] | None,
    ) -> None:
        plain = inspect.unwrap(cast("Any", getattr(function, "__func__", function)))
        self.name: str = name or getattr(plain, "__qualname__", None) or type(plain).__qualname__
        self.kind = kind
        self.capture_input = capture_input
        self.capture_output = capture_output
        self.attributes = dict(attributes) if attributes else None
        self.parameters = Parameters(plain, ignore)

    def start(
        self,
        runtime: _runtime.Runtime,
        context: _active.Context,
        instance: object,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> Span:
        """The span of one call, its arguments taken."""
        span = begin(runtime, context, self.name, self.kind)
        if span.recording:
            if self.capture_input:
                span._take_arguments(self.parameters, instance is not None, args, kwargs)  # pyright: ignore[reportPrivateUsage] - a friend
            if self.attributes is not None:
                span.set_attributes(self.attributes)
        return span

    def finish(self, span: Span, result: object) -> None:
        """End the span of a call that returned."""
        if span.recording:
            if self.capture_output:
                span.output = result
            span.end()


class _BoundTracedFunction(wrapt.BoundFunctionWrapper[..., Any]):
    """A traced method of an instance or a class; it pickles as the methods of Python do."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """By its owner and its name."""
        method = cast("Any", self)
        return getattr, (method.__self__, method.__name__)


class TracedFunction(wrapt.FunctionWrapper[..., Any]):
    """A traced callable. It binds like the function inside; a copy or a pickle of it is that function's."""

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


def _trace_call(plan: _Plan) -> Callable[..., Any]:
    span_key = _active.SPAN_KEY
    make_context = _active.Context
    get, attach, reset = _active.get, _active.attach, _active.reset

    def call(wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        runtime = _runtime.current or _runtime.start()
        if not runtime.enabled:
            return wrapped(*args, **kwargs)
        context = get()
        span = plan.start(runtime, context, instance, args, kwargs)
        # A signal's handler may raise between any two steps, but for calls of C: so the variable is set inside the try
        # and put back by a call of C, by value where the handler came before the token was kept.
        token: _active.ContextToken | None = None
        try:
            token = attach(make_context({**context, span_key: span}))
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            if token is None:
                attach(context)
            else:
                reset(token)
            span.fail(error)
            raise
        reset(token)
        plan.finish(span, result)
        return result

    return call


def _trace_coroutine(plan: _Plan) -> Callable[..., Any]:
    async def run(wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        runtime = _runtime.current or _runtime.start()
        if not runtime.enabled:
            return await wrapped(*args, **kwargs)
        context = _active.get()
        span = plan.start(runtime, context, instance, args, kwargs)
        token: _active.ContextToken | None = None
        try:
            token = _active.attach(_active.Context({**context, _active.SPAN_KEY: span}))
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            if token is None:
                _active.attach(context)
            else:
                _active.detach(token)
            span.fail(error)
            raise
        _active.detach(token)
        plan.finish(span, result)
        return result

    return run


class _Joined:
    """What a generator yielded, for its span's output: the items, or one text when all are text."""

    __slots__ = ("count", "items")

    def __init__(self) -> None:
        self.items: list[object] = []
        self.count = 0

    def add(self, item: object) -> None:
        self.count += 1
        if len(self.items) < _JOINED_ITEMS:
            self.items.append(item)

    def output(self) -> object:
        if self.items and all(type(item) is str for item in self.items):
            return "".join(cast("list[str]", self.items))
        return self.items


def _end_stream(plan: _Plan, span: Span, joined: _Joined, error: BaseException | None) -> None:
    if not span.recording:
        return
    if plan.capture_output:
        span.output = joined.output()
    span.set_attribute("llmops.stream.items", joined.count)
    if error is None:
        span.end()
    else:
        span.fail(error)


def _trace_generator(plan: _Plan) -> Callable[..., Any]:
    def run(
        wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Generator[Any, Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator = wrapped(*args, **kwargs)
        if not runtime.enabled:
            return cast("Any", (yield from generator))
        # The span begins with the first next(), as the body does, and is current only while the body runs.
        span = plan.start(runtime, _active.get(), instance, args, kwargs)
        joined = _Joined()
        step: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with _active.Activation(span):
                    item = step()
                joined.add(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with _active.Activation(span):
                        generator.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - it is thrown into the body, whose it is
                    step = functools.partial(generator.throw, thrown)
                else:
                    step = functools.partial(generator.send, sent)
        except StopIteration as stop:
            _end_stream(plan, span, joined, None)
            return stop.value
        except BaseException as error:
            _end_stream(plan, span, joined, error)
            raise

    return run


def _trace_async_generator(plan: _Plan) -> Callable[..., Any]:
    async def run(
        wrapped: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AsyncGenerator[Any, Any]:
        runtime = _runtime.current or _runtime.start()
        generator: AsyncGenerator[Any, Any] = wrapped(*args, **kwargs)
        span = plan.start(runtime, _active.get(), instance, args, kwargs)
        joined = _Joined()
        step: Callable[[], Any] = generator.__anext__
        try:
            while True:
                # Awaited in the consumer's own task, so that its time-outs and cancellation reach the body.
                with _active.Activation(span):
                    item = await step()
                joined.add(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with _active.Activation(span):
                        await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - it is thrown into the body, whose it is
                    step = functools.partial(generator.athrow, thrown)
                else:
                    step = functools.partial(generator.asend, sent)
        except StopAsyncIteration:
            _end_stream(plan, span, joined, None)
        except BaseException as error:
            _end_stream(plan, span, joined, error)
            raise

    return run


_WRAPPERS = {
    "function": _trace_call,
    "coroutine": _trace_coroutine,
    "generator": _trace_generator,
    "asyncgen": _trace_async_generator,
}


@overload
def trace(function: Callable[_P, _R], /) -> Callable[_P, _R]: ...


@overload
def trace(
    name: str | None = None,
    *,
    kind: str = "chain",
    capture_input: bool = True,
    capture_output: bool = True,
    ignore: Iterable[str] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Callable[[_F], _F]: ...


def trace(
    name: Any = None,
    *,
    kind: str = "chain",
    capture_input: bool = True,
    capture_output: bool = True,
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
        capture_input: Keep the arguments.
        capture_output: Keep the result.
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
    capture_input: bool,
    capture_output: bool,
    ignore: frozenset[str],
    attributes: Mapping[str, Any] | None,
) -> Any:
    if not (callable(cast("object", function)) or type(function) in {classmethod, staticmethod}):
        raise TypeError(f"@trace goes on something that can be called, not on {type(function).__name__}")
    if isinstance(function, type):
        raise TypeError(f"@trace goes on functions and methods; decorate the methods of {function.__name__} instead")
    plan = _Plan(function, name, kind, capture_input, capture_output, ignore, attributes)
    return TracedFunction(function, _WRAPPERS[kind_of(getattr(function, "__func__", function))](plan))
