"""The stages between the retries of a model and its providers. With everything off there is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmops_sdk.client._shared import CALL_CLOCK
from llmops_sdk.config import ResolvedModel, Settings, resolve_deployments
from llmops_sdk.providers import Provider

# The stages are imported in the functions below: a program without them does not pay for them.

__all__ = ["Served", "identity_of", "serve"]


@dataclass(frozen=True, slots=True)
class Served:
    """What serves a model.

    Attributes:
        provider: The stages, or the provider by itself.
        routes: Whether a stage hedges, or chooses among deployments.
        deployment: The model's own name as a deployment, or None if it has no name or several deployments.
        deployments: Its deployments and their providers, or empty.
    """

    provider: Provider
    routes: bool
    deployment: str | None
    deployments: tuple[tuple[ResolvedModel, Provider], ...] = ()


def serve(settings: Settings, resolved: ResolvedModel, open_one: Callable[[ResolvedModel], Provider]) -> Served:
    """Return what serves a model.

    The statistics of hedging and balancing belong to the process: other settings and other `LLM`s go on with them.

    Args:
        settings: The settings in force.
        resolved: The model.
        open_one: Returns the provider of the model, or of one of its deployments.
    """
    if resolved.deployments:
        deployments = tuple((one, open_one(one)) for one in resolve_deployments(settings, resolved))
        provider = _balanced(settings, resolved, deployments)
    else:
        deployments = ()
        provider = _controlled(settings, resolved, open_one(resolved))
    if resolved.hedge.is_on:
        provider = _hedged(resolved, provider)
    own_name = resolved.deployment if resolved.names and not deployments else None
    return Served(provider, bool(deployments) or resolved.hedge.is_on, own_name or None, deployments)


def _controlled(settings: Settings, resolved: ResolvedModel, provider: Provider, names: Sequence[str] = ()) -> Provider:
    if not (resolved.limits.is_on or resolved.breaker.is_on or settings.budgets):
        return provider
    from llmops_sdk.resilience.traffic._open import traffic_provider
    from llmops_sdk.shared._open import open_state

    state = open_state(settings.shared, CALL_CLOCK)
    return traffic_provider(resolved, provider, settings=settings, state=state, clock=CALL_CLOCK, names=names)


def _balanced(
    settings: Settings, resolved: ResolvedModel, deployments: Sequence[tuple[ResolvedModel, Provider]]
) -> Provider:
    from llmops_sdk.resilience.balance import BalanceProvider, Deployment, balancer_of

    names = (resolved.name, *resolved.names)
    stages = [
        Deployment(one.deployment, one.model, _controlled(settings, one, provider, names))
        for one, provider in deployments
    ]
    weights = resolved.weights or (1.0,) * len(stages)
    balancer = balancer_of(resolved.name, tuple(stage.name for stage in stages), resolved.balance, weights)
    return BalanceProvider(stages, balancer, clock=CALL_CLOCK, name=resolved.name)


def _hedged(resolved: ResolvedModel, provider: Provider) -> Provider:
    from llmops_sdk.resilience.hedging import HedgeProvider, policies_of

    name = resolved.name if resolved.deployments else resolved.deployment or resolved.model
    policies = policies_of(name, resolved.hedge)
    return HedgeProvider(provider, resolved.hedge, clock=CALL_CLOCK, name=name, policies=policies)


def identity_of(resolved: ResolvedModel, served: Served) -> str:
    """Return what distinguishes models of the same name for a cache: their servers, and their options."""
    server: object = getattr(served.provider, "server", None)
    if served.deployments:
        server = [
            [one.model, one.base_url, getattr(provider, "server", None), one.options]
            for one, provider in served.deployments
        ]
    return json.dumps([resolved.base_url, server, resolved.options], sort_keys=True, default=str)
