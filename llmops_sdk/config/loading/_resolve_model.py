"""Resolve a model as the caller writes it to everything that a call needs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llmops_sdk._util._public import public
from llmops_sdk.config._secrets import without_url_secrets
from llmops_sdk.config.loading._layers import ARGUMENTS
from llmops_sdk.config.loading._prices import configured_price
from llmops_sdk.config.loading._problems import Problem, config_error
from llmops_sdk.config.loading._settings import Settings
from llmops_sdk.config.sections._base import SettingsSection
from llmops_sdk.config.sections._caching import CacheSettings
from llmops_sdk.config.sections._calls import FallbackSettings, RetrySettings, Timeout
from llmops_sdk.config.sections._fields import SettingsFields
from llmops_sdk.config.sections._guardrails import GuardrailSettings
from llmops_sdk.config.sections._models import PriceSettings

__all__ = ["ResolvedModel", "circle_problem", "fallback_circle", "is_target", "model_problem", "resolve_model"]

_FORMS = (
    'a name from [models], "provider/model", e.g. "openai/gpt-4.1-mini", '
    'or "https://server/v1#model" for an OpenAI-compatible server'
)
_URL = re.compile(r"(?P<base>https?://[^\s#]+)(?:#(?P<model>\S*))?", re.IGNORECASE)
_QUALIFIED = re.compile(r"[A-Za-z0-9][\w.-]*/\S+")

_VENDORS = {
    "gpt-": "openai", "chatgpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "text-embedding-": "openai",
    "claude": "anthropic", "gemini": "gemini", "mistral": "mistral", "mixtral": "mistral", "codestral": "mistral",
    "ministral": "mistral", "magistral": "mistral", "command": "cohere", "deepseek": "deepseek", "grok": "xai",
    "sonar": "perplexity", "llama": "ollama", "qwen": "ollama", "gemma": "ollama", "phi": "ollama", "echo": "offline",
}  # fmt: skip
"""How the names of vendors' models begin, for a name without its provider."""

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


def resolve_model(settings: Settings, name: str | None = None) -> ResolvedModel:
    """Resolve a model to everything that a call to it needs.

    Args:
        settings: The settings in force.
        name: A name from `[models]`, "provider/model", or "https://server/v1#model"; None means `settings.model`.

    Raises:
        ConfigError: `name` is not a model, or named models or fallbacks form a circle.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> found = resolve_model(Settings(), "http://127.0.0.1:8000/v1#llama-3.2")
        >>> found.provider, found.model, found.base_url
        ('openai_compatible', 'openai/llama-3.2', 'http://127.0.0.1:8000/v1')
    """
    wanted = settings.model if name is None else name
    chain, problem = _chain(settings, wanted, ARGUMENTS.location, "model")
    if problem is None and (circle := fallback_circle(settings, wanted)):
        problem = circle_problem(circle, ARGUMENTS.location, "fallbacks")
    if problem is not None:
        raise config_error([problem])
    target = settings.models[chain[-1]].model if chain else wanted
    # The last entry wins, so put the name that the caller used at the end.
    entries = [settings.models[link] for link in reversed(chain)]
    options: dict[str, Any] = {}
    for layer in ([settings.options] if wanted == settings.model else []) + [entry.options for entry in entries]:
        options = _merged(options, layer)
    model, provider, base_url = _target(target)
    return ResolvedModel(
        name=wanted,
        names=tuple(chain),
        model=model,
        provider=provider,
        base_url=_last([base_url, *(entry.base_url for entry in entries)]),
        api_key_env=_last([entry.api_key_env for entry in entries]),
        fallbacks=_fallbacks(settings, wanted),
        fallback=_policy(settings.fallback, [entry.fallback for entry in entries]),
        retry=_policy(settings.retry, [entry.retry for entry in entries]),
        timeout=_policy(settings.timeout, [entry.timeout for entry in entries]),
        cache=_policy(settings.cache, [entry.cache for entry in entries]),
        guardrails=_policy(settings.guardrails, [entry.guardrails for entry in entries]),
        options=options,
        price=configured_price(settings.prices, [*chain, model]),
    )


def is_target(name: str) -> bool:
    """Return whether a text names a provider's model or a URL by itself, without `[models]`.

    Example:
        >>> is_target("openai/gpt-4.1"), is_target("http://127.0.0.1:8000/v1#llama"), is_target("gpt-4.1")
        (True, True, False)
    """
    return bool(_URL.fullmatch(name) or _QUALIFIED.fullmatch(name))


def model_problem(settings: SettingsFields, wanted: str, source: str, key: str) -> Problem | None:
    """Return the problem of a model in the configuration, or None."""
    return _chain(settings, wanted, source, key)[1]


def fallback_circle(settings: SettingsFields, start: str) -> list[str]:
    """Return the circle of fallbacks from a model back to it, or an empty list."""
    previous: dict[str, str] = {}
    pending = [start]
    while pending:
        name = pending.pop()
        for target in _own_fallbacks(settings, name):
            if target == start:
                back = [start, name]
                while back[-1] != start:
                    back.append(previous[back[-1]])
                return back[::-1]
            if target not in previous:
                previous[target] = name
                pending.append(target)
    return []


def circle_problem(circle: list[str], source: str, key: str) -> Problem:
    """Return the problem of fallbacks that form a circle."""
    text = (
        f"{source}: {key}: fallbacks form a circle: {' -> '.join(circle)}. "
        'Remove one of them, or set "fallbacks = []" for one of the models.'
    )
    return Problem(message=text, source=source, key=key, value=circle[0])


def _own_fallbacks(settings: SettingsFields, wanted: str) -> tuple[str, ...]:
    """Return the fallbacks of a model or of a named model that it points to."""
    for link in _chain(settings, wanted, "", "")[0]:
        if "fallbacks" in settings.models[link].model_fields_set:
            return settings.models[link].fallbacks
    return settings.fallbacks if wanted == settings.model else ()


def _fallbacks(settings: SettingsFields, wanted: str) -> tuple[str, ...]:
    """Return the fallbacks of a model, then the fallbacks of these, and so on, without duplicates."""
    found = list(dict.fromkeys(_own_fallbacks(settings, wanted)))
    for name in found:  # the loop appends to this list
        found += [one for one in _own_fallbacks(settings, name) if one not in found and one != wanted]
    return tuple(found)


def _chain(settings: SettingsFields, wanted: str, source: str, key: str) -> tuple[list[str], Problem | None]:
    """Return the named models from the given one to the last, and the problem if there is one."""
    chain: list[str] = []
    target = wanted
    while (entry := settings.models.get(target)) is not None:
        if target in chain:
            circle = " -> ".join([*chain, target])
            text = f'{source}: {key}: named models form a circle: {circle}. Set one of them to a "provider/model".'
            return chain, Problem(message=text, source=source, key=key, value=wanted)
        chain.append(target)
        if entry.model == target and "/" in target:
            # An entry [models."openai/gpt-4.1"] may configure the model of the same name.
            break
        target = entry.model
    return chain, _target_problem(settings, target, source, key)


def _target_problem(settings: SettingsFields, target: str, source: str, key: str) -> Problem | None:
    nearest: str | None = None
    if url := _URL.fullmatch(target):
        if url["model"]:
            return None
        base = without_url_secrets(url["base"])
        why = f'the URL has no model: append it after a "#", e.g. "{base}#model-name"'
    elif "://" in target or (not _QUALIFIED.fullmatch(target) and "/" in target):
        why = f"it must be {_FORMS}"
    elif "/" in target:
        return None
    else:
        found = difflib.get_close_matches(target, settings.models, n=1, cutoff=0.6)
        nearest = found[0] if found else _with_provider(target)
        hint = "."
        if nearest is not None:
            hint = f"; did you mean {nearest!r}?" if "/" in nearest else f"; the nearest is {nearest!r}."
        why = f"[models] does not have this name{hint} It must be {_FORMS}"
    shown = without_url_secrets(target)
    text = f"{source}: {key} = {shown!r} is not a model: {why}."
    return Problem(message=text, source=source, key=key, value=shown, nearest=nearest)


def _with_provider(target: str) -> str | None:
    """Return a vendor's bare model name with its provider, or None."""
    name = target.strip().lower()
    provider = next((provider for prefix, provider in _VENDORS.items() if name.startswith(prefix)), None)
    return f"{provider}/{target.strip()}" if provider else None


def _target(target: str) -> tuple[str, str, str | None]:
    """Return model, provider and base URL."""
    if url := _URL.fullmatch(target):
        return f"openai/{url['model']}", "openai_compatible", url["base"]
    return target, target.partition("/")[0], None


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
