"""What calls with the same model and policies share: made for the first of them, and kept with the stages."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from llmops_sdk.client._chain_policies import Fallbacks, Policies
from llmops_sdk.client._record import ServedBy, Server, fixed_attributes
from llmops_sdk.client._stages import Stages
from llmops_sdk.client.planning._policies import (
    cache_admission,
    cache_policy,
    guard_specs,
    retry_policy,
    semantic_function,
    timeout_policy,
)
from llmops_sdk.client.structured._answer import AnswerType, answer_type
from llmops_sdk.config import ResolvedModel, Timeout
from llmops_sdk.guardrails import Guard
from llmops_sdk.guardrails._protocol import Rail
from llmops_sdk.providers import Provider
from llmops_sdk.providers._types import model_name

__all__ = ["INPUT_RAILS", "OUTPUT_RAILS", "CallPlan", "guards_of", "model_option", "plan_of"]

INPUT_RAILS: tuple[Rail, ...] = ("input", "tool_results", "tool_definitions")
OUTPUT_RAILS: tuple[Rail, ...] = ("output", "tool_arguments")

_PLANNED = frozenset({"model", "retry", "cache", "guards", "tool_policy", "response_model", "timeout"})
"""The options that a plan depends on; the others are parts of the request."""
_SIMPLE = frozenset({str, bool, int, float})
"""The types of options by which a plan is found again, beside classes; others may be changed by their owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """What is known of a call before its prompt.

    Attributes:
        resolved: The model.
        answer: The type asked for, or None.
        guards: The guards by rail.
        policies: The policies of the stages.
        timeout: The time bounds.
        chain: The stages below the guards on the input.
        provider: The provider's name.
        server: The server's address and port, or None.
        other_servers: The servers of the models to fall back to and of the deployments, by provider, model and
            deployment as an attempt names them.
        attributes: What the spans of all these calls have.
        checks_input: Whether there are guards on the input.
        checks_output: Whether there are guards on the output.
    """

    resolved: ResolvedModel
    answer: AnswerType | None
    guards: Mapping[Rail, tuple[Guard, ...]]
    policies: Policies
    timeout: Timeout
    chain: Provider
    provider: str
    server: tuple[str, int] | None
    other_servers: Mapping[ServedBy, Server | None]
    attributes: Mapping[str, Any]
    checks_input: bool
    checks_output: bool


def plan_of(stages: Stages, options: Mapping[str, Any], fallbacks: tuple[str, ...] | None = None) -> CallPlan:
    """Return the plan of a call with checked options.

    Args:
        stages: The stages of the settings in force.
        options: The options.
        fallbacks: The models to fall back to, in place of the configured ones.

    Raises:
        TypeError: An option has the wrong type.
        ConfigError: The model, a policy or a guard is unknown or not valid.
    """
    key = _key(options)
    if key is None:
        return _make(stages, options, fallbacks)
    if fallbacks is not None:
        key = (key, fallbacks)
    plan = stages.plans.get(key)
    if not isinstance(plan, CallPlan):
        plan = _make(stages, options, fallbacks)
        # A test's stand-in has its own name and server.
        if stages.keeps_plans:
            stages.keep_plan(key, plan)
    return plan


def _key(options: Mapping[str, Any]) -> Hashable | None:
    parts: list[Hashable] = []
    for name, value in options.items():
        if name in _PLANNED:
            value_type = cast("type[object]", type(value))
            if value_type not in _SIMPLE and not isinstance(value, type):
                return None
            # 1 and True are equal, and mean different things.
            parts.append((name, value_type, value))
    return tuple(parts)


def _make(stages: Stages, options: Mapping[str, Any], fallbacks: tuple[str, ...] | None) -> CallPlan:
    resolved = stages.model(model_option(options))
    if fallbacks is not None:
        resolved = replace(resolved, fallbacks=fallbacks)
    answer = answer_type(options["response_model"]) if "response_model" in options else None
    guards = guards_of(stages, resolved, options)
    policies = Policies(
        retry=retry_policy(resolved.retry, options.get("retry")),
        fallbacks=_fallbacks(stages, resolved, options.get("retry")),
        cache=cache_policy(resolved.cache, options.get("cache")),
        admit=cache_admission(options.get("cache")),
        embedder=semantic_function(options.get("cache"), "embedder"),
        judge=semantic_function(options.get("cache"), "judge"),
        output=guards["output"],
        tool_arguments=guards["tool_arguments"],
        on_error=resolved.guardrails.on_error,
        reasks=resolved.guardrails.reasks,
        answer=answer,
    )
    timeout = timeout_policy(resolved.timeout, options.get("timeout"))
    chain = stages.chain(resolved, policies)
    server = getattr(chain, "server", None)
    return CallPlan(
        resolved=resolved,
        answer=answer,
        guards=guards,
        policies=policies,
        timeout=timeout,
        chain=chain,
        provider=chain.name,
        server=server,
        other_servers=_servers(stages, resolved),
        attributes=fixed_attributes("chat", chain.name, resolved.model, resolved.name, server),
        checks_input=any(guards[rail] for rail in INPUT_RAILS),
        checks_output=any(guards[rail] for rail in OUTPUT_RAILS),
    )


def model_option(options: Mapping[str, Any]) -> str | None:
    """Return the model's name in options, or None.

    Raises:
        TypeError: It is no text.
    """
    name = options.get("model")
    if name is not None and not isinstance(name, str):
        raise TypeError(f'model must be a name like "openai/gpt-4.1-mini", not {type(name).__name__}')
    return name


def guards_of(stages: Stages, resolved: ResolvedModel, options: Mapping[str, Any]) -> dict[Rail, tuple[Guard, ...]]:
    """Return the guards of a call by rail."""
    specs = guard_specs(resolved.guardrails, options.get("guards"))
    return {rail: stages.guards(specs[rail], resolved.guardrails.options, rail) for rail in specs}


def _fallbacks(stages: Stages, resolved: ResolvedModel, retry: object) -> Fallbacks | None:
    """Return the models to fall back to; a call's retry option overrides the configuration of each."""
    if not resolved.fallbacks:
        return None
    models = tuple(stages.model(name) for name in resolved.fallbacks)
    retries = tuple(retry_policy(model.retry, retry) for model in models)
    return Fallbacks(policy=resolved.fallback, models=models, retries=retries)


def _servers(stages: Stages, resolved: ResolvedModel) -> dict[ServedBy, Server | None]:
    """Return the servers of the models to fall back to and of all deployments, as an attempt names them."""
    servers: dict[ServedBy, Server | None] = {}
    for model in (resolved, *(stages.model(name) for name in resolved.fallbacks)):
        served = stages.served(model)
        if served.deployments:
            for one, provider in served.deployments:
                named = provider.name, model_name(one.model), one.deployment
                servers[named] = getattr(provider, "server", None)
        elif model is not resolved:
            provider = stages.provider(model)
            servers[provider.name, model_name(model.model), served.deployment] = getattr(provider, "server", None)
    return servers
