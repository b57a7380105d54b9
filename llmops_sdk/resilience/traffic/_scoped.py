"""Count the calls inside `@budget` and `with budget:` where the settings have no stage for that."""

from __future__ import annotations

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import ResolvedModel
from llmops_sdk.providers import Provider
from llmops_sdk.resilience.budgets._estimate import Estimator
from llmops_sdk.resilience.budgets._scopes import ScopedBudgets
from llmops_sdk.resilience.traffic._provider import TrafficProvider

__all__ = ["scoped_provider"]


def scoped_provider(resolved: ResolvedModel, provider: Provider, clock: Clock, before: Provider | None) -> Provider:
    """Return the provider with the budgets that are open around each call.

    Args:
        resolved: The model.
        provider: The provider to call.
        clock: The time.
        before: What an earlier call got, or None. What it has learned about the model's answers stays.
    """
    learned = before.gates.estimator if isinstance(before, TrafficProvider) else None
    return TrafficProvider(
        provider,
        resolved.deployment or resolved.model,
        budgets=ScopedBudgets(clock),
        clock=clock,
        estimator=learned or Estimator(resolved),
        names=(resolved.name, *resolved.names, resolved.model),
    )
