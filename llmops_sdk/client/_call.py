"""Prepare a call from its options and the stages, then make it, sync or async."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from llmops_sdk.client._options import STANDARD
from llmops_sdk.client._policies import cache_policy, guard_specs, retry_policy, timeout_policy
from llmops_sdk.client._prompt import messages_of, tool_definitions
from llmops_sdk.client._record import CallInfo, CallRecorder
from llmops_sdk.client._stages import Fallbacks, Policies, Stages
from llmops_sdk.client.structured._answer import AnswerType, InvalidAnswerError, answer_type
from llmops_sdk.client.structured._reask import parse_answer
from llmops_sdk.config import ResolvedModel
from llmops_sdk.guardrails import Guard, InputGuardProvider, policy_version
from llmops_sdk.guardrails._protocol import OnError, Rail
from llmops_sdk.providers import Embeddings, Provider, Request, Response
from llmops_sdk.providers._tools import tool_choice_of
from llmops_sdk.providers._types import model_name
from llmops_sdk.tracing import Span

__all__ = [
    "Call",
    "PromptSource",
    "acomplete",
    "aembed",
    "complete",
    "embed",
    "embedding_call",
    "input_guards",
    "prepare",
    "texts_of",
]


@dataclass(frozen=True, slots=True)
class PromptSource:
    """The prompt function that a call comes from.

    Attributes:
        has_arguments: Whether the span has the function's arguments; without, it gets the checked prompt as its input.
    """

    name: str
    span: Span
    has_arguments: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, ready to be made: `request` has not passed the guards, and `chain` are the stages below them."""

    info: CallInfo
    request: Request
    chain: Provider
    guards: tuple[Guard, ...]
    on_error: OnError
    tool_results: tuple[Guard, ...] = ()
    answer: AnswerType | None = None

    def provider(self, recorder: CallRecorder) -> Provider:
        """Return all stages; the recorder gets the prompt as it leaves the input guards."""
        if self.guards or self.tool_results:
            return self.input_guards(recorder.record_prompt)
        recorder.record_prompt(self.request)
        return self.chain

    def input_guards(self, on_checked: Callable[[Request], None] | None = None) -> InputGuardProvider:
        """Return the stage of the input guards."""
        return InputGuardProvider(
            self.chain, self.guards, self.on_error, tool_results=self.tool_results, on_checked=on_checked
        )


def input_guards(stages: Stages, options: Mapping[str, Any]) -> tuple[Guard, ...]:
    """Return the guards on the input of a call with these options."""
    return _guards(stages, stages.model(options.get("model")), options)["input"]


def _guards(stages: Stages, resolved: ResolvedModel, options: Mapping[str, Any]) -> dict[Rail, tuple[Guard, ...]]:
    specs = guard_specs(resolved.guardrails, options.get("guards"))
    return {rail: stages.guards(specs[rail], resolved.guardrails.options) for rail in specs}


def prepare(
    stages: Stages,
    prompt: object,
    options: Mapping[str, Any],
    *,
    streaming: bool = False,
    source: PromptSource | None = None,
) -> Call:
    """Return the call that a prompt and checked options (known names, without None) ask for.

    Raises:
        TypeError: An option or the prompt has the wrong type.
        ValueError: A message lacks a required key.
        ConfigError: The model, a policy or a guard is unknown or not valid.
    """
    resolved = stages.model(_model_option(options))
    answer = answer_type(options["response_model"]) if "response_model" in options else None
    on_error = resolved.guardrails.on_error
    guards = _guards(stages, resolved, options)
    policies = _policies(stages, resolved, options, guards, answer)
    tools = tool_definitions(options["tools"]) if "tools" in options else ()
    request = Request(
        model=resolved.model,
        messages=messages_of(prompt, options.get("system")),
        tools=tools,
        response_schema=answer and answer.schema,
        response_schema_name=answer and answer.name,
        params=_params(options, tools),
        extra=dict(options.get("extra", {})),
        timeout=timeout_policy(resolved.timeout, options.get("timeout")),
        cache=False if options.get("cache") is False else None,
        # The guards on the input add their own.
        policy_version=policy_version((*guards["output"], *guards["tool_arguments"]), on_error),
    )
    chain = stages.with_tool_policy(stages.chain(resolved, policies), resolved, options.get("tool_policy"))
    info = CallInfo(
        operation="chat",
        model=resolved.model,
        configured=resolved.name,
        provider=chain.name,
        params=request.params,
        extra=request.extra,
        server=getattr(chain, "server", None),
        fallback_servers=_servers(stages, resolved),
        streaming=streaming,
        structured=answer is not None,
        content=stages.settings.capture.content,
        prompt_name=source.name if source else None,
        prompt_span=source.span if source and not source.has_arguments else None,
    )
    return Call(
        info=info,
        request=request,
        chain=chain,
        guards=guards["input"],
        tool_results=guards["tool_results"],
        on_error=on_error,
        answer=answer,
    )


def _policies(
    stages: Stages,
    resolved: ResolvedModel,
    options: Mapping[str, Any],
    guards: Mapping[Rail, tuple[Guard, ...]],
    answer: AnswerType | None,
) -> Policies:
    return Policies(
        retry=retry_policy(resolved.retry, options.get("retry")),
        fallbacks=_fallbacks(stages, resolved, options.get("retry")),
        cache=cache_policy(resolved.cache, options.get("cache")),
        output=guards["output"],
        tool_arguments=guards["tool_arguments"],
        on_error=resolved.guardrails.on_error,
        answer=answer,
    )


def _params(options: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    params = {name: value for name, value in options.items() if name in STANDARD}
    if "tool_choice" in params:
        params["tool_choice"] = tool_choice_of(params["tool_choice"], tools)
    return params


def _model_option(options: Mapping[str, Any]) -> str | None:
    name = options.get("model")
    if name is not None and not isinstance(name, str):
        raise TypeError(f'model must be a name like "openai/gpt-4.1-mini", not {type(name).__name__}')
    return name


def _fallbacks(stages: Stages, resolved: ResolvedModel, retry: object) -> Fallbacks | None:
    """Return the models to fall back to; a call's retry option overrides the configuration of each."""
    if not resolved.fallbacks:
        return None
    models = tuple(stages.model(name) for name in resolved.fallbacks)
    retries = tuple(retry_policy(model.retry, retry) for model in models)
    return Fallbacks(policy=resolved.fallback, models=models, retries=retries)


def _servers(stages: Stages, resolved: ResolvedModel) -> dict[tuple[str, str], tuple[str, int] | None]:
    """Return the servers of the fallback models, by provider and model as an attempt names them."""
    models = [stages.model(name) for name in resolved.fallbacks]
    providers = [(stages.provider(model), model.model) for model in models]
    return {(one.name, model_name(model)): getattr(one, "server", None) for one, model in providers}


def embedding_call(stages: Stages, options: Mapping[str, Any]) -> Call:
    """Return the call for vectors, without fallbacks: vectors of different models cannot be compared."""
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
    info = CallInfo(
        operation="embeddings",
        model=resolved.model,
        configured=resolved.name,
        provider=chain.name,
        params={},
        server=getattr(chain, "server", None),
        content=content,
    )
    return Call(info=info, request=request, chain=chain, guards=guards, on_error=on_error)


def texts_of(texts: object) -> list[str]:
    """Return the texts as a list.

    Raises:
        TypeError: It is not a list of strings.
        ValueError: It is empty.
    """
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise TypeError(f"texts must be a list of strings, not {type(texts).__name__}")
    listed = list(cast("Sequence[object]", texts))
    if not listed:
        raise ValueError("texts is empty: give it at least one string")
    for index, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(f"text {index} must be a string, not {type(text).__name__}")
    return cast("list[str]", listed)


def _parsed(call: Call, response: Response) -> Response | None:
    """Return the response with `.parsed` if a type was asked for; None when a stored answer no longer fits.

    The answer fitted the schema when it was stored; a validator may have become stricter since.
    """
    if call.answer is None or response.parsed is not None:
        return response
    try:
        return parse_answer(call.answer, response)
    except InvalidAnswerError:
        return None


def complete(call: Call) -> Response:
    """Make a call and return its whole answer."""
    with CallRecorder(call.info) as recorder:
        response = _parsed(call, call.provider(recorder).complete(call.request))
        if response is None:
            response = call.provider(recorder).complete(replace(call.request, cache=False))
        return recorder.record_answer(response)


async def acomplete(call: Call) -> Response:
    """Make a call and return its whole answer, async."""
    with CallRecorder(call.info) as recorder:
        response = _parsed(call, await call.provider(recorder).acomplete(call.request))
        if response is None:
            response = await call.provider(recorder).acomplete(replace(call.request, cache=False))
        return recorder.record_answer(response)


def embed(call: Call, texts: Sequence[str]) -> Embeddings:
    """Make a call for vectors."""
    with CallRecorder(call.info) as recorder:
        checked = call.input_guards().check_texts(texts, call.request)
        recorder.record_texts(checked)
        embeddings = call.chain.embed(checked, call.request)
        recorder.record_embeddings(embeddings)
        return embeddings


async def aembed(call: Call, texts: Sequence[str]) -> Embeddings:
    """Make a call for vectors, async."""
    with CallRecorder(call.info) as recorder:
        checked = await call.input_guards().acheck_texts(texts, call.request)
        recorder.record_texts(checked)
        embeddings = await call.chain.aembed(checked, call.request)
        recorder.record_embeddings(embeddings)
        return embeddings
