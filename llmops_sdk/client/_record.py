"""Record one call to a model on its span: the request at the start, the answer at the end."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeAlias

from llmops_sdk._util._guard import guarded
from llmops_sdk.client._request_attributes import request_attributes, vendor_attributes
from llmops_sdk.client.serving import _watched_calls
from llmops_sdk.config import ResolvedModel
from llmops_sdk.errors import GuardrailViolation, ProviderError, ValidationFailedError
from llmops_sdk.export.metrics import _chunk_times
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response
from llmops_sdk.providers._genai import (
    input_messages_json,
    output_messages_json,
    tool_definitions_json,
    usage_attributes,
)
from llmops_sdk.providers._types import model_name
from llmops_sdk.tracing import Span, current_span, start_span
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._records import Json
from llmops_sdk.tracing.spans import _active

__all__ = ["CallInfo", "CallRecorder", "ServedBy", "Server", "fixed_attributes", "record_cost", "recording_refresh"]

# Models that run in this process: their spans are internal, and their answers simulated.
_IN_PROCESS = frozenset({"offline"})

Server: TypeAlias = tuple[str, int]
"""An address and a port."""
ServedBy: TypeAlias = tuple[str, str, str | None]
"""Provider, model and deployment, as an attempt names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallInfo:
    """What is known of a call at its start.

    Attributes:
        operation: "chat" or "embeddings".
        provider: The provider's name in the GenAI conventions.
        params: The standard parameters that are set.
        extra: The vendor's own parameters.
        other_servers: The servers of the models to fall back to, and of deployments.
        structured: Whether the answer must have a type.
        content: Whether to record prompts and answers.
        configured: The model as the caller or the configuration wrote it, such as a name of `[models]`.
        fixed: The attributes of `fixed_attributes`, where they are known already.
        prompt_span: The span of that function, when it records the checked prompt in place of the arguments, or None.
        route: The attributes of the event that records a router's decision, or None.
    """

    operation: str
    model: str
    provider: str
    params: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    server: Server | None = None
    fixed: Mapping[str, Any] | None = None
    other_servers: Mapping[ServedBy, Server | None] = field(default_factory=dict[ServedBy, Server | None])
    streaming: bool = False
    structured: bool = False
    content: bool = True
    configured: str = ""
    prompt_name: str | None = None
    prompt_span: Span | None = None
    route: Mapping[str, Any] | None = None

    def start(self) -> Span:
        """Start and return the span, a child of the current one."""
        fixed = self.fixed
        if fixed is None:
            fixed = fixed_attributes(self.operation, self.provider, self.model, self.configured, self.server)
        attributes = dict(fixed)
        if self.streaming:
            attributes[_semconv.REQUEST_STREAM] = True
        if self.params or self.extra or self.structured:
            attributes |= request_attributes(
                self.params, self.extra, provider=self.provider, structured=self.structured
            )
        if self.prompt_name and getattr(_active.stamp_of(_active.get()), "prompt_name", None) is None:
            # A name that the application set with `llmops.context(prompt=...)` takes precedence over the function's.
            attributes[_semconv.PROMPT_NAME] = self.prompt_name
        span = start_span(
            f"{self.operation} {fixed[_semconv.REQUEST_MODEL]}",
            kind="embedding" if self.operation == "embeddings" else "llm",
            otel_kind="internal" if self.provider in _IN_PROCESS else "client",
        )
        _put(span, attributes)
        if self.route is not None:
            guarded("recording a route", None, span.add_event, _semconv.EVENT_ROUTE, self.route)
        return span


def fixed_attributes(
    operation: str, provider: str, model: str, configured: str, server: Server | None
) -> dict[str, Any]:
    """Return the attributes that all calls of one model have.

    Args:
        operation: "chat" or "embeddings".
        provider: The provider's name.
        model: The model, with its provider.
        configured: The model as the caller or the configuration wrote it.
        server: The server's address and port, or None.
    """
    # A URL may have credentials; the server's address is an attribute of its own.
    name = model if "://" in configured else configured or model
    attributes: dict[str, Any] = {
        _semconv.OPERATION: operation,
        _semconv.PROVIDER: provider,
        _semconv.REQUEST_MODEL: model_name(model),
        _semconv.MODEL_NAME: name,
    }
    if name != model:
        attributes[_semconv.MODEL_TARGET] = model
    if server is not None:
        attributes[_semconv.SERVER_ADDRESS], attributes[_semconv.SERVER_PORT] = server
    if provider in _IN_PROCESS:
        attributes[_semconv.SIMULATED] = True
    return attributes


_PLAIN = frozenset({bool, int, float, Json})
_SHORT = 256


_FIELDS = tuple(one.name for one in fields(Response) if one.name not in {"trace_id", "span_id"})
_new = object.__new__
_set = object.__setattr__


def _with_ids(response: Response, span: Span) -> Response:
    """Return the response with the span's ids: `dataclasses.replace` in a third of the time."""
    copy = _new(Response)
    for name in _FIELDS:
        _set(copy, name, getattr(response, name))
    _set(copy, "trace_id", span.trace_id)
    _set(copy, "span_id", span.span_id)
    return copy


def _put(span: Span, attributes: Mapping[str, Any]) -> None:
    """Set attributes; numbers, short texts and messages need no conversion, which takes half of a hit's recording."""
    if not span.recording:
        return
    plain: dict[str, Any] = {}
    for name, value in attributes.items():
        if type(value) in _PLAIN or (type(value) is str and len(value) <= _SHORT):
            plain[name] = value
        else:
            span.set_attribute(name, value)
    span.add_plain_attributes(plain)


class CallRecorder:
    """Starts the span of a call, and records the call on it.

    As a context manager it makes the span current, and ends it with the block's error, if any.
    """

    def __init__(self, info: CallInfo) -> None:
        self.info = info
        self.span = info.start()
        self._began = time.perf_counter()
        self._active: AbstractContextManager[object] | None = None
        self._input_passed = False
        self._sent = False
        measured = info.streaming and self.span.recording and _chunk_times.wanted()
        self._times: array[float] | None = array("d") if measured else None

    def __enter__(self) -> Self:
        self._active = self.span.activate()
        self._active.__enter__()
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if self._active is not None:
            self._active.__exit__(None, None, None)
        if error is None:
            self.span.end()
        else:
            self.fail(error)

    def note_sent(self) -> None:
        """Note that the call began before its guards' verdict: it has attempts even if they block it."""
        self._sent = True

    def record_prompt(self, request: Request) -> None:
        """Record the messages as they leave the input guards; unchecked ones must never be recorded."""
        self._input_passed = True
        if self.info.content:
            guarded("recording a prompt", None, self._record_prompt, request)

    def _record_prompt(self, request: Request) -> None:
        if self.span.recording:
            _put(self.span, {_semconv.INPUT_MESSAGES: input_messages_json(request)})
            if request.tools:
                _put(self.span, {_semconv.TOOL_DEFINITIONS: tool_definitions_json(request.tools)})
        if self.info.prompt_span is not None:
            self.info.prompt_span.input = list(request.messages)

    def record_texts(self, texts: Sequence[str]) -> None:
        """Record the texts to embed as they leave the input guards."""
        self._input_passed = True
        if self.info.content:
            self.span.input = list(texts)

    def record_answer(self, response: Response) -> Response:
        """Record an answer, and return it with the span's ids."""
        if (watched := _watched_calls.current()) is not None:
            watched.append(_watched_calls.of_response(self.info.configured or self.info.model, response, self.span))
        if not self.span.recording:
            return response
        guarded("recording an answer", None, self._record_answer, response)
        return _with_ids(response, self.span)

    def _record_answer(self, response: Response) -> None:
        attributes = usage_attributes(response.usage, response.cost)
        if response.attempts or response.cache or response.finish_reason:
            # A stream closed early has not reported its attempts: their number is unknown, not zero.
            attributes[_semconv.ATTEMPTS] = len(response.attempts)
        if response.provider and response.provider != self.info.provider:
            # After a fallback: the provider that served, not the one asked first.
            attributes[_semconv.PROVIDER] = response.provider
            attributes[_semconv.SIMULATED] = False
        if response.attempts:
            # After a lost hedge the last attempt is not the one that answered.
            answered = (attempt for attempt in reversed(response.attempts) if attempt.status == "ok")
            served = next(answered, response.attempts[-1])
            self._record_server((served.provider, served.model, served.deployment))
        if response.raw is not None:
            attributes |= vendor_attributes(response.raw, response.provider)
        if response.model:
            attributes[_semconv.RESPONSE_MODEL] = response.model
        if response.response_id:
            attributes[_semconv.RESPONSE_ID] = response.response_id
        if response.finish_reason:
            attributes[_semconv.FINISH_REASONS] = [response.finish_reason]
        if response.cache:
            attributes[_semconv.CACHE] = response.cache
        if response.simulated:
            attributes[_semconv.SIMULATED] = True
        if response.deployment:
            attributes[_semconv.DEPLOYMENT] = response.deployment
        if response.saved_cost is not None:
            attributes[_semconv.SAVED_COST] = response.saved_cost
        if self.info.content and (response.text or response.tool_calls or response.refusal or response.finish_reason):
            attributes[_semconv.OUTPUT_MESSAGES] = output_messages_json(response)
        _put(self.span, attributes)

    def _record_server(self, served_by: ServedBy) -> None:
        """Record the server of the deployment, or of the model after a fallback; remove an unknown one."""
        if served_by not in self.info.other_servers:
            return
        server = self.info.other_servers[served_by]
        if server is not None:
            self.span.set({_semconv.SERVER_ADDRESS: server[0], _semconv.SERVER_PORT: server[1]})
            return
        for name in (_semconv.SERVER_ADDRESS, _semconv.SERVER_PORT):
            self.span.remove_attribute(name)

    def record_embeddings(self, made: Embeddings) -> None:
        """Record usage, cost and size of vectors."""
        if (watched := _watched_calls.current()) is not None:
            watched.append(_watched_calls.of_embeddings(self.info.configured or self.info.model, made, self.span))
        attributes: dict[str, Any] = {**usage_attributes(made.usage, made.cost), _semconv.RESPONSE_MODEL: made.model}
        if made.vectors:
            attributes[_semconv.EMBEDDING_DIMENSIONS] = len(made.vectors[0])
        if made.simulated:
            attributes[_semconv.SIMULATED] = True
        if made.deployment:
            attributes[_semconv.DEPLOYMENT] = made.deployment
        self.span.set(attributes)

    def record_chunk_time(self) -> None:
        """Record the arrival time of a chunk, if metrics need it."""
        if self._times is not None:
            self._times.append(time.perf_counter())

    def end(self, status: str) -> None:
        """End the span of a stream."""
        self._keep_times()
        self.span.end(status=status)

    def _keep_times(self) -> None:
        if self._times:
            _chunk_times.keep(self.span.span_number, self._times)
            self._times = None

    def record_first_chunk(self, chunk: Chunk) -> bool:
        """Record the time until the first chunk with content, and return whether this chunk has content."""
        if not (chunk.text or chunk.tool_calls or chunk.reasoning or chunk.refusal):
            return False
        vendor = vendor_attributes(chunk.raw, chunk.provider or "")
        self.span.set({_semconv.TIME_TO_FIRST_CHUNK: time.perf_counter() - self._began, **vendor})
        return True

    def fail(self, error: BaseException) -> None:
        """End the span with the error that the caller gets."""
        self._keep_times()
        if isinstance(error, ValidationFailedError) and isinstance(error.response, Response):
            error.response = self.record_answer(error.response)
        elif isinstance(error, ProviderError):
            self.span.set({_semconv.ATTEMPTS: len(error.attempts)})
            if error.deployment:
                self.span.set({_semconv.DEPLOYMENT: error.deployment})
        elif isinstance(error, GuardrailViolation) and not (self._input_passed or self._sent):
            self.span.set({_semconv.ATTEMPTS: 0})
        self.span.fail(error)


def record_cost(answer: Response | Chunk) -> None:
    """Record the usage and cost of an answer or chunk on the current span."""
    if answer.usage is not None:
        attributes = usage_attributes(answer.usage, answer.cost)
        if answer.attempts:
            attributes[_semconv.ATTEMPTS] = len(answer.attempts)
        if answer.model:
            attributes[_semconv.RESPONSE_MODEL] = answer.model
        if answer.deployment:
            attributes[_semconv.DEPLOYMENT] = answer.deployment
        guarded("recording a cost", None, current_span().set, attributes)


def recording_refresh(
    resolved: ResolvedModel, provider: Provider, *, content: bool
) -> Callable[[Request], AbstractContextManager[Callable[[Response], object]]]:
    """Return what gives each call that refreshes a stored answer a span of its own, as it costs money.

    Args:
        resolved: The model.
        provider: The model's provider.
        content: Whether to record prompts and answers.
    """

    @contextmanager
    def scope(request: Request) -> Generator[Callable[[Response], object]]:
        info = CallInfo(
            operation="chat",
            model=resolved.model,
            configured=resolved.name,
            provider=provider.name,
            params=request.params,
            extra=request.extra,
            server=getattr(provider, "server", None),
            structured=request.response_schema is not None,
            content=content,
        )
        with CallRecorder(info) as recorder:
            # The guards on the input stand above the cache: the request has passed them.
            recorder.record_prompt(request)
            yield recorder.record_answer

    return scope
