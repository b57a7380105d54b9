"""Put the policy for tool calls around the stages of a call."""

from __future__ import annotations

import functools
from collections.abc import Callable

from llmops_sdk.client._record import record_cost
from llmops_sdk.client._stages import Stages
from llmops_sdk.config import ResolvedModel, placed
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import Masks, ToolPolicy, ToolPolicyProvider
from llmops_sdk.providers import Provider

__all__ = ["tool_policy_stage"]


def tool_policy_stage(
    stages: Stages, resolved: ResolvedModel, given: object, masks: Masks | None
) -> Callable[[Provider], Provider]:
    """Return what puts the policy for tool calls around stages; it changes nothing if there are no rules.

    The policy stands outside the cache: what one caller may do with a stored answer, another may not.

    Args:
        stages: The stages of the settings in force.
        resolved: The model, with the configured rules.
        given: The policy of the call, or None for the configured rules alone.
        masks: The placeholders of the conversation, or None.

    Raises:
        TypeError: `given` is no policy.
        ConfigError: A configured rule is not valid.
    """
    settings = resolved.guardrails
    if given is not None and not isinstance(given, ToolPolicy):
        raise TypeError(f"tool_policy must be a ToolPolicy, not {type(given).__name__}")
    if given is None and not settings.tools:
        return lambda chain: chain
    policy = given or stages.configured_tool_policy(resolved)
    try:
        policy.rules(settings.tools)
    except ConfigError as error:
        found = placed(error, stages.settings)
        if found is error:
            raise
        raise found from error
    return functools.partial(
        ToolPolicyProvider,
        policy=policy,
        configured=settings.tools,
        masks=masks,
        restore_tools=settings.restore_tools,
        on_answer=record_cost,
    )
