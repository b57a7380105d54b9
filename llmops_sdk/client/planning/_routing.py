"""Plan a routed call: decide which model gets it, then plan it for that model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from llmops_sdk.client._prompt import messages_of
from llmops_sdk.client._shared import CALL_CLOCK
from llmops_sdk.client._stages import Stages
from llmops_sdk.client.planning._plan import INPUT_RAILS, CallPlan, plan_of
from llmops_sdk.config import ResolvedModel
from llmops_sdk.errors import ConfigError
from llmops_sdk.routing.calls._call_router import CallRouter, Decision
from llmops_sdk.routing.calls._cascade import CascadeProvider, Step, import_verify, is_finished
from llmops_sdk.routing.calls._facts import facts_of
from llmops_sdk.tracing.records._records import Stamp
from llmops_sdk.tracing.spans import _active

__all__ = ["routed"]

_T = TypeVar("_T")


def routed(
    stages: Stages, plan: CallPlan, prompt: object, options: Mapping[str, Any], prompt_name: str | None
) -> tuple[CallPlan, Mapping[str, Any]]:
    """Return the plan of a routed call for the model that gets it, and the attributes of the decision's event.

    Args:
        stages: The stages of the settings in force.
        plan: The plan of the routed model.
        prompt: The prompt of the caller.
        options: The options of the call.
        prompt_name: The name of the prompt function that makes the call, or None.

    Raises:
        ConfigError: A policy of the chosen model is not valid.
    """
    router = _kept(stages, ("router", plan.resolved.name), lambda: CallRouter(stages.settings, plan.resolved))
    stamp = cast("Stamp | None", _active.stamp_of(_active.get()))
    decision = router.decide(
        facts_of(
            messages_of(prompt, options.get("system")),
            tools=bool(options.get("tools")),
            schema="response_model" in options,
            max_tokens=options.get("max_tokens"),
            tags=stamp.tags if stamp is not None else (),
            prompt_name=(stamp.prompt_name if stamp is not None else None) or prompt_name,
        )
    )
    chosen = _plan_for(stages, plan.resolved, decision, options, decision.serves)
    if len(decision.cascade) > 1:
        plans = [_plan_for(stages, plan.resolved, decision, options, name) for name in decision.cascade]
        chosen = _cascade(stages, plan.resolved, decision, plans)
    return chosen, decision.attributes


def _kept(stages: Stages, key: tuple[str, str], make: Callable[[], _T]) -> _T:
    """Return a part of calls that is made once for these settings."""
    found = stages.plans.get(key)
    if found is None:
        found = make()
        stages.keep_plan(key, found)
    return cast("_T", found)


def _plan_for(
    stages: Stages, route: ResolvedModel, decision: Decision, options: Mapping[str, Any], name: str
) -> CallPlan:
    """Return the plan for one model, whose fallbacks are those that can take the call."""
    configured = stages.model(name).fallbacks or route.fallbacks
    fallbacks = tuple(one for one in configured if one != name and decision.allows(one))
    return plan_of(stages, {**options, "model": name}, fallbacks)


def _cascade(stages: Stages, route: ResolvedModel, decision: Decision, plans: list[CallPlan]) -> CallPlan:
    first = plans[0]
    for plan in plans[1:]:
        if any(plan.guards[rail] != first.guards[rail] for rail in INPUT_RAILS):
            raise ConfigError(
                f"the models {first.resolved.name!r} and {plan.resolved.name!r} of a cascade have different guards on "
                "the prompt: set them in [guardrails] for both",
                key=f"models.{route.routed_by}.router.policy",
            )
    steps = [Step(plan.resolved.name, plan.resolved.model, plan.chain) for plan in plans]
    name = route.router.verify
    verify = is_finished if name is None else _kept(stages, ("verify", name), lambda: import_verify(name))
    chain = CascadeProvider(steps, verify, dict(decision.attributes), clock=CALL_CLOCK)
    servers = {served: server for plan in plans[1:] for served, server in plan.other_servers.items()}
    servers |= {
        (plan.provider, plan.resolved.model.partition("/")[2], plan.resolved.deployment or None): plan.server
        for plan in plans[1:]
    }
    return replace(first, chain=chain, other_servers={**first.other_servers, **servers})
