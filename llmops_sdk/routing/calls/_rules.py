"""The rules of a routed model: which calls meet their conditions, and what that means for the choice."""

from __future__ import annotations

from collections.abc import Mapping

from llmops_sdk.config import RouteRule
from llmops_sdk.routing.calls._facts import CallFacts

__all__ = ["apply_rules"]


def apply_rules(
    rules: Mapping[str, RouteRule], facts: CallFacts, able: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...] | None, str | None, str | None]:
    """Return the models that remain, those that the rules allow at all or None for any, and the chosen one if any.

    Args:
        rules: The rules by name, in order.
        facts: Of the call.
        able: The candidates that can take the call.

    Returns:
        The candidates that remain, the models that rules with `only` allow or None without such a rule, the model that
        a rule chooses or None, and that rule's name.
    """
    only: tuple[str, ...] | None = None
    for rule in rules.values():
        if rule.only and _is_met(rule, facts):
            only = tuple(one for one in rule.only if only is None or one in only)
    left = able if only is None else tuple(one for one in able if one in only)
    for name, rule in rules.items():
        if rule.model in left and _is_met(rule, facts):
            return left, only, rule.model, name
    return left, only, None, None


def _is_met(rule: RouteRule, facts: CallFacts) -> bool:
    return (
        (not rule.tags or set(rule.tags) <= set(facts.tags))
        and (not rule.prompt_names or facts.prompt_name in rule.prompt_names)
        and (rule.tools is None or rule.tools == facts.tools)
        and (rule.images is None or rule.images == facts.images)
        and (rule.longer_than is None or facts.characters > rule.longer_than)
    )
