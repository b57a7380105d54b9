"""The settings of named models and of prices."""

from __future__ import annotations

from typing import Any

from pydantic import NonNegativeFloat

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalText, SettingsSection
from llmops_sdk.config.sections._caching import CacheSettings
from llmops_sdk.config.sections._calls import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.config.sections._guardrails import GuardrailSettings

__all__ = ["ModelSettings", "PriceSettings", "ProviderSettings"]


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

    model: str
    """Provider and model, e.g. "anthropic/claude-sonnet-4-5"."""
    base_url: OptionalText = None
    """The base URL of a compatible server."""
    api_key_env: OptionalText = None
    """The environment variable with the key, if it is not the provider's usual one."""
    fallbacks: Names = ()
    """Models to fall back to, in order: names from `[models]`, "provider/model" or URLs."""
    fallback: FallbackSettings | None = None
    """Overrides keys of `[fallback]`."""
    retry: RetrySettings | None = None
    """Overrides keys of `[retry]`."""
    timeout: Timeout | None = None
    """Overrides keys of `[timeout]`."""
    cache: CacheSettings | None = None
    """Overrides keys of `[cache]`."""
    guardrails: GuardrailSettings | None = None
    """Overrides keys of `[guardrails]`."""
    options: dict[str, Any] = {}
    """Options for the provider: for `offline/*` latency, tokens per second, failures, seed, script; else `extra`."""
