"""Put the stage of traffic control around the provider of a deployment."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import ResolvedModel, Settings
from llmops_sdk.providers import Provider
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._estimate import Estimator
from llmops_sdk.resilience.budgets._spent import start_reader
from llmops_sdk.resilience.traffic._provider import TrafficProvider
from llmops_sdk.resilience.traffic._registry import budgets_of, deployment_of
from llmops_sdk.shared._decisions import record_decision
from llmops_sdk.shared._state import SharedState

__all__ = ["traffic_provider"]


def traffic_provider(
    resolved: ResolvedModel,
    provider: Provider,
    *,
    settings: Settings,
    state: SharedState,
    clock: Clock = SYSTEM_CLOCK,
    names: Sequence[str] = (),
) -> Provider:
    """Return the provider with the limits, breaker and budgets of its deployment; itself when none of them is on.

    Args:
        resolved: The deployment, with its policies.
        provider: The provider to call.
        settings: The settings in force, for the budgets.
        state: Where limits, pauses and budgets are kept.
        clock: The time.
        names: More names by which a budget may mean the call, e.g. that of the model whose deployment this is.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> from llmops_sdk.providers import open_provider
        >>> from llmops_sdk.resilience.traffic._open import traffic_provider
        >>> from llmops_sdk.shared._local import LocalState
        >>> def opened(**given):
        ...     settings = Settings(model="offline/echo", **given)
        ...     resolved = resolve_model(settings)
        ...     return traffic_provider(resolved, open_provider(resolved), settings=settings, state=LocalState())
        >>> type(opened()).__name__, type(opened(breaker={"failures": 5})).__name__
        ('OfflineProvider', 'TrafficProvider')
    """
    if not (resolved.limits.is_on or resolved.breaker.is_on or settings.budgets):
        return provider
    deployment = deployment_of(resolved.deployment, clock)
    budgets = None
    if settings.budgets:
        budgets = budgets_of(
            settings.budgets,
            state,
            lambda: Budgets(
                settings.budgets, state, clock, start=start_reader(settings, state), record=record_decision
            ),
        )
    return TrafficProvider(
        provider,
        deployment.name,
        limiter=deployment.limit(resolved.limits, state) if resolved.limits.is_on else None,
        breaker=deployment.guard(resolved.breaker, state) if resolved.breaker.is_on else None,
        budgets=budgets,
        clock=clock,
        estimator=Estimator(resolved),
        names=(resolved.name, *resolved.names, resolved.model, *names),
        limits=resolved.limits,
        calls=deployment.calls,
    )
