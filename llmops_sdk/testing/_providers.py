"""Providers that answer, break and fail as a test scripts them."""

from __future__ import annotations

import copy
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias, cast

from llmops_sdk._util._public import public
from llmops_sdk.config import current
from llmops_sdk.config.loading._prices import configured_price
from llmops_sdk.errors import LLMOpsError, ProviderError, ScriptError, StreamInterruptedError
from llmops_sdk.providers import (
    Accumulator,
    Chunk,
    Embeddings,
    Provider,
    Request,
    Response,
    Usage,
    WrapperProvider,
    chunks_of,
    cost_of,
    count_messages,
    count_tokens,
)

__all__ = ["FailingProvider", "ScriptedProvider"]

_Error: TypeAlias = BaseException | type[BaseException]
_Piece: TypeAlias = str | Chunk | _Error
_Answer: TypeAlias = str | Response | Embeddings | _Error | Sequence[_Piece]
Entry: TypeAlias = _Answer | Callable[[Request], _Answer]
"""One call's answer in a script; see `ScriptedProvider`."""


@public("llmops_sdk.testing")
class ScriptedProvider(Provider):
    """Answers each call with the next entry of a list, and keeps the requests; a retry is a call of its own.

    It fills in what an entry leaves out: model, provider, finish reason, counted tokens, and the cost by `[prices]`.
    Every answer is marked as simulated. Whole and streamed calls, sync and async, from any thread, take from the one
    list.

    Args:
        script: The entries: a text; a `Response`, for tool calls and the like; an exception or its class, which is
            raised; a list of texts, `Chunk`s and exceptions, the pieces of a stream in this order; `Embeddings`; or a
            function that takes the request and returns one of these.
        repeat: Whether the list starts again at its end; otherwise a further call raises.
        name: The provider's name on spans and responses.

    Raises:
        ScriptError: At a call: the list has ended, or its entry does not fit the call.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import ScriptedProvider, use_provider
        >>> broken = llmops.ServerError("overloaded", status_code=503)
        >>> with use_provider(ScriptedProvider(["Hello.", ["Good ", "day."], broken])):
        ...     print(llmops.chat("one").text)
        ...     print([chunk.text for chunk in llmops.stream("two") if chunk.text])
        ...     try:
        ...         llmops.chat("three", retry=False)
        ...     except llmops.ServerError as error:
        ...         print(error.status_code)
        Hello.
        ['Good ', 'day.']
        503
    """

    def __init__(self, script: Sequence[Entry], *, repeat: bool = False, name: str = "scripted") -> None:
        if isinstance(script, str):
            raise TypeError(f"script={script!r} is a string: give a list, as in [{script!r}]")
        self._script = tuple(script)
        self._repeat = repeat
        self._name = name
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def requests(self) -> tuple[Request, ...]:
        """Return every request so far, as it left the guards, in order."""
        return tuple(self._requests)

    @property
    def remaining(self) -> int:
        """Return how many entries no call has taken yet."""
        return max(len(self._script) - len(self._requests), 0)

    def complete(self, request: Request) -> Response:
        entry = self._next(request)
        if isinstance(entry, Response):
            return entry
        whole = Accumulator()
        for piece in entry:
            if isinstance(piece, BaseException):
                raise piece
            whole.add(piece)
        return whole.response()

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        entry = self._next(request)
        whole = Accumulator()
        for piece in chunks_of(entry) if isinstance(entry, Response) else entry:
            if isinstance(piece, BaseException):
                if isinstance(piece, StreamInterruptedError) and piece.partial is None:
                    piece.partial = whole.response()
                raise piece
            whole.add(piece)
            yield piece

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        for chunk in self.stream(request):
            yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        entry, number = self._take(request)
        if isinstance(entry, Embeddings):
            if len(entry.vectors) != len(texts):
                vectors = len(entry.vectors)
                raise ScriptError(f"call {number} asks for {len(texts)} vectors; the script has {vectors} for it")
            usage = entry.usage if entry.usage != Usage() else Usage(input_tokens=sum(map(count_tokens, texts)))
            cost = _cost(request, usage) if entry.cost is None else entry.cost
            model, provider = entry.model or request.model_name, entry.provider or self._name
            return replace(entry, usage=usage, cost=cost, model=model, provider=provider, simulated=True)
        if _is_error(entry):
            raise _error(cast("_Error", entry), request, self._name)
        raise ScriptError(f"call {number} asks for vectors; the script has {_describe(entry)} for it: give Embeddings")

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        return self.embed(texts, request)

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def _take(self, request: Request) -> tuple[_Answer, int]:
        """Take the next entry, and return it with the number of the call."""
        with self._lock:
            self._requests.append(request)
            number, entries = len(self._requests), len(self._script)
        if number > entries and not (self._repeat and entries):
            raise ScriptError(
                f"call {number} comes after the end of the script, which has {entries}: add an answer, or set "
                "repeat=True (each retry takes one as well)"
            )
        entry = self._script[(number - 1) % entries]
        if callable(entry) and not _is_error(entry):
            entry = cast("Callable[[Request], _Answer]", entry)(request)
        return cast("_Answer", entry), number

    def _next(self, request: Request) -> Response | list[Chunk | BaseException]:
        """Return the next entry, filled in; a list for an entry in pieces and for an error."""
        entry, number = self._take(request)
        if _is_error(entry):
            return [_error(cast("_Error", entry), request, self._name)]
        if isinstance(entry, str):
            entry = Response(text=entry)
        if isinstance(entry, Response):
            return self._filled(entry, request)
        if isinstance(entry, list | tuple):
            return self._pieces(cast("Sequence[_Piece]", entry), request, number)
        raise ScriptError(f"call {number} asks for an answer; the script has {_describe(entry)} for it: give a text")

    def _filled(self, response: Response, request: Request) -> Response:
        usage = response.usage if response.usage != Usage() else _usage(request, response)
        return replace(
            response,
            usage=usage,
            cost=_cost(request, usage) if response.cost is None else response.cost,
            model=response.model or request.model_name,
            provider=response.provider or self._name,
            finish_reason=response.finish_reason or ("tool_calls" if response.tool_calls else "stop"),
            simulated=True,
        )

    def _pieces(self, pieces: Sequence[_Piece], request: Request, number: int) -> list[Chunk | BaseException]:
        made: list[Chunk | BaseException] = []
        whole = Accumulator()
        for piece in pieces:
            if _is_error(piece):
                return [*made, _error(cast("_Error", piece), request, self._name)]
            chunk = Chunk(text=piece) if isinstance(piece, str) else piece
            if not isinstance(chunk, Chunk):
                raise ScriptError(
                    f"call {number}: {_describe(chunk)} is not a piece of a stream: give texts and Chunks"
                )
            model, provider = chunk.model or request.model_name, chunk.provider or self._name
            cost = _cost(request, chunk.usage) if chunk.cost is None and chunk.usage is not None else chunk.cost
            chunk = replace(chunk, model=model, provider=provider, cost=cost, simulated=True)
            whole.add(chunk)
            made.append(chunk)
        so_far = whole.response()
        if so_far.finish_reason is None:
            last = self._filled(so_far, request)
            base = Chunk(model=last.model, provider=last.provider, simulated=True)
            made.append(replace(base, finish_reason=last.finish_reason, usage=last.usage, cost=last.cost))
        return made


@public("llmops_sdk.testing")
class FailingProvider(WrapperProvider):
    """Raises an error at each of its first calls, then lets another provider answer.

    Args:
        error: The exception, or its class. Each call raises a copy, with the model and provider of the call filled in.
        times: How many calls fail; None for all of them.
        then: The provider that answers afterwards, or the text of every answer.
        name: The provider's name on spans and errors.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import FailingProvider, use_provider
        >>> with use_provider(FailingProvider(llmops.ServerError, times=1)) as failing:
        ...     answer = llmops.chat("Hi", retry={"attempts": 2, "base": 0.001})
        >>> answer.text, [attempt.error_type for attempt in answer.attempts], failing.failures
        ('ok', ['ServerError', None], 1)
    """

    def __init__(
        self, error: _Error, *, times: int | None = None, then: str | Provider = "ok", name: str = "failing"
    ) -> None:
        if not _is_error(error):
            raise TypeError(f"error={error!r} is not an exception: give an exception or its class")
        super().__init__(ScriptedProvider([then], repeat=True, name=name) if isinstance(then, str) else then)
        self._error = error
        self._times = times
        self._name = name
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def server(self) -> None:
        return None

    @property
    def requests(self) -> tuple[Request, ...]:
        """Return every request so far, failed ones included, in order."""
        return tuple(self._requests)

    @property
    def failures(self) -> int:
        """Return how many calls have failed."""
        calls = len(self._requests)
        return calls if self._times is None else min(calls, self._times)

    def complete(self, request: Request) -> Response:
        self._fail(request)
        return self.inner.complete(request)

    async def acomplete(self, request: Request) -> Response:
        self._fail(request)
        return await self.inner.acomplete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        self._fail(request)
        yield from self.inner.stream(request)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        self._fail(request)
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            async for chunk in chunks:
                yield chunk

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self._fail(request)
        return self.inner.embed(texts, request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self._fail(request)
        return await self.inner.aembed(texts, request)

    def _fail(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)
            fails = self._times is None or len(self._requests) <= self._times
        if fails:
            raise _error(self._error, request, self._name)


def _is_error(entry: object) -> bool:
    return isinstance(entry, BaseException) or (isinstance(entry, type) and issubclass(entry, BaseException))


def _describe(entry: object) -> str:
    return f"{entry.__name__} itself" if isinstance(entry, type) else f"an object of type {type(entry).__name__}"


def _error(given: _Error, request: Request, name: str) -> BaseException:
    """Return the exception to raise: a new one for each call, as stages write their attempts onto it."""
    if isinstance(given, type):
        error = given(f"{request.model}: scripted {given.__name__}")
    elif isinstance(given, LLMOpsError):
        error = copy.copy(given)
        error.__cause__ = given.__cause__
    else:
        error = given.with_traceback(None)
    if isinstance(error, ProviderError):
        error.model = error.model or request.model
        error.provider = error.provider or name
    return error


def _cost(request: Request, usage: Usage) -> float | None:
    """Return the cost by the configured price of the model, or None without one."""
    price = configured_price(current().prices, [request.model])
    return None if price is None else cost_of(usage, price)


def _usage(request: Request, response: Response) -> Usage:
    spoken = [response.text, *(part for call in response.tool_calls for part in (call.name, call.arguments))]
    return Usage(input_tokens=count_messages(request.messages), output_tokens=sum(map(count_tokens, spoken)))
