"""The settings of named models and of prices."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import MissingKeyError, Names, OptionalText, OrNone, SettingsSection
from llmops_sdk.config.sections._caching import CacheSettings
from llmops_sdk.config.sections._calls import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.config.sections._guardrails import GuardrailSettings
from llmops_sdk.config.sections._routing import RouterSettings
from llmops_sdk.config.sections._traffic import BalanceMode, BreakerSettings, HedgeSettings, LimitSettings

__all__ = ["ModelSettings", "PriceSettings", "ProviderSettings"]

_Weight = Annotated[float, Field(gt=0, le=1_000_000)]


@public("llmops_sdk.config")
class ProviderSettings(SettingsSection):
    """How real models are called."""

    warm_up: bool = False
    """True imports the library behind real models in a thread when the configuration is loaded, as `warm_up()` does."""


@public("llmops_sdk.config")
class PriceSettings(SettingsSection):
    """The price of a model in USD per million tokens."""

    input: NonNegativeFloat
    """USD per million input tokens."""
    output: NonNegativeFloat = 0.0
    """USD per million output tokens."""
    cache_read: NonNegativeFloat | None = None
    """USD per million input tokens that the provider reads from its own cache. Default: the input price."""
    cache_write: NonNegativeFloat | None = None
    """USD per million input tokens that the provider writes to its own cache. Default: the input price."""


@public("llmops_sdk.config")
class ModelSettings(SettingsSection):
    """A named model, for calls with `model="smart"`."""

    model: str = ""
    """Provider and model, e.g. "anthropic/claude-sonnet-4-5". Required unless there are `deployments` or a
    `route`."""
    base_url: OptionalText = None
    """The base URL of a compatible server."""
    api_key_env: OptionalText = None
    """The environment variable with the key, if it is not the provider's usual one."""
    fallbacks: Names = ()
    """Models to fall back to, in order: names from `[models]`, "provider/model" or URLs."""
    deployments: Names = ()
    """The deployments that share the calls: names from `[models]`, "provider/model" or URLs."""
    weights: Annotated[tuple[_Weight, ...], Field(strict=False)] = ()
    """The share of each deployment, in the same order, e.g. `[3, 1]`. Default: equal shares."""
    balance: Annotated[BalanceMode | None, OrNone] = None
    """How to choose a deployment: by the weights alone, the one with the fewest calls in flight for its weight, or the
    fastest one. Default: "least_busy"."""
    route: Names = ()
    """The models that calls are routed among, the cheapest first: names from `[models]` or "provider/model"."""
    router: RouterSettings | None = None
    """How a model of `route` is chosen."""
    context_window: Annotated[PositiveInt | None, OrNone] = None
    """The most tokens of a prompt and its answer. Default: as the built-in table says. Routes leave out models that
    cannot take a call."""
    tools: Annotated[bool | None, OrNone] = None
    """Whether the model calls tools. Default: as the built-in table says."""
    images: Annotated[bool | None, OrNone] = None
    """Whether the model sees images. Default: as the built-in table says."""
    schema_: Annotated[bool | None, OrNone] = Field(default=None, alias="schema")
    """Whether the model's answers follow a JSON schema. Default: as the built-in table says."""
    fallback: FallbackSettings | None = None
    """Overrides keys of `[fallback]`."""
    retry: RetrySettings | None = None
    """Overrides keys of `[retry]`."""
    timeout: Timeout | None = None
    """Overrides keys of `[timeout]`."""
    limits: LimitSettings | None = None
    """Overrides keys of `[limits]`."""
    breaker: BreakerSettings | None = None
    """Overrides keys of `[breaker]`."""
    hedge: HedgeSettings | None = None
    """Overrides keys of `[hedge]`."""
    cache: CacheSettings | None = None
    """Overrides keys of `[cache]`."""
    guardrails: GuardrailSettings | None = None
    """Overrides keys of `[guardrails]`."""
    options: dict[str, Any] = {}
    """Options for the provider: for `offline/*` latency, tokens per second, failures, seed, script; else `extra`."""

    @model_validator(mode="after")
    def _check_model(self) -> ModelSettings:
        if not self.model and not self.deployments and not self.route:
            raise MissingKeyError("model")
        return self
