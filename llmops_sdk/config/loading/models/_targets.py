"""Mistakes in a list of models that one entry of `[models]` chooses from."""

from __future__ import annotations

from typing import Literal

from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._problems import Problem
from llmops_sdk.config.loading.models._model_names import model_chain, model_problem
from llmops_sdk.config.sections._fields import SettingsFields

__all__ = ["problem_of_value", "target_problem"]

_ADVICE = {
    "deployments": ("Name a provider's model", "has deployments of its own. List those here"),
    "route": ("Name another model", "has a route of its own. List its models here"),
}


def target_problem(
    settings: SettingsFields, name: str, key: Literal["deployments", "route"], target: str, source: str
) -> Problem | None:
    """Return what is wrong with one model of such a list, or None.

    Args:
        settings: The settings.
        name: The entry that has the list.
        key: The list's key.
        target: The model in the list.
        source: The file, or what else has the entry.
    """
    path = ("models", name, key)
    if target not in settings.models:
        return model_problem(settings, target, source, dotted(path))
    chain = model_chain(settings, target, source, dotted(path))[0]
    other, nested = _ADVICE[key]
    if name in chain:
        circle = " -> ".join([name, *chain[: chain.index(name)], name])
        return problem_of_value(source, path, target, f"leads back to this model ({circle}). {other}")
    deeper = next((link for link in chain if getattr(settings.models[link], key)), None)
    if deeper is None:
        return None
    return problem_of_value(source, path, target, f"leads to [models.{deeper}], which {nested}")


def problem_of_value(source: str, path: KeyPath, value: object, why: str) -> Problem:
    """Return the problem of a value that is wrong in its place.

    Args:
        source: The file, or what else has the value.
        path: The key.
        value: The value.
        why: What is wrong with it, and what to do: two sentences, the last one without its full stop.
    """
    key = dotted(path)
    return Problem(message=f"{source}: {key}: {value!r} {why}.", source=source, key=key, value=value)
