"""The span of one call to a model: what is known when it starts, and what is known when it ends."""

from __future__ import annotations

import time
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, closing
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias, TypeVar, cast

from llmops_sdk._util._guard import guarded
from llmops_sdk.client._request_attributes import request_attributes, vendor_attributes
from llmops_sdk.errors import ProviderError, ValidationFailedError
from llmops_sdk.export.metrics import _chunk_times as _pace
from llmops_sdk.providers import (
    Chunk,
    Embeddings,
    Request,
    Response,
    Usage,
    WrapperProvider,
)
from llmops_sdk.providers._genai import input_messages_json, output_messages_json, tool_definitions_json
from llmops_sdk.providers._types import model_name
from llmops_sdk.tracing import Span, current_span, start_span
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active

__all__ = ["Record", "SpentProvider", "Subject"]

# Models that run in this process: their spans are internal, and what they say is simulated.
_IN_PROCESS = frozenset({"offline"})


Server: TypeAlias = tuple[str, int]
"""An address and a port."""


def _nothing() -> dict[Any, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a call's span is about.

    Attributes:
        operation: "chat" or "embeddings".
        model: Provider and model, as in "openai/gpt-4.1-mini".
        provider: The provider's name in the GenAI conventions.
        params: The standard parameters set.
        extra: The vendor's own parameters.
        server: The address and port that the request goes to, or None when they are not known.
        fallback_servers: Those of the models to go on to, by provider and model.
        streaming: Whether the answer comes in pieces.
        structured: Whether a type was asked for.
        content: Whether prompts and answers are kept.
        prompt_name: The prompt function's name, or None.
        prompt_span: The span of that function when its input shall be what the guards let through, or None.
    """

    operation: str
    model: str
    provider: str
    params: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=_nothing)
    server: Server | None = None
    fallback_servers: Mapping[tuple[str, str], Server | None] = field(default_factory=_nothing)
    streaming: bool = False
    structured: bool = False
    content: bool = True
    prompt_name: str | None = None
    prompt_span: Span | None = None

    def start(self) -> Span:
        """Start the span, a child of the current one."""
        request_model = model_name(self.model)
        attributes: dict[str, Any] = {
            _semconv.OPERATION: self.operation,
            _semconv.PROVIDER: self.provider,
            _semconv.REQUEST_MODEL: request_model,
        }
        if self.streaming:
            attributes[_semconv.REQUEST_STREAM] = True
        attributes |= request_attributes(self.params, self.extra, provider=self.provider, structured=self.structured)
        if self.server is not None:
            attributes[_semconv.SERVER_ADDRESS], attributes[_semconv.SERVER_PORT] = self.server
        stamp = _active.get().get(_active.STAMP_KEY)
        if self.prompt_name and getattr(stamp, "prompt_name", None) is None:
            # The name that the application gave with `llmops.context(prompt=...)` goes before the function's.
            attributes[_semconv.PROMPT_NAME] = self.prompt_name
        in_process = self.provider in _IN_PROCESS
        if in_process:
            attributes[_semconv.SIMULATED] = True
        return start_span(
            f"{self.operation} {request_model}",
            kind="embedding" if self.operation == "embeddings" else "llm",
            otel_kind="internal" if in_process else "client",
            attributes=attributes,
        )


class Record:
    """Starts the span of a call, and writes into it what became of the call.

    As a context manager the span is the current one inside, and ends with the block, with its error if there is one.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.span = subject.start()
        self._began = time.perf_counter()
        self._active: AbstractContextManager[object] | None = None
        measured = subject.streaming and self.span.recording and _pace.wanted()
        self._times: array[float] | None = array("d") if measured else None

    def __enter__(self) -> Self:
        """Make the span current."""
        self._active = self.span.activate()
        self._active.__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End the span."""
        if self._active is not None:
            self._active.__exit__(None, None, None)
        if error is None:
            self.span.end()
        else:
            self.fail(error)

    def sent(self, request: Request) -> None:
        """Keep the messages as they leave the input guards."""
        if self.subject.content:
            guarded("recording a prompt", None, self._sent, request)

    def _sent(self, request: Request) -> None:
        if self.span.recording:
            self.span.set({_semconv.INPUT_MESSAGES: input_messages_json(request)})
            if request.tools:
                self.span.set({_semconv.TOOL_DEFINITIONS: tool_definitions_json(request.tools)})
        if self.subject.prompt_span is not None:
            self.subject.prompt_span.input = list(request.messages)

    def sent_texts(self, texts: Sequence[str]) -> None:
        """Keep the texts to embed as they leave the input guards."""
        if self.subject.content:
            self.span.input = list(texts)

    def answered(self, response: Response) -> Response:
        """Keep what is known of the answer, and give the response the span's ids."""
        if not self.span.recording:
            return response
        guarded("recording an answer", None, self._answered, response)
        return replace(response, trace_id=self.span.trace_id, span_id=self.span.span_id)

    def _answered(self, response: Response) -> None:
        attributes = _spent(response.usage, response.cost)
        if response.attempts or response.cache or response.finish_reason:
            # A stream that was left early has not told its attempts yet: unknown, not zero.
            attributes[_semconv.ATTEMPTS] = len(response.attempts)
        if response.model:
            attributes[_semconv.RESPONSE_MODEL] = response.model
        if response.provider and response.provider != self.subject.provider:
            # After a fallback: the one that served, and not the one that was asked first.
            attributes[_semconv.PROVIDER] = response.provider
            attributes[_semconv.SIMULATED] = False
        if response.attempts:
            self._served_by((response.attempts[-1].provider, response.attempts[-1].model))
        attributes |= vendor_attributes(response.raw, response.provider)
        if response.response_id:
            attributes[_semconv.RESPONSE_ID] = response.response_id
        if response.finish_reason:
            attributes[_semconv.FINISH_REASONS] = [response.finish_reason]
        if response.cache:
            attributes[_semconv.CACHE] = response.cache
        if response.saved_cost is not None:
            attributes[_semconv.SAVED_COST] = response.saved_cost
        if response.simulated:
            attributes[_semconv.SIMULATED] = True
        if self.subject.content and (response.text or response.tool_calls or response.finish_reason):
            attributes[_semconv.OUTPUT_MESSAGES] = output_messages_json(response)
        self.span.set(attributes)

    def _served_by(self, model: tuple[str, str]) -> None:
        """After a fallback: the server is that of the model that answered, or none."""
        if model not in self.subject.fallback_servers:
            return
        server = self.subject.fallback_servers[model]
        if server is not None:
            self.span.set({_semconv.SERVER_ADDRESS: server[0], _semconv.SERVER_PORT: server[1]})
            return
        for name in (_semconv.SERVER_ADDRESS, _semconv.SERVER_PORT):
            self.span.remove_attribute(name)

    def embedded(self, made: Embeddings) -> None:
        """Keep what is known of the vectors."""
        attributes: dict[str, Any] = {**_spent(made.usage, made.cost), _semconv.RESPONSE_MODEL: made.model}
        if made.vectors:
            attributes[_semconv.EMBEDDING_DIMENSIONS] = len(made.vectors[0])
        if made.simulated:
            attributes[_semconv.SIMULATED] = True
        self.span.set(attributes)

    def chunk_came(self) -> None:
        """Note the time at which a chunk came, where metrics want it."""
        if self._times is not None:
            self._times.append(time.perf_counter())

    def end(self, status: str) -> None:
        """End the span of a stream."""
        self._keep_times()
        self.span.end(status=status)

    def _keep_times(self) -> None:
        if self._times:
            _pace.keep(self.span.span_number, self._times)
            self._times = None

    def first_chunk(self, chunk: Chunk) -> bool:
        """Note the time until the first chunk that has something in it; whether this is one."""
        if not (chunk.text or chunk.tool_calls or chunk.reasoning):
            return False
        vendor = vendor_attributes(chunk.raw, chunk.provider or "")
        self.span.set({_semconv.TIME_TO_FIRST_CHUNK: time.perf_counter() - self._began, **vendor})
        return True

    def fail(self, error: BaseException) -> None:
        """End the span with the error that the caller gets."""
        self._keep_times()
        if isinstance(error, ValidationFailedError) and isinstance(error.response, Response):
            error.response = self.answered(error.response)
        elif isinstance(error, ProviderError):
            self.span.set({_semconv.ATTEMPTS: len(error.attempts)})
        self.span.fail(error)


class SpentProvider(WrapperProvider):
    """Puts on the current span what an answer cost before the guards outside see it: they may block what was paid."""

    def complete(self, request: Request) -> Response:
        """The whole answer."""
        return _told(self.inner.complete(request))

    async def acomplete(self, request: Request) -> Response:
        """The whole answer, async."""
        return _told(await self.inner.acomplete(request))

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answer in pieces."""
        with closing(cast("Generator[Chunk]", self.inner.stream(request))) as chunks:
            for chunk in chunks:
                yield _told(chunk)

    async def astream(self, request: Request) -> AsyncIterator[Chunk]:
        """The answer in pieces, async."""
        async with aclosing(cast("AsyncGenerator[Chunk]", self.inner.astream(request))) as chunks:
            async for chunk in chunks:
                yield _told(chunk)


_Told = TypeVar("_Told", Response, Chunk)


def _told(answer: _Told) -> _Told:
    if answer.usage is not None:
        attributes = _spent(answer.usage, answer.cost)
        if answer.attempts:
            attributes[_semconv.ATTEMPTS] = len(answer.attempts)
        if answer.model:
            attributes[_semconv.RESPONSE_MODEL] = answer.model
        guarded("recording a cost", None, current_span().set, attributes)
    return answer


def _spent(usage: Usage, cost: float | None) -> dict[str, Any]:
    # No tokens at all means that nobody counted them: unknown, not zero.
    if not usage.input_tokens and not usage.output_tokens:
        return {} if cost is None else {_semconv.COST: cost}
    spent: dict[str, Any] = {
        _semconv.INPUT_TOKENS: usage.input_tokens,
        _semconv.OUTPUT_TOKENS: usage.output_tokens,
    }
    if usage.cache_read_tokens:
        spent[_semconv.CACHE_READ_TOKENS] = usage.cache_read_tokens
    if usage.cache_creation_tokens:
        spent[_semconv.CACHE_CREATION_TOKENS] = usage.cache_creation_tokens
    if usage.reasoning_tokens:
        spent[_semconv.REASONING_TOKENS] = usage.reasoning_tokens
    if cost is not None:
        spent[_semconv.COST] = cost
    return spent
