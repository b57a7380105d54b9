"""Models whose calls are routed among several: which, by what, and mistakes in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._problems import Problem
from llmops_sdk.config.loading.models._model_names import model_chain, model_problem
from llmops_sdk.config.loading.models._targets import problem_of_value, target_problem
from llmops_sdk.config.sections._fields import SettingsFields
from llmops_sdk.config.sections._models import ModelSettings
from llmops_sdk.config.sections._routing import RouterSettings

__all__ = ["Routing", "route_of", "route_problems", "routes_named"]

_OF_ROUTES = frozenset({"route", "router", "fallbacks"})


@dataclass(frozen=True, slots=True)
class Routing:
    """How the calls of a model are routed.

    Attributes:
        name: The name of `[models]` that has the route.
        route: The candidates, the cheapest first.
        router: How one of them is chosen.
        default: The candidate for calls of which too little is known.
    """

    name: str
    route: tuple[str, ...]
    router: RouterSettings
    default: str


def route_of(settings: SettingsFields, chain: Sequence[str]) -> Routing | None:
    """Return how the calls of a model are routed, or None.

    Args:
        settings: The settings.
        chain: The names of `[models]` that the model leads to.
    """
    entry = settings.models[chain[-1]] if chain else None
    if entry is None or not entry.route:
        return None
    router = entry.router or RouterSettings()
    return Routing(chain[-1], entry.route, router, router.default or entry.route[-1])


def routes_named(settings: SettingsFields, names: Sequence[str]) -> Iterator[str]:
    """Yield those of some models that lead to a route.

    Args:
        settings: The settings.
        names: Names of models.
    """
    for name in names:
        chain, problem = model_chain(settings, name, "", "")
        if problem is None and route_of(settings, chain) is not None:
            yield name


def route_problems(settings: SettingsFields, name: str, source: str) -> Iterator[Problem]:
    """Yield the mistakes in the route of one entry of `[models]`, and in an entry that leads to one.

    Args:
        settings: The settings.
        name: The entry's name.
        source: The file, or what else has the entry.
    """
    entry = settings.models[name]
    for key in ("fallbacks", "deployments"):
        for one in routes_named(settings, getattr(entry, key)):
            yield problem_of_value(source, ("models", name, key), one, "is a route. Name one of its models instead")
            return
    if entry.route:
        yield from _own_problems(settings, name, entry, source)
        return
    if entry.router is not None:
        path = ("models", name, "router")
        yield problem_of_value(source, path, name, 'has no route to choose from. Add route = ["cheap", "strong"]')
        return
    if not entry.model:
        return
    # An alias of a route: whoever sets guards on it expects them to be in force.
    if any(routes_named(settings, [name])) and (more := sorted(entry.model_fields_set - {"model"})):
        yield _without_effect(source, name, more[0])


def _own_problems(settings: SettingsFields, name: str, entry: ModelSettings, source: str) -> Iterator[Problem]:
    path: KeyPath = ("models", name, "route")
    more = sorted(entry.model_fields_set - _OF_ROUTES)
    if more:
        yield _without_effect(source, name, more[0].rstrip("_"))
        return
    if len(set(entry.route)) < len(entry.route) or len(entry.route) < 2:
        yield problem_of_value(source, path, list(entry.route), "needs two or more different models")
        return
    for one in entry.route:
        problem = target_problem(settings, name, "route", one, source)
        if problem is not None:
            yield problem
    if entry.router is not None:
        yield from _router_problems(settings, name, entry.route, entry.router, source)


def _router_problems(
    settings: SettingsFields, name: str, route: tuple[str, ...], router: RouterSettings, source: str
) -> Iterator[Problem]:
    path: KeyPath = ("models", name, "router")
    candidates: list[tuple[KeyPath, str]] = [((*path, "default"), router.default)] if router.default else []
    for rule_name, rule in router.rules.items():
        rule_path = (*path, "rules", rule_name)
        candidates += [((*rule_path, "model"), rule.model)] if rule.model else []
        candidates += [((*rule_path, "only"), one) for one in rule.only]
    for key, one in candidates:
        if one not in route:
            yield problem_of_value(source, key, one, f"is not in the route. Its models are {', '.join(route)}")
    pin = router.pin
    if pin is not None and pin not in route:
        problem = model_problem(settings, pin, source, dotted((*path, "pin")))
        if problem is not None:
            yield problem
        elif any(routes_named(settings, [pin])):
            yield problem_of_value(source, (*path, "pin"), pin, "is a route. Name the model that gets all calls")


def _without_effect(source: str, name: str, key: str) -> Problem:
    path = ("models", name, key)
    text = (
        f"{source}: {dotted(path)}: a routed call has the policies of the model that is chosen, so this would have no "
        "effect. Set it for the models of the route, or for all models."
    )
    return Problem(message=text, source=source, key=dotted(path))
