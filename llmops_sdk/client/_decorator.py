"""`@llmops.llm`: turn a function that returns a prompt into one that returns the answer."""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from llmops_sdk._util._callables import call_style_of
from llmops_sdk.client import _call
from llmops_sdk.client._call import PromptSource
from llmops_sdk.client._functions import DEFAULT
from llmops_sdk.client._options import Prompt, PromptOptions, checked_options, with_full_signature
from llmops_sdk.client._stages import Stages
from llmops_sdk.client._stream import AsyncStream, Stream, StreamState
from llmops_sdk.providers import Response
from llmops_sdk.tracing import Span, start_span
from llmops_sdk.tracing.capture._arguments import Parameters
from llmops_sdk.tracing.decorators._trace import TracedFunction

__all__ = ["llm", "prompt_options"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class AnswerDecorator(Protocol[_T_co]):
    """The type of `@llm(...)`: the answer in place of the prompt, async for an async function."""

    @overload
    def __call__(self, function: Callable[_P, Awaitable[Prompt]], /) -> Callable[_P, Coroutine[Any, Any, _T_co]]: ...
    @overload
    def __call__(self, function: Callable[_P, Prompt], /) -> Callable[_P, _T_co]: ...


class StreamDecorator(Protocol):
    """The type of `@llm(stream=True)`: a stream in place of the prompt, an async one for an async function."""

    @overload
    def __call__(self, function: Callable[_P, Awaitable[Prompt]], /) -> Callable[_P, AsyncStream]: ...
    @overload
    def __call__(self, function: Callable[_P, Prompt], /) -> Callable[_P, Stream]: ...


@overload
def llm(function: Callable[_P, Awaitable[Prompt]], /) -> Callable[_P, Coroutine[Any, Any, str]]: ...
@overload
def llm(function: Callable[_P, Prompt], /) -> Callable[_P, str]: ...
@overload
def llm(
    model: str | None = None, *, stream: Literal[True], returns: Any = ..., **options: Unpack[PromptOptions]
) -> StreamDecorator: ...
@overload
def llm(
    model: str | None = None, *, returns: type[_T], stream: Literal[False] = ..., **options: Unpack[PromptOptions]
) -> AnswerDecorator[_T]: ...
@overload
def llm(
    model: str | None = None, *, stream: Literal[False] = ..., **options: Unpack[PromptOptions]
) -> AnswerDecorator[str]: ...


@with_full_signature(PromptOptions)
def llm(model: Any = None, *, returns: Any = str, stream: bool = False, **options: Any) -> Any:
    """Make a prompt function: its body returns the prompt, and its caller gets the answer.

    It decorates functions, coroutines, methods, classmethods and staticmethods, above or below their decorator. Each
    call is a span with the function's name, and the call to the model is a span below it. With guards on the input,
    the function's span has the checked prompt in place of the arguments.

    Args:
        model: As in `chat`.
        returns: `str` for the text, `Response` for the whole, or a type for the validated object: a pydantic model,
            dataclass, TypedDict, or another one, as `list[int]` (an answer that is not valid is asked for again with
            the error, twice at most).
        stream: Whether the caller gets a `Stream` (of an async function an `AsyncStream`).
        options: The other keyword parameters of `chat`.

    Raises:
        TypeError: A parameter is unknown, or the decorated object is not a function that returns a prompt.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.llm("offline/echo", temperature=0)
        ... def greet(name: str) -> str:
        ...     return f"Say hello to {name}"
        >>> greet("Ada")
        'Say hello to Ada'
    """
    if model is None or isinstance(model, str):
        chosen = checked_options("llm", options, PromptOptions, more=("model", "returns", "stream"))
        if model is not None:
            chosen["model"] = model
        if returns is not str and returns is not Response:
            chosen["response_model"] = returns
        return functools.partial(_decorate, options=chosen, returns=returns, stream=stream)
    return _decorate(model, options={}, returns=str, stream=False)


def _decorate(function: Any, *, options: dict[str, Any], returns: Any, stream: bool) -> Any:
    plain: Any = getattr(function, "__func__", function)
    if not callable(plain) or inspect.isclass(plain):
        raise TypeError(f"@llm expects a function that returns a prompt, got {function!r}")
    style = call_style_of(plain)
    name = getattr(plain, "__qualname__", None) or type(plain).__qualname__
    if style in ("generator", "asyncgen"):
        raise TypeError(f"@llm: {name} yields, but must return the prompt; for a streamed answer use @llm(stream=True)")
    prompt_function = _PromptFunction(
        name=name, options=options, returns=returns, parameters=Parameters(inspect.unwrap(plain))
    )
    if style == "coroutine":
        run = prompt_function.astream if stream else prompt_function.acall
    else:
        run = prompt_function.stream if stream else prompt_function.call
    return TracedFunction(function, cast("Any", run))


def prompt_options(function: object) -> dict[str, Any] | None:
    """Return what a prompt function was decorated with: the options, and what it returns; None for anything else.

    Args:
        function: Any object.
    """
    run = getattr(function, "_self_wrapper", None) if isinstance(function, TracedFunction) else None
    owner = getattr(run, "__self__", None)
    return {**owner.options, "returns": owner.returns} if isinstance(owner, _PromptFunction) else None


_Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _PromptFunction:
    """A decorated function's name and options, and the four ways to call it."""

    name: str
    options: dict[str, Any]
    returns: Any
    parameters: Parameters

    def call(self, function: Callable[..., Prompt], instance: object, args: _Arguments, kwargs: dict[str, Any]) -> Any:
        with _FunctionSpan(self.name) as span, DEFAULT.lease() as stages:
            source = self._source(stages, span, instance, args, kwargs)
            prompt = function(*args, **kwargs)
            call = _call.prepare(stages, prompt, self.options, source=source)
            return self._answer(_call.complete(call, _output_of(span)))

    async def acall(
        self, function: Callable[..., Awaitable[Prompt]], instance: object, args: _Arguments, kwargs: dict[str, Any]
    ) -> Any:
        with _FunctionSpan(self.name) as span, DEFAULT.lease() as stages:
            source = self._source(stages, span, instance, args, kwargs)
            prompt = await function(*args, **kwargs)
            call = _call.prepare(stages, prompt, self.options, source=source)
            return self._answer(await _call.acomplete(call, _output_of(span)))

    def stream(
        self, function: Callable[..., Prompt], instance: object, args: _Arguments, kwargs: dict[str, Any]
    ) -> Stream:
        with _FunctionSpan(self.name, ends=False) as span, DEFAULT.lease() as stages:
            source = self._source(stages, span, instance, args, kwargs)
            return Stream(self._open_stream(function(*args, **kwargs), source))

    def astream(
        self, function: Callable[..., Awaitable[Prompt]], instance: object, args: _Arguments, kwargs: dict[str, Any]
    ) -> AsyncStream:
        context = contextvars.copy_context()

        async def open_stream() -> StreamState:
            # The function's span is a child of the span that is current at the call, as for a sync function.
            with context.run(_FunctionSpan, self.name, ends=False) as span, DEFAULT.lease() as stages:
                source = self._source(stages, span, instance, args, kwargs)
                return self._open_stream(await function(*args, **kwargs), source)

        return AsyncStream(open_stream=open_stream)

    def _source(
        self, stages: Stages, span: Span, instance: object, args: _Arguments, kwargs: dict[str, Any]
    ) -> PromptSource:
        # Arguments are recorded only where no guard would have to check them first.
        unguarded = not _call.input_guards(stages, self.options)
        if unguarded:
            span.capture_arguments(self.parameters, instance is not None, args, kwargs)
        return PromptSource(name=self.name, span=span, has_arguments=unguarded)

    def _open_stream(self, prompt: object, source: PromptSource) -> StreamState:
        span = source.span

        def on_end(status: str, response: Response | None, error: BaseException | None) -> None:
            if response is not None:
                span.output = _span_output(response)
            if error is not None:
                span.fail(error)
            else:
                span.end(status=status)

        return DEFAULT.open_stream(prompt, self.options, source=source, on_end=on_end)

    def _answer(self, response: Response) -> Any:
        if self.returns is Response:
            return response
        return response.text or response.refusal if self.returns is str else response.parsed


def _output_of(span: Span) -> Callable[[Response], None]:
    def keep(response: Response) -> None:
        span.output = _span_output(response)

    return keep


def _span_output(response: Response) -> object:
    if response.parsed is not None:
        return response.parsed
    return response.message if response.tool_calls else response.text or response.refusal


class _FunctionSpan:
    """The span of a prompt function, current inside; it ends with the block, or only with an error if not `ends`."""

    __slots__ = ("_active", "_ends", "span")

    def __init__(self, name: str, *, ends: bool = True) -> None:
        self.span = start_span(name, kind="chain")
        self._ends = ends
        self._active = self.span.activate()

    def __enter__(self) -> Span:
        self._active.__enter__()
        return self.span

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._active.__exit__(None, None, None)
        if error is not None:
            self.span.fail(error)
        elif self._ends:
            self.span.end()
