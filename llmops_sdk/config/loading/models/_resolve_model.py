"""Resolve a model as the caller writes it to everything that a call needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from llmops_sdk._util._public import public
from llmops_sdk.config.loading._layers import ARGUMENTS
from llmops_sdk.config.loading._prices import configured_price
from llmops_sdk.config.loading._problems import raise_if_any
from llmops_sdk.config.loading._settings import Settings
from llmops_sdk.config.loading.models._deployments import deployment_name, deployment_problems, sharing_of
from llmops_sdk.config.loading.models._model_names import (
    circle_problem,
    fallback_circle,
    fallbacks_of,
    model_chain,
    target_parts,
)
from llmops_sdk.config.loading.models._routes import route_of, route_problems
from llmops_sdk.config.sections._base import SettingsSection
from llmops_sdk.config.sections._caching import CacheSettings
from llmops_sdk.config.sections._calls import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.config.sections._guardrails import GuardrailSettings
from llmops_sdk.config.sections._models import PriceSettings
from llmops_sdk.config.sections._routing import RouterSettings
from llmops_sdk.config.sections._traffic import BalanceMode, BreakerSettings, HedgeSettings, LimitSettings

__all__ = ["ResolvedModel", "resolve_deployments", "resolve_model"]

_S = TypeVar("_S", bound=SettingsSection)


@public("llmops_sdk.config")
@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model, and the policies of calls to it.

    Attributes:
        name: The model as the caller wrote it, or the configured default.
        names: The names of `[models]` from `name` to the last one that it leads to; empty for "provider/model".
        model: Provider and model, e.g. "openai/gpt-4.1-mini".
        provider: The provider, e.g. "openai"; "openai_compatible" for a URL.
        base_url: The server's base URL, or None for the provider's own.
        api_key_env: The environment variable with the key, or None for the provider's usual one.
        fallbacks: The models to fall back to, in order, with the fallbacks of these at the end.
        fallback: The errors that cause a fallback.
        retry: The retry policy.
        timeout: The timeouts in seconds.
        cache: The cache.
        guardrails: The guards.
        options: Options for the provider.
        price: The configured price, or None to use the built-in table.
        limits: The limits on calls to this deployment.
        breaker: Its circuit breaker.
        hedge: When a second request is sent.
        deployments: The deployments that share the calls; see `resolve_deployments`. Empty for a single one.
        weights: A weight for each deployment, or empty for equal ones.
        balance: How a deployment is chosen.
        deployment: The name under which the calls to it share limits, a breaker and records: that of `[models]`, else
            provider and model, with host and port for a URL.
        caller: The model whose deployment this is, as the caller wrote it, or None.
        route: The models that its calls are routed among, the cheapest first; empty for a model that is not routed.
        router: How one of them is chosen.
        routed_by: The name of `[models]` that has the route, or "".
    """

    name: str
    model: str
    provider: str
    base_url: str | None
    api_key_env: str | None
    fallbacks: tuple[str, ...]
    fallback: FallbackSettings
    retry: RetrySettings
    timeout: Timeout
    cache: CacheSettings
    guardrails: GuardrailSettings
    options: Mapping[str, Any]
    price: PriceSettings | None
    names: tuple[str, ...] = ()
    limits: LimitSettings = field(default_factory=LimitSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    hedge: HedgeSettings = field(default_factory=HedgeSettings)
    deployments: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    balance: BalanceMode = "least_busy"
    deployment: str = ""
    caller: str | None = None
    route: tuple[str, ...] = ()
    router: RouterSettings = field(default_factory=RouterSettings)
    routed_by: str = ""


def resolve_model(settings: Settings, name: str | None = None) -> ResolvedModel:
    """Resolve a model to everything that a call to it needs.

    Args:
        settings: The settings in force.
        name: A name from `[models]`, "provider/model", or "https://server/v1#model"; None means `settings.model`.

    Raises:
        ConfigError: `name` is not a model, its deployments or its route are not valid, or named models or fallbacks
            form a circle.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> found = resolve_model(Settings(), "http://127.0.0.1:8000/v1#llama-3.2")
        >>> found.provider, found.model, found.base_url
        ('openai_compatible', 'openai/llama-3.2', 'http://127.0.0.1:8000/v1')
    """
    wanted = settings.model if name is None else name
    chain = _checked_chain(settings, wanted, "model")
    circle = fallback_circle(settings, wanted)
    raise_if_any([circle_problem(circle, ARGUMENTS.location, "fallbacks")] if circle else [])
    for link in chain:
        raise_if_any(list(deployment_problems(settings, link, ARGUMENTS.location)))
        raise_if_any(list(route_problems(settings, link, ARGUMENTS.location)))
    sharing = sharing_of(settings, chain)
    routing = route_of(settings, chain)
    found = _resolved(settings, wanted, chain)
    if routing is not None:
        # It has no server of its own; what only asks for one gets the default's.
        default = resolve_model(settings, routing.default)
        at_default: dict[str, Any] = {name: getattr(default, name) for name in _OF_SERVER}
        found = replace(found, route=routing.route, router=routing.router, routed_by=routing.name, **at_default)
    if sharing.deployments and not settings.models[chain[-1]].model:
        first = _deployment(settings, sharing.deployments[0], found)
        server: dict[str, Any] = {name: getattr(first, name) for name in _OF_SERVER}
        found = replace(found, **server)
    return replace(
        found,
        fallbacks=fallbacks_of(settings, wanted),
        deployments=sharing.deployments,
        weights=sharing.weights,
        balance=sharing.balance,
    )


def resolve_deployments(settings: Settings, resolved: ResolvedModel) -> tuple[ResolvedModel, ...]:
    """Resolve the deployments of a model, in order; without deployments return an empty tuple.

    The keys of a deployment's own entry in `[models]` come first, then those of the model, then the general ones.

    Args:
        settings: The settings in force.
        resolved: What `resolve_model` returned for the model.

    Raises:
        ConfigError: A deployment is not a model.

    Example:
        >>> from llmops_sdk.config import ModelSettings, Settings, resolve_deployments, resolve_model
        >>> pair = ModelSettings(deployments=("offline/echo", "offline/lorem"))
        >>> settings = Settings(models={"pair": pair})
        >>> [one.deployment for one in resolve_deployments(settings, resolve_model(settings, "pair"))]
        ['offline/echo', 'offline/lorem']
    """
    return tuple(_deployment(settings, name, resolved) for name in resolved.deployments)


def _deployment(settings: Settings, name: str, caller: ResolvedModel) -> ResolvedModel:
    return _resolved(settings, name, _checked_chain(settings, name, "deployments"), caller)


def _checked_chain(settings: Settings, name: str, key: str) -> list[str]:
    chain, problem = model_chain(settings, name, ARGUMENTS.location, key)
    raise_if_any([problem] if problem is not None else [])
    return chain


_OF_SERVER = ("model", "provider", "base_url", "api_key_env", "options", "price", "deployment")
"""The fields that belong to a server, not to the policies of a call."""


def _resolved(settings: Settings, wanted: str, chain: list[str], caller: ResolvedModel | None = None) -> ResolvedModel:
    """Resolve a single model; `caller` is the model whose deployment it is."""
    target = settings.models[chain[-1]].model if chain else wanted
    # The last entry wins, so put the name that the caller used at the end; a deployment's own names after that.
    own = [settings.models[link] for link in reversed(chain)]
    above = [settings.models[link] for link in reversed(caller.names if caller is not None else ())]
    entries = [*above, *own]
    options: dict[str, Any] = {}
    is_default = settings.model in {wanted, caller.name if caller is not None else wanted}
    for layer in ([settings.options] if is_default else []) + [entry.options for entry in entries]:
        options = _merged(options, layer)
    model, provider, url = target_parts(target)
    return ResolvedModel(
        name=wanted,
        names=tuple(chain),
        model=model,
        provider=provider,
        base_url=_last([*(entry.base_url for entry in above), url, *(entry.base_url for entry in own)]),
        api_key_env=_last([entry.api_key_env for entry in entries]),
        fallbacks=(),
        fallback=_policy(settings.fallback, [entry.fallback for entry in entries]),
        retry=_policy(settings.retry, [entry.retry for entry in entries]),
        timeout=_policy(settings.timeout, [entry.timeout for entry in entries]),
        limits=_policy(settings.limits, [entry.limits for entry in entries]),
        breaker=_policy(settings.breaker, [entry.breaker for entry in entries]),
        hedge=_policy(settings.hedge, [entry.hedge for entry in entries]),
        cache=_policy(settings.cache, [entry.cache for entry in entries]),
        guardrails=_policy(settings.guardrails, [entry.guardrails for entry in entries]),
        options=options,
        price=configured_price(settings.prices, [*chain, *(caller.names if caller is not None else ()), model]),
        deployment=deployment_name(settings, chain, model, url),
        caller=None if caller is None else caller.name,
    )


def _last(choices: list[str | None]) -> str | None:
    return next((choice for choice in reversed(choices) if choice is not None), None)


def _policy(base: _S, partial: list[_S | None]) -> _S:
    """Return the general section, overridden by the keys that named models set."""
    for section in partial:
        if section is not None:
            update = {name: getattr(section, name) for name in section.model_fields_set}
            if isinstance(base, GuardrailSettings) and "tools" in update:
                # A model's rules for some tools leave the general rules for the others in force.
                update["tools"] = {**base.tools, **update["tools"]}
            base = base.model_copy(update=update)
    return base


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for name, value in above.items():
        inner = result.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            result[name] = _merged(cast("dict[str, Any]", inner), cast("dict[str, Any]", value))
        else:
            result[name] = value
    return result
