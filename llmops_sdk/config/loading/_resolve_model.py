"""From what the caller wrote for a model to everything that a call to it needs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from llmops_sdk._util._public import public
from llmops_sdk.config.loading._layers import ARGUMENTS
from llmops_sdk.config.loading._problems import Problem, failure
from llmops_sdk.config.loading._settings import Settings
from llmops_sdk.config.sections._models import (
    CacheSettings,
    FallbackSettings,
    GuardrailSettings,
    PriceSettings,
    RetrySettings,
    Section,
    SettingsFields,
    Timeout,
)

__all__ = ["ResolvedModel", "circle_problem", "fallback_circle", "model_chain", "model_problem", "resolve_model"]

_FORMS = (
    'a name from [models], "provider/model" as in "openai/gpt-4.1-mini", '
    'or "https://server/v1#model" for an OpenAI-compatible server'
)
_URL = re.compile(r"(?P<base>https?://[^\s#]+)(?:#(?P<model>\S*))?", re.IGNORECASE)
_QUALIFIED = re.compile(r"[A-Za-z0-9][\w.-]*/\S+")

_S = TypeVar("_S", bound=Section)


@public("llmops_sdk.config")
@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model, and the policies that hold for calls to it.

    Attributes:
        name: What the caller wrote, or the configured default.
        model: Provider and model, as in "openai/gpt-4.1-mini".
        provider: The provider, as in "openai"; "openai_compatible" for a URL.
        base_url: The server's base URL, or None for the provider's own.
        api_key_env: The environment variable that holds the key, or None for the provider's usual one.
        fallbacks: The models to go on to when it fails, as they are named, with the fallbacks of these at the end.
        fallback: Which errors go on to them.
        retry: When to try again.
        timeout: The bounds in seconds.
        cache: The cache.
        guardrails: The guards.
        options: For the provider.
        price: The configured price, or None when the built-in table is to be asked.
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


def resolve_model(settings: Settings, name: str | None = None) -> ResolvedModel:
    """Everything that a call to a model needs.

    Args:
        settings: The settings in force.
        name: A name from `[models]`, "provider/model", or "https://server/v1#model"; None is `settings.model`.

    Raises:
        ConfigError: It is none of these, or named models or fallbacks point to each other in a circle.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> found = resolve_model(Settings(), "http://127.0.0.1:8000/v1#llama-3.2")
        >>> found.provider, found.model, found.base_url
        ('openai_compatible', 'openai/llama-3.2', 'http://127.0.0.1:8000/v1')
    """
    wanted = settings.model if name is None else name
    chain, problem = _chain(settings, wanted, ARGUMENTS.where, "model")
    if problem is None and (circle := fallback_circle(settings, wanted)):
        problem = circle_problem(circle, ARGUMENTS.where, "fallbacks")
    if problem is not None:
        raise failure([problem])
    target = settings.models[chain[-1]].model if chain else wanted
    # From the innermost name outwards, so that what the caller asked for by name wins.
    entries = [settings.models[link] for link in reversed(chain)]
    options: dict[str, Any] = {}
    for layer in ([settings.options] if wanted == settings.model else []) + [entry.options for entry in entries]:
        options = _merged(options, layer)
    model, provider, base_url = _target(target)
    return ResolvedModel(
        name=wanted,
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
        price=settings.prices.get(model) or settings.prices.get(model.partition("/")[2]),
    )


def model_problem(settings: SettingsFields, wanted: str, source: str, key: str) -> Problem | None:
    """What is wrong with a model that a configuration names, or None."""
    return _chain(settings, wanted, source, key)[1]


def model_chain(settings: SettingsFields, wanted: str) -> tuple[str, ...]:
    """The names of `[models]` that a model's name leads over, the one wanted first; none for "provider/model"."""
    return tuple(_chain(settings, wanted, "", "")[0])


def fallback_circle(settings: SettingsFields, start: str) -> list[str]:
    """The way from a model over fallbacks back to it, or nothing."""
    before: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        for target in _own_fallbacks(settings, name):
            if target == start:
                back = [start, name]
                while back[-1] != start:
                    back.append(before[back[-1]])
                return back[::-1]
            if target not in before:
                before[target] = name
                waiting.append(target)
    return []


def circle_problem(circle: list[str], source: str, key: str) -> Problem:
    """What is wrong with fallbacks that go in a circle."""
    way = " -> ".join(circle)
    text = (
        f"{source}: {key}: fallbacks lead back to where they began: {way}. "
        'Take one of them out, or give a model of its own "fallbacks = []".'
    )
    return Problem(message=text, source=source, key=key, value=circle[0])


def _own_fallbacks(settings: SettingsFields, wanted: str) -> tuple[str, ...]:
    """The fallbacks that are set for a model, by itself or by a named model that it points to."""
    for link in _chain(settings, wanted, "", "")[0]:
        if "fallbacks" in settings.models[link].model_fields_set:
            return settings.models[link].fallbacks
    return settings.fallbacks if wanted == settings.model else ()


def _fallbacks(settings: SettingsFields, wanted: str) -> tuple[str, ...]:
    """The fallbacks of a model, then those of these, and so on; each once."""
    found = list(dict.fromkeys(_own_fallbacks(settings, wanted)))
    for name in found:  # grows while it is read
        found += [one for one in _own_fallbacks(settings, name) if one not in found and one != wanted]
    return tuple(found)


def _chain(settings: SettingsFields, wanted: str, source: str, key: str) -> tuple[list[str], Problem | None]:
    """The named models from the one wanted to the last; and what is wrong, if anything."""
    chain: list[str] = []
    target = wanted
    while (entry := settings.models.get(target)) is not None:
        if target in chain:
            circle = " -> ".join([*chain, target])
            text = (
                f"{source}: {key}: named models point to each other in a circle: {circle}. "
                'Give one of them a "provider/model".'
            )
            return chain, Problem(message=text, source=source, key=key, value=wanted)
        chain.append(target)
        if entry.model == target and "/" in target:
            # [models."openai/gpt-4.1"] with that same model: settings for a model under its own name.
            break
        target = entry.model
    return chain, _target_problem(settings, target, source, key)


def _target_problem(settings: SettingsFields, target: str, source: str, key: str) -> Problem | None:
    nearest: str | None = None
    if url := _URL.fullmatch(target):
        if url["model"]:
            return None
        why = f'the URL lacks the model: write it after a "#", as in "{url["base"]}#model-name"'
    elif "://" in target or (not _QUALIFIED.fullmatch(target) and "/" in target):
        why = f"it must be {_FORMS}"
    elif "/" in target:
        return None
    else:
        found = difflib.get_close_matches(target, settings.models, n=1, cutoff=0.0)
        nearest = found[0] if found else None
        instead = f"; the nearest is {nearest!r}" if nearest else ""
        why = f"there is no such name in [models]{instead}. It must be {_FORMS}"
    text = f"{source}: {key} = {target!r} is not a model: {why}."
    return Problem(message=text, source=source, key=key, value=target, nearest=nearest)


def _target(target: str) -> tuple[str, str, str | None]:
    """Model, provider and base URL."""
    if url := _URL.fullmatch(target):
        return f"openai/{url['model']}", "openai_compatible", url["base"]
    return target, target.partition("/")[0], None


def _last(choices: list[str | None]) -> str | None:
    return next((choice for choice in reversed(choices) if choice is not None), None)


def _policy(base: _S, partial: list[_S | None]) -> _S:
    """The general section with the keys that a named model sets in their place."""
    for section in partial:
        if section is not None:
            base = base.model_copy(update={name: getattr(section, name) for name in section.model_fields_set})
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
