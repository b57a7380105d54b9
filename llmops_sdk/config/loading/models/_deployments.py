"""Models whose calls several deployments share: which, with what weights, and mistakes in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._problems import Problem
from llmops_sdk.config.loading.models._model_names import model_chain
from llmops_sdk.config.loading.models._targets import problem_of_value, target_problem
from llmops_sdk.config.sections._fields import SettingsFields
from llmops_sdk.config.sections._traffic import BalanceMode

__all__ = ["Sharing", "deployment_name", "deployment_problems", "sharing_of"]


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the calls of a model are shared.

    Attributes:
        deployments: The deployments, or empty where one server has all the calls.
        weights: A weight for each, or empty for equal ones.
        balance: How a deployment is chosen.
    """

    deployments: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    balance: BalanceMode = "least_busy"


def sharing_of(settings: SettingsFields, chain: Sequence[str]) -> Sharing:
    """Return how the calls of a model are shared: what the first of its names says, else the next one.

    Args:
        settings: The settings.
        chain: The names of `[models]` that the model leads to.
    """
    entries = [settings.models[link] for link in chain]
    at = next((number for number, entry in enumerate(entries) if entry.deployments), None)
    if at is None:
        return Sharing()
    # A name may refine what the name below it shares; below the deployments, names are about a single server.
    refining = entries[: at + 1]
    balances: list[BalanceMode] = [entry.balance for entry in refining if entry.balance is not None]
    weights = next((entry.weights for entry in refining if entry.weights), ())
    return Sharing(entries[at].deployments, weights, balances[0] if balances else "least_busy")


def deployment_name(settings: SettingsFields, chain: Sequence[str], model: str, base_url: str | None) -> str:
    """Return the name under which the calls to one server share their limits, breaker and records.

    Aliases of a named model share its name, unless they have limits, a breaker or hedging of their own.

    Args:
        settings: The settings.
        chain: The names of `[models]` that the model leads to, or empty.
        model: Provider and model.
        base_url: The server of a model that is given by its URL.
    """
    for link in chain:
        entry = settings.models[link]
        if entry.limits is not None or entry.breaker is not None or entry.hedge is not None:
            return link
    if chain:
        return chain[-1]
    # The name stands in records and errors: no user, no password, no query.
    server = (base_url or "").partition("://")[2].partition("?")[0].partition("/")[0].rpartition("@")[2]
    return f"{model}@{server}" if server else model


def deployment_problems(settings: SettingsFields, name: str, source: str) -> Iterator[Problem]:
    """Yield the mistakes in the deployments and weights of one entry of `[models]`.

    A broken entry that a deployment names is a problem of its own.

    Args:
        settings: The settings.
        name: The entry's name.
        source: The file, or what else has the entry.
    """
    path: KeyPath = ("models", name, "deployments")
    entry = settings.models[name]
    for one in entry.deployments:
        if entry.deployments.count(one) > 1:
            yield problem_of_value(source, path, one, "is there more than once. Give it a larger weight instead")
            return
        problem = target_problem(settings, name, "deployments", one, source)
        if problem is not None:
            yield problem
    if entry.weights:
        shared = sharing_of(settings, model_chain(settings, name, source, "")[0]).deployments
        if len(shared) != len(entry.weights):
            text = (
                f"{source}: {dotted((*path[:2], 'weights'))} has {len(entry.weights)} numbers for {len(shared)} "
                "deployments. Give each deployment one weight, in the same order."
            )
            yield Problem(message=text, source=source, key=dotted((*path[:2], "weights")), value=list(entry.weights))
