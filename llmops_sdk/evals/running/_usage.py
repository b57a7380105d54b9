"""What the calls to models of a task or a scorer used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_sdk.client.serving._watched_calls import WatchedCall
from llmops_sdk.config import Settings, resolve_model
from llmops_sdk.errors import ConfigError
from llmops_sdk.evals.identity._digest import digest

__all__ = ["ModelConfigurations", "ServedNow", "Usage", "served_by", "usage_of"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The sums of some calls; None where unknown, as for calls of other libraries.

    Attributes:
        cost: USD of the calls with a known price, or None if none has one.
        input_tokens: Tokens of the prompts.
        output_tokens: Tokens of the answers.
        models: The models that served, in order of their first call.
        trace_id: The trace of the first call.
    """

    cost: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    models: tuple[str, ...] = ()
    trace_id: str | None = None


def usage_of(calls: Sequence[WatchedCall]) -> Usage:
    """Return the sums of some calls.

    Args:
        calls: The calls.
    """
    if not calls:
        return Usage()
    costs = [call.cost for call in calls if call.cost is not None]
    return Usage(
        cost=math.fsum(costs) if costs else None,
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        models=tuple(dict.fromkeys(call.model for call in calls)),
        trace_id=next((call.trace_id for call in calls if call.trace_id), None),
    )


class ModelConfigurations:
    """The configurations of models, as digests of what their answers depend on.

    Args:
        settings: The settings in force.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, str | None] = {}

    def digest(self, requested: str) -> str | None:
        """Return the digest of a model's configuration; None if it has none any more.

        Args:
            requested: The model as the caller or the configuration writes it.
        """
        if requested not in self._known:
            self._known[requested] = self._made(requested)
        return self._known[requested]

    def _made(self, requested: str) -> str | None:
        try:
            model = resolve_model(self._settings, requested)
        except ConfigError:
            return None
        options = {name: repr(value) for name, value in sorted(model.options.items())}
        guards = model.guardrails.model_dump(mode="json")
        return digest([model.model, model.base_url, model.fallbacks, options, guards])[:16]


def served_by(calls: Sequence[WatchedCall], configurations: ModelConfigurations) -> dict[str, Any]:
    """Return which models served, by requested model, with the digest of its configuration.

    Args:
        calls: The calls.
        configurations: The configurations in force.
    """
    found: dict[str, dict[str, Any]] = {}
    for call in calls:
        entry = found.setdefault(call.requested, {"models": [], "config": configurations.digest(call.requested)})
        if call.model not in entry["models"]:
            entry["models"].append(call.model)
    return found


class ServedNow:
    """Which model serves each requested one now: the newest call in the store, then each new call of this run.

    Args:
        configurations: The configurations in force.
        newest: The model that served the newest call, by requested model.
    """

    def __init__(self, configurations: ModelConfigurations, newest: Mapping[str, str]) -> None:
        self._configurations = configurations
        self._newest = dict(newest)
        self.moved = False
        """Whether a stored result was of a model, or of a configuration, that serves no more."""

    def note(self, calls: Sequence[WatchedCall]) -> None:
        """Note calls of this run. Answers of the cache and of fallbacks say nothing about who serves now."""
        for call in calls:
            if call.first_try:
                self._newest[call.requested] = call.model

    def still_serves(self, served: Mapping[str, Any] | None) -> bool:
        """Return whether the models of a stored result still serve, under the same configuration.

        Args:
            served: What `served_by` returned for the result.
        """
        for requested, entry in (served or {}).items():
            newest = self._newest.get(requested)
            if entry.get("config") != self._configurations.digest(requested) or (
                newest is not None and newest not in entry.get("models", ())
            ):
                self.moved = True
                return False
        return True
