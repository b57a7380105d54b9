"""Prepare a call from its options and the stages, then make it, sync or async."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

from llmops_sdk.client._chain_policies import Policies
from llmops_sdk.client._options import STANDARD
from llmops_sdk.client._prompt import messages_of, tool_definitions
from llmops_sdk.client._record import CallInfo, CallRecorder, record_cost
from llmops_sdk.client._stages import Stages
from llmops_sdk.client._tool_policy import tool_policy_stage
from llmops_sdk.client.planning._plan import INPUT_RAILS, OUTPUT_RAILS, CallPlan, guards_of, model_option, plan_of
from llmops_sdk.client.planning._policies import retry_policy, timeout_policy
from llmops_sdk.client.structured._answer import AnswerType, InvalidAnswerError
from llmops_sdk.client.structured._reask import parse_answer, require_answer
from llmops_sdk.config import GuardrailSettings
from llmops_sdk.errors import ConfigError, ValidationFailedError
from llmops_sdk.guardrails import Guard, InputGuardProvider, Masks, policy_version
from llmops_sdk.guardrails._protocol import CALL_RAILS, Rail
from llmops_sdk.guardrails.masking._masks import masks_of_call
from llmops_sdk.guardrails.masking._restore import restored_response, restored_text
from llmops_sdk.providers import Embeddings, Provider, Request, Response
from llmops_sdk.providers._tools import tool_choice_of
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
    guards: Mapping[Rail, tuple[Guard, ...]]
    settings: GuardrailSettings
    masks: Masks | None = None
    open_model: Callable[[str], tuple[Provider, str]] | None = None
    answer: AnswerType | None = None

    def provider(self, recorder: CallRecorder) -> Provider:
        """Return all stages; the recorder gets the prompt as it leaves the input guards."""
        if any(self.guards[rail] for rail in INPUT_RAILS):
            return self.input_guards(recorder)
        recorder.record_prompt(self.request)
        return self.chain

    def input_guards(self, recorder: CallRecorder | None = None) -> InputGuardProvider:
        """Return the stage of the input guards."""
        return InputGuardProvider(
            self.chain,
            self.guards["input"],
            self.settings.on_error,
            tool_results=self.guards["tool_results"],
            tool_definitions=self.guards["tool_definitions"],
            masks=self.masks,
            speculative=self.settings.speculative,
            on_checked=recorder and recorder.record_prompt,
            on_sent=recorder and recorder.note_sent,
            on_answer=record_cost,
            open_model=self.open_model,
        )

    def restored(self, response: Response) -> Response:
        """Return an answer with the values that guards masked in the prompt, as the caller gets it."""
        if not self.masks:
            return response
        new = restored_response(response, self.masks, self.settings.restore_tools)
        if new is response or self.answer is None:
            return new
        # Of the answer with the placeholders: only JSON that the model wrote tells where values need escapes.
        with suppress(InvalidAnswerError):  # the answer of a stream that has failed
            new = replace(new, parsed=parse_answer(self.answer, response, self.request.restore).parsed)
        return new

    def validated(self, response: Response) -> Response:
        """Return an answer with `.parsed` if a type was asked for, to be recorded: with placeholders, or without it.

        Raises:
            ValidationFailedError: It does not fit the type, with the values that guards masked.
        """
        if self.answer is None or response.parsed is not None:
            return response
        if not self.masks:
            return require_answer(self.answer, response)
        require_answer(self.answer, response, self.request.restore)
        with suppress(InvalidAnswerError):
            return parse_answer(self.answer, response)
        return response


def input_guards(stages: Stages, options: Mapping[str, Any]) -> tuple[Guard, ...]:
    """Return the guards on the input of a call with these options."""
    return guards_of(stages, stages.model(model_option(options)), options)["input"]


def _output_version(guards: Mapping[Rail, tuple[Guard, ...]], on_error: str) -> str:
    versions = (policy_version(guards[rail], on_error, rail=rail) for rail in OUTPUT_RAILS)
    return ":".join(filter(None, versions))


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
    plan, route = plan_of(stages, options), None
    if plan.resolved.route:
        # Imported here: only routed calls need it.
        from llmops_sdk.client.planning._routing import routed

        plan, route = routed(stages, plan, prompt, options, source and source.name)
    resolved = plan.resolved
    request = _request(plan, prompt, options)
    masks, chain, open_model = None, plan.chain, None
    given = options.get("tool_policy")
    if plan.checks_input or given is not None or resolved.guardrails.tools:
        masks = masks_of_call() if plan.checks_input else None
        if masks is not None:
            request = replace(request, restore=functools.partial(restored_text, masks=masks))
        with_tool_policy = tool_policy_stage(stages, resolved, given, masks)
        chain = with_tool_policy(plan.chain)
        open_model = _opener(stages, plan.policies, plan.answer, with_tool_policy)
    info = CallInfo(
        operation="chat",
        model=resolved.model,
        configured=resolved.name,
        provider=plan.provider,
        params=request.params,
        extra=request.extra,
        server=plan.server,
        fixed=plan.attributes,
        other_servers=plan.other_servers,
        streaming=streaming,
        structured=plan.answer is not None,
        content=stages.settings.capture.content,
        prompt_name=source.name if source else None,
        prompt_span=source.span if source and not source.has_arguments else None,
        route=route,
    )
    return Call(
        info=info,
        request=request,
        chain=chain,
        guards=plan.guards,
        settings=resolved.guardrails,
        masks=masks,
        open_model=open_model,
        answer=plan.answer,
    )


def _opener(
    stages: Stages,
    policies: Policies,
    answer: AnswerType | None,
    with_tool_policy: Callable[[Provider], Provider],
) -> Callable[[str], tuple[Provider, str]]:
    """Return what opens the model of a guard's fallback."""

    def open_model(name: str) -> tuple[Provider, str]:
        provider, model = stages.fallback_chain(name, policies, answer)
        return with_tool_policy(provider), model

    return open_model


def _request(plan: CallPlan, prompt: object, options: Mapping[str, Any]) -> Request:
    tools = tool_definitions(options["tools"]) if "tools" in options else ()
    answer = plan.answer
    return Request(
        model=plan.resolved.model,
        messages=messages_of(prompt, options.get("system")),
        tools=tools,
        response_schema=answer and answer.schema,
        response_schema_name=answer and answer.name,
        params=_params(options, tools),
        extra=dict(options.get("extra", {})),
        timeout=plan.timeout,
        cache=False if options.get("cache") is False else None,
        # The guards on the input add their own.
        policy_version=_output_version(plan.guards, plan.resolved.guardrails.on_error) if plan.checks_output else "",
    )


def _params(options: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    params = {name: value for name, value in options.items() if name in STANDARD}
    if "tool_choice" in params:
        params["tool_choice"] = tool_choice_of(params["tool_choice"], tools)
    return params


def embedding_call(stages: Stages, options: Mapping[str, Any]) -> Call:
    """Return the call for vectors, without fallbacks: vectors of different models cannot be compared."""
    resolved = stages.model(options.get("model"))
    if resolved.route:
        raise ConfigError(
            f"{resolved.name!r} is a route: vectors of different models cannot be compared. Name one of its models",
            key="model",
            value=resolved.name,
        )
    on_error = resolved.guardrails.on_error
    guards: dict[Rail, tuple[Guard, ...]] = dict.fromkeys(CALL_RAILS, ())
    guards["input"] = input_guards(stages, options)
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
    masks = masks_of_call() if guards["input"] else None
    return Call(info=info, request=request, chain=chain, guards=guards, settings=resolved.guardrails, masks=masks)


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


def _validated(call: Call, response: Response) -> Response | None:
    """Return the response with `.parsed` if a type was asked for; None when a stored answer does not fit.

    The answer fitted the schema when it was stored. A validator may have become stricter since, and the values that
    guards masked are those of this call.

    Raises:
        ValidationFailedError: The fixed answer of a guard on the prompt does not fit: nobody else has checked it.
    """
    try:
        return call.validated(response)
    except ValidationFailedError:
        if response.cache is None:
            raise
        return None


def complete(call: Call, on_answer: Callable[[Response], None] | None = None) -> Response:
    """Make a call and return its whole answer.

    Args:
        call: The call.
        on_answer: Called with the answer as it is recorded: with placeholders, where guards masked values.
    """
    with CallRecorder(call.info) as recorder:
        response = _validated(call, call.provider(recorder).complete(call.request))
        if response is None:
            response = call.validated(call.provider(recorder).complete(replace(call.request, cache=False)))
        response = recorder.record_answer(response)
        if on_answer is not None:
            on_answer(response)
        return call.restored(response)


async def acomplete(call: Call, on_answer: Callable[[Response], None] | None = None) -> Response:
    """Make a call and return its whole answer, async; see `complete`."""
    with CallRecorder(call.info) as recorder:
        response = _validated(call, await call.provider(recorder).acomplete(call.request))
        if response is None:
            response = call.validated(await call.provider(recorder).acomplete(replace(call.request, cache=False)))
        response = recorder.record_answer(response)
        if on_answer is not None:
            on_answer(response)
        return call.restored(response)


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
