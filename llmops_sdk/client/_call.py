"""One call: made of its options and the stages, then driven, sync or async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from llmops_sdk.client._options import STANDARD
from llmops_sdk.client._policies import cache_policy, guard_specs, retry_policy, timeout_policy
from llmops_sdk.client._prompt import messages_of, tool_definitions
from llmops_sdk.client._record import Record, Subject
from llmops_sdk.client._stages import Fallbacks, Policies, Stages
from llmops_sdk.client.structured._answer import AnswerType, InvalidAnswerError, answer_type
from llmops_sdk.client.structured._ask import fitting
from llmops_sdk.config import ResolvedModel
from llmops_sdk.guardrails import Guard, InputGuardProvider, policy_version
from llmops_sdk.guardrails._protocol import OnError
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response, WrapperProvider
from llmops_sdk.providers._types import model_name
from llmops_sdk.tracing import Span

__all__ = ["Call", "Origin", "acomplete", "aembed", "complete", "embed", "embedding_call", "prepare"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The prompt function that a call comes from.

    Attributes:
        name: Its qualified name.
        span: Its span.
        raw: Whether its arguments may stand on its span as they are; else its input is what the guards let through.
    """

    name: str
    span: Span
    raw: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Everything that a call needs.

    Attributes:
        subject: What its span is about.
        request: The request as the caller made it, before any guard.
        chain: The stages below the input guards.
        guards: The guards on the input.
        on_error: What a guard that fails means.
        answer: The type asked for, or None.
    """

    subject: Subject
    request: Request
    chain: Provider
    guards: tuple[Guard, ...]
    on_error: OnError
    answer: AnswerType | None = None

    def guarded_by(self, record: Record) -> Provider:
        """All stages, with the record taken of what passes the input guards."""
        chain: Provider = _Sent(self.chain, record)
        return InputGuardProvider(chain, self.guards, self.on_error) if self.guards else chain

    def without_cache(self) -> Call:
        """The same call around the cache."""
        return replace(self, request=replace(self.request, cache=False))


class _Sent(WrapperProvider):
    """Lets the record see the request as it leaves the input guards; what came before must never be recorded."""

    def __init__(self, inner: Provider, record: Record) -> None:
        super().__init__(inner)
        self._record = record

    def complete(self, request: Request) -> Response:
        self._record.sent(request)
        return self.inner.complete(request)

    async def acomplete(self, request: Request) -> Response:
        self._record.sent(request)
        return await self.inner.acomplete(request)

    def stream(self, request: Request) -> Iterator[Chunk]:
        self._record.sent(request)
        return self.inner.stream(request)

    def astream(self, request: Request) -> AsyncIterator[Chunk]:
        self._record.sent(request)
        return self.inner.astream(request)

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self._record.sent_texts(texts)
        return self.inner.embed(texts, request)

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:
        self._record.sent_texts(texts)
        return await self.inner.aembed(texts, request)


def input_guards(stages: Stages, options: Mapping[str, Any]) -> tuple[Guard, ...]:
    """The guards on the input of a call with these options."""
    guardrails = stages.model(options.get("model")).guardrails
    return stages.guards(guard_specs(guardrails, options.get("guards"))[0])


def prepare(
    stages: Stages, prompt: object, options: Mapping[str, Any], *, streaming: bool = False, origin: Origin | None = None
) -> Call:
    """The call that a prompt and options (known by name, none of them None) ask for.

    Raises:
        TypeError: Something is of the wrong type.
        ValueError: A message lacks what it needs.
        ConfigError: The model, a policy or a guard is not known or not valid.
    """
    name = options.get("model")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"model must be a name, not {type(name).__name__}")
    resolved = stages.model(name)
    wanted = options.get("response_model")
    answer = None if wanted is None else answer_type(wanted)
    on_error = resolved.guardrails.on_error
    before, after = guard_specs(resolved.guardrails, options.get("guards"))
    guards, output = stages.guards(before), stages.guards(after)
    policies = Policies(
        retry=retry_policy(resolved.retry, options.get("retry")),
        fallbacks=_fallbacks(stages, resolved, options.get("retry")),
        cache=cache_policy(resolved.cache, options.get("cache")),
        output=output,
        on_error=on_error,
        answer=answer,
    )
    params = {name: value for name, value in options.items() if name in STANDARD}
    request = Request(
        model=resolved.model,
        messages=messages_of(prompt, options.get("system")),
        tools=tool_definitions(options["tools"]) if "tools" in options else (),
        response_schema=answer and answer.schema,
        response_schema_name=answer and answer.name,
        params=params,
        extra=dict(options.get("extra", {})),
        timeout=timeout_policy(resolved.timeout, options.get("timeout")),
        cache=False if options.get("cache") is False else None,
        policy_version=policy_version(output, on_error),  # the guards on the input add their own
    )
    chain = stages.chain(resolved, policies)
    subject = Subject(
        operation="chat",
        model=resolved.model,
        provider=chain.name,
        params=params,
        extra=request.extra,
        server=getattr(chain, "server", None),
        fallback_servers=_servers(stages, resolved),
        streaming=streaming,
        structured=answer is not None,
        content=stages.settings.capture.content,
        prompt_name=origin.name if origin else None,
        prompt_span=origin.span if origin and not origin.raw else None,
    )
    return Call(subject=subject, request=request, chain=chain, guards=guards, on_error=on_error, answer=answer)


def _fallbacks(stages: Stages, resolved: ResolvedModel, retry: object) -> Fallbacks | None:
    """The models to go on to; what a call says of retries holds for each, over its own configuration."""
    if not resolved.fallbacks:
        return None
    models = tuple(stages.model(name) for name in resolved.fallbacks)
    retries = tuple(retry_policy(model.retry, retry) for model in models)
    return Fallbacks(policy=resolved.fallback, models=models, retries=retries)


def _servers(stages: Stages, resolved: ResolvedModel) -> dict[tuple[str, str], tuple[str, int] | None]:
    """The servers of the models to go on to, by provider and model, as the last attempt names them."""
    models = [stages.model(name) for name in resolved.fallbacks]
    providers = [(stages.provider(model), model.model) for model in models]
    return {(one.name, model_name(model)): getattr(one, "server", None) for one, model in providers}


def embedding_call(stages: Stages, options: Mapping[str, Any]) -> Call:
    """The call that asks for vectors; without fallbacks: those of another model cannot be compared with them."""
    resolved = stages.model(options.get("model"))
    on_error = resolved.guardrails.on_error
    guards = input_guards(stages, options)
    retry = retry_policy(resolved.retry, options.get("retry"))
    policies = Policies(retry=retry, cache=None, output=(), on_error=on_error, answer=None)
    request = Request(
        model=resolved.model,
        messages=(),
        extra=dict(options.get("extra", {})),
        timeout=timeout_policy(resolved.timeout, options.get("timeout")),
        cache=False,
    )
    content = stages.settings.capture.content
    chain = stages.chain(resolved, policies)
    subject = Subject(
        operation="embeddings",
        model=resolved.model,
        provider=chain.name,
        params={},
        server=getattr(chain, "server", None),
        content=content,
    )
    return Call(subject=subject, request=request, chain=chain, guards=guards, on_error=on_error)


def texts_of(texts: object) -> list[str]:
    """A list of texts, checked."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise TypeError(f"texts must be a list of strings, not {type(texts).__name__}")
    listed = list(cast("Sequence[object]", texts))
    if not listed:
        raise ValueError("texts is empty: give it at least one string")
    for at, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(f"text {at} must be a string, not {type(text).__name__}")
    return cast("list[str]", listed)


def parsed(call: Call, response: Response) -> Response | None:
    """The response with `.parsed` where a type was asked for; None when a stored answer does not fit any more.

    An answer from the cache fitted the schema when it was stored; a validator may have become stricter since.
    """
    if call.answer is None or response.parsed is not None:
        return response
    try:
        return fitting(call.answer, response)
    except InvalidAnswerError:
        return None


def complete(call: Call) -> Response:
    """Drive a call to its whole answer."""
    with Record(call.subject) as record:
        response = parsed(call, call.guarded_by(record).complete(call.request))
        if response is None:
            around = call.without_cache()
            response = around.guarded_by(record).complete(around.request)
        return record.answered(response)


async def acomplete(call: Call) -> Response:
    """Drive a call to its whole answer, async."""
    with Record(call.subject) as record:
        response = parsed(call, await call.guarded_by(record).acomplete(call.request))
        if response is None:
            around = call.without_cache()
            response = await around.guarded_by(record).acomplete(around.request)
        return record.answered(response)


def embed(call: Call, texts: Sequence[str]) -> Embeddings:
    """Drive a call for vectors."""
    with Record(call.subject) as record:
        made = call.guarded_by(record).embed(texts, call.request)
        record.embedded(made)
        return made


async def aembed(call: Call, texts: Sequence[str]) -> Embeddings:
    """Drive a call for vectors, async."""
    with Record(call.subject) as record:
        made = await call.guarded_by(record).aembed(texts, call.request)
        record.embedded(made)
        return made
