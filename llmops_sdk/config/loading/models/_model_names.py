"""The names of models: what they lead to, and the circles and unknown names among them."""

from __future__ import annotations

import difflib
import re

from llmops_sdk.config._secrets import without_url_secrets
from llmops_sdk.config.loading._problems import Problem
from llmops_sdk.config.sections._fields import SettingsFields

__all__ = [
    "circle_problem",
    "fallback_circle",
    "fallbacks_of",
    "is_target",
    "model_chain",
    "model_problem",
    "target_parts",
]

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


def is_target(name: str) -> bool:
    """Return whether a text names a provider's model or a URL by itself, without `[models]`.

    Example:
        >>> is_target("openai/gpt-4.1"), is_target("http://127.0.0.1:8000/v1#llama"), is_target("gpt-4.1")
        (True, True, False)
    """
    return bool(_URL.fullmatch(name) or _QUALIFIED.fullmatch(name))


def model_problem(settings: SettingsFields, wanted: str, source: str, key: str) -> Problem | None:
    """Return the problem of a model in the configuration, or None."""
    return model_chain(settings, wanted, source, key)[1]


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
    for link in model_chain(settings, wanted, "", "")[0]:
        if "fallbacks" in settings.models[link].model_fields_set:
            return settings.models[link].fallbacks
    return settings.fallbacks if wanted == settings.model else ()


def fallbacks_of(settings: SettingsFields, wanted: str) -> tuple[str, ...]:
    """Return the fallbacks of a model, then the fallbacks of these, and so on, without duplicates."""
    found = list(dict.fromkeys(_own_fallbacks(settings, wanted)))
    for name in found:  # the loop appends to this list
        found += [one for one in _own_fallbacks(settings, name) if one not in found and one != wanted]
    return tuple(found)


def model_chain(settings: SettingsFields, wanted: str, source: str, key: str) -> tuple[list[str], Problem | None]:
    """Return the named models from the given one to the last, and the problem if there is one."""
    chain: list[str] = []
    target = wanted
    while (entry := settings.models.get(target)) is not None:
        if target in chain:
            circle = " -> ".join([*chain, target])
            text = f'{source}: {key}: named models form a circle: {circle}. Set one of them to a "provider/model".'
            return chain, Problem(message=text, source=source, key=key, value=wanted)
        chain.append(target)
        if not entry.model:
            return chain, None  # its deployments or the models of its route serve the calls
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


def target_parts(target: str) -> tuple[str, str, str | None]:
    """Return model, provider and base URL."""
    if url := _URL.fullmatch(target):
        return f"openai/{url['model']}", "openai_compatible", url["base"]
    return target, target.partition("/")[0], None
