"""Decide which model a call goes to: what models can take, the kill switch, rules, then the policy."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_sdk.config import ResolvedModel, Settings, resolve_model
from llmops_sdk.pricing._builtin import Abilities
from llmops_sdk.routing._route import Reason, Route
from llmops_sdk.routing.calls._exploration import explored
from llmops_sdk.routing.calls._facts import CallFacts, Candidate
from llmops_sdk.routing.calls._router_file import online_file, router_file
from llmops_sdk.routing.calls._rules import apply_rules
from llmops_sdk.routing.features._asked import asked_text

if TYPE_CHECKING:
    from llmops_sdk.routing._router import Router
    from llmops_sdk.routing.online._online_router import OnlineRouter

__all__ = ["CallRouter", "Decision", "router_path", "trained_path"]

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a call.

    Attributes:
        route: The choice.
        serves: The model that gets the call: another one than the choice in shadow mode.
        cascade: The models to ask one after the other until an answer passes; empty without a cascade.
        allows: Says whether a model may be fallen back to.
        attributes: Of the event on the span of the call.
    """

    route: Route
    serves: str
    cascade: tuple[str, ...]
    allows: Callable[[str], bool]
    attributes: Mapping[str, Any]


def router_path(settings: Settings, resolved: ResolvedModel) -> Path:
    """Return the file of the trained router of a routed model.

    Args:
        settings: The settings.
        resolved: The routed model.
    """
    return trained_path(settings.store.path, resolved)


def trained_path(store: Path, resolved: ResolvedModel) -> Path:
    """Return the file of the trained router of a routed model, for a store.

    Args:
        store: The store's folder.
        resolved: The routed model.
    """
    ending = "json" if resolved.router.policy == "online" else "npz"
    return resolved.router.path or store / "routers" / f"{resolved.routed_by}.{ending}"


class CallRouter:
    """Decides about the calls of one routed model.

    Args:
        settings: The settings in force.
        resolved: The routed model.
    """

    def __init__(self, settings: Settings, resolved: ResolvedModel) -> None:
        self.name, self._route, self._router = resolved.routed_by, resolved.route, resolved.router
        self._default = self._router.default or self._route[-1]
        self._candidates = {name: _candidate(settings, name) for name in self._route}
        self._path = router_path(settings, resolved)
        self._others: dict[str, Candidate] = {}
        self._settings = settings

    def decide(self, facts: CallFacts) -> Decision:
        """Decide about a call.

        Args:
            facts: Of the call.
        """
        able = tuple(name for name in self._route if self._candidates[name].can_take(facts))
        left, only, chosen, rule = apply_rules(self._router.rules, facts, able)
        cascade: tuple[str, ...] = ()
        pin = self._router.pin
        if pin is not None and (only is None or pin in only):
            route = _plain(pin, "pinned")
        elif not left:
            # Nobody can: the answer of the provider says why. A rule with `only` is never broken.
            among = only or self._route
            route = _plain(self._default if self._default in among else among[-1], "incapable")
        elif chosen is not None:
            route = _plain(chosen, "rule")
        elif len(left) == 1:
            route = _plain(left[0], "rule" if only and len(able) > 1 else "incapable")
        else:
            route = self._by_policy(facts, left)
            if self._router.policy == "cascade":
                cascade = left
        serves = route.model
        if self._router.mode == "shadow":
            serves, cascade = self._shadow(left, only), ()
        return Decision(
            route=route,
            serves=serves,
            cascade=cascade,
            allows=functools.partial(self._allows, facts, only),
            attributes=self._attributes(route, able, serves, rule),
        )

    def _shadow(self, left: Sequence[str], only: Sequence[str] | None) -> str:
        if self._default in left or not left:
            return self._default if only is None or self._default in only else only[-1]
        return left[-1]

    def _by_policy(self, facts: CallFacts, left: tuple[str, ...]) -> Route:
        default = self._default if self._default in left else left[-1]
        if self._router.policy == "rules":
            return _plain(default, "default")
        if self._router.policy == "cascade":
            return _plain(left[0], "cascade")
        if self._router.policy == "online":
            online = online_file(self._path).choose(left, lambda one: one.choose(facts.prompt_name, allowed=left))
            return _plain(default, "unproven") if online is None else self._own_default(online, default)
        max_cost = self._router.max_cost
        quality = None if max_cost is not None else self._router.quality
        file = router_file(self._path)
        found = file.choose(
            left,
            lambda router: router.choose(
                facts.messages, quality=quality, max_cost=max_cost, allowed=left, kind=facts.prompt_name
            ),
        )
        if found is None:
            return _plain(default, "unproven")
        router, route = found[0], self._own_default(found, default)
        if not self._router.explore or self._router.mode == "shadow":
            return route
        trained = [one for one in left if one in router.models]
        return explored(
            route, asked_text(facts.messages), trained, self._router.explore, self._router.regret, file.budget
        )

    def _own_default(self, found: tuple[Router | OnlineRouter, Route], default: str) -> Route:
        """Return a choice with the default of now: it may have been another one when the router was trained."""
        router, route = found
        if route.reason in {"unfamiliar", "doubtful_scores", "unproven"} and router.default != self._default:
            return replace(route, model=default)
        return route

    def _allows(self, facts: CallFacts, only: Sequence[str] | None, name: str) -> bool:
        """Return whether a model may be fallen back to: it can take the call, and the rules allow it."""
        if only is not None and name not in only:
            return False
        candidate = self._candidates.get(name) or self._others.get(name)
        if candidate is None:
            candidate = self._others[name] = _candidate(self._settings, name)
        return candidate.can_take(facts)

    def _attributes(self, route: Route, able: Sequence[str], serves: str, rule: str | None) -> dict[str, Any]:
        candidates = [
            {
                "model": name,
                "quality": _rounded(route.expected_quality.get(name)),
                "error": _rounded(route.quality_error.get(name)),
                "cost": route.expected_cost.get(name),
                "able": name in able,
            }
            for name in self._route
        ]
        known = {
            "router": self.name,
            "model": route.model,
            "serves": serves,
            "default": self._default,
            "policy": self._router.policy,
            "mode": self._router.mode,
            "reason": route.reason,
            "rule": rule,
            "candidates": json.dumps(candidates),
            # Without the decision in force, the default gets every call.
            "propensity": 1.0 if self._router.mode == "shadow" else route.propensity,
            "explored": route.explored,
            "familiarity": _rounded(route.familiarity),
            "version": route.version or None,
        }
        return {name: value for name, value in known.items() if value is not None}


def _candidate(settings: Settings, name: str) -> Candidate:
    resolved = resolve_model(settings, name)
    entries = [settings.models[link] for link in resolved.names]

    def said(key: str) -> Any:
        return next((value for entry in entries if (value := getattr(entry, key)) is not None), None)

    configured = Abilities(
        context_window=said("context_window"), tools=said("tools"), images=said("images"), schema=said("schema_")
    )
    return Candidate(name, resolved.model, configured)


def _plain(model: str, reason: Reason) -> Route:
    return Route(model=model, reason=reason, expected_quality=_NOTHING, expected_cost=_NOTHING, quality_error=_NOTHING)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
