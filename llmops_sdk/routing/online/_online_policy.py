"""Decide which model a kind of prompts gets, from the scores so far: pure but for the counts of its state."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.routing._model_row import ModelRow
from llmops_sdk.routing._route import Reason, Route
from llmops_sdk.routing.online._arm import Arm, Estimate
from llmops_sdk.stats import Interval

__all__ = ["OnlineOptions", "OnlinePolicy", "OnlineState", "ScoreChange"]

_ENOUGH = 8
"""A model with fewer scores is unknown."""
_OPTIMISM = 2.0
"""A model may be good enough if its mean plus so many standard errors is."""
_CAUTION = 0.5
"""The best mean of several is too large by chance: it counts less so many standard errors."""
_PRIOR = 30.0
"""The scores of all kinds count as so many scores of a kind."""
_UNKNOWN_LOSS = 0.25
"""The score that trying an unknown model is expected to lose."""
_TWO_SIDED = 1.959963984540054
_MOST_KINDS = 64
_MOST_CHANGES = 100


@public("llmops_sdk.routing")
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChange:
    """A change that was found in the scores of a model.

    Attributes:
        model: The model.
        kind: The kind of prompts; "" where no kinds are known.
        number: How many scores of all models there were when it was found.
        since: The scores of the model after the change, which count from then on.
    """

    model: str
    kind: str
    number: int
    since: int


@dataclass(slots=True)
class OnlineState:
    """What an online router has learned.

    Attributes:
        arms: The scores by kind and model; the kind "" has those of all kinds.
        scores: How many scores there were.
        choices: How many choices there were.
        spent: The score that trying models is expected to have lost lately.
        changes: The latest changes, the oldest first.
        version: A digest of all scores.
    """

    arms: dict[tuple[str, str], Arm]
    scores: int = 0
    choices: int = 0
    spent: float = 0.0
    changes: tuple[ScoreChange, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineOptions:
    """The arguments of `OnlineRouter`, checked.

    Raises:
        ValueError: There are fewer than two models, or a number is out of range.
    """

    route: tuple[str, ...]
    costs: Mapping[str, float]
    quality: float
    default: str
    regret: float
    explore: float
    memory: int
    seed: int

    def __post_init__(self) -> None:
        if len(set(self.route)) < 2 or len(set(self.route)) < len(self.route):
            raise ValueError("route needs two or more different models")
        if self.default not in self.route:
            raise ValueError(f"default is {self.default!r}, which is none of the models {', '.join(self.route)}")
        for model, cost in self.costs.items():
            if model not in self.route or not 0 <= cost < math.inf:
                raise ValueError(f"costs[{model!r}] is {cost}: give USD of at least 0 for models of the route")
        for name in ("quality", "explore"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if not 0 <= self.regret < math.inf:
            raise ValueError(f"regret is {self.regret}: give a score of at least 0")
        if self.memory < 10:
            raise ValueError(f"memory is {self.memory}: give at least 10 scores")


class OnlinePolicy:
    """What an online router decides.

    Args:
        options: Of the router.
        state: What it has learned; it changes with each choice and score.
    """

    def __init__(self, options: OnlineOptions, state: OnlineState) -> None:
        self.options, self.state = options, state
        self._keep = math.exp(-1 / options.memory)

    def choose(self, kind: str, usable: Sequence[str]) -> Route:
        """Return the choice.

        Args:
            kind: The prompt's kind, or "".
            usable: The models that can take the prompt; at least one.
        """
        state = self.state
        state.choices += 1
        state.spent *= self._keep
        estimates = {model: self._estimate(kind, model) for model in usable}
        best = max((one.mean - _CAUTION * one.error for one in estimates.values() if one.weight >= 1), default=None)
        costs = self._reckoned(estimates)
        if best is None or not any(self._arm(kind, model).entries for model in self.options.route):
            default = self.options.default if self.options.default in usable else usable[-1]
            return self._made(default, "unproven", estimates)
        floor = self.options.quality * best
        known = [model for model in usable if estimates[model].n >= _ENOUGH or estimates[model].weight >= _ENOUGH]
        among = known or [model for model in usable if estimates[model].n]
        enough = [model for model in among if estimates[model].mean >= floor]
        safe = (
            min(enough, key=lambda model: costs[model]) if enough else max(among, key=lambda one: estimates[one].mean)
        )
        losses = {model: self._loss(estimates[model], best, is_known=model in known) for model in usable}
        tried = self._to_try(usable, known, estimates, floor, costs)
        pick = safe if tried is None or not self._may_lose(losses[tried]) else tried
        route = self._drawn(pick, usable, losses, estimates)
        state.spent += losses[route.model] if route.model != safe else 0.0
        if route.explored or route.model != safe:
            return route
        reason: Reason = "best" if estimates[safe].mean >= max(estimates[one].mean for one in among) else _CHEAPEST
        return self._made(safe, reason, estimates, propensity=route.propensity)

    def _to_try(
        self,
        usable: Sequence[str],
        known: Sequence[str],
        estimates: Mapping[str, Estimate],
        floor: float,
        costs: Mapping[str, float],
    ) -> str | None:
        """Return the model that is worth a try: an unknown one, or the cheapest that may be good enough."""
        unknown = [model for model in usable if model not in known]
        if unknown:
            # In turn, also while no scores come back.
            return unknown[self.state.choices % len(unknown)]
        hopeful = [one for one in known if estimates[one].mean + _OPTIMISM * estimates[one].error >= floor]
        return min(hopeful, key=lambda model: costs[model], default=None)

    def _drawn(
        self, pick: str, usable: Sequence[str], losses: Mapping[str, float], estimates: Mapping[str, Estimate]
    ) -> Route:
        """Return the route to the model, or at random to another one."""
        if not self.options.explore or len(usable) < 2 or not self._may_lose(max(losses.values())):
            return self._made(pick, "explored", estimates)
        text = f"{self.options.seed}\0{self.state.choices}\0{self.state.version}"
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        share = self.options.explore / len(usable)
        if int.from_bytes(digest[:8]) / 2**64 >= self.options.explore:
            return self._made(pick, "explored", estimates, propensity=1 - self.options.explore + share)
        drawn = usable[int.from_bytes(digest[8:]) % len(usable)]
        propensity = share if drawn != pick else 1 - self.options.explore + share
        return self._made(drawn, "explored", estimates, propensity=propensity, explored=drawn != pick)

    def _made(
        self,
        model: str,
        reason: Reason,
        estimates: Mapping[str, Estimate],
        *,
        propensity: float = 1.0,
        explored: bool = False,
    ) -> Route:
        seen = {name: one for name, one in estimates.items() if one.n or one.weight}
        return Route(
            model=model,
            reason=reason,
            expected_quality={name: one.mean for name, one in seen.items()},
            expected_cost={
                name: self.options.costs.get(name) if one.cost is None else one.cost for name, one in estimates.items()
            },
            quality_error={name: one.error for name, one in seen.items()},
            propensity=propensity,
            explored=explored,
            version=self.state.version,
        )

    def _loss(self, estimate: Estimate, best: float, *, is_known: bool) -> float:
        return max(best - estimate.mean, 0.0) if is_known else _UNKNOWN_LOSS

    def _may_lose(self, loss: float) -> bool:
        return self.options.regret > 0 and self.state.spent + loss <= self.options.regret

    def _reckoned(self, estimates: Mapping[str, Estimate]) -> dict[str, float]:
        """Return what each model costs; one of unknown cost as much as the dearest, and none known: by its place."""
        known = {
            model: self.options.costs.get(model) if one.cost is None else one.cost for model, one in estimates.items()
        }
        given = [cost for cost in known.values() if cost is not None]
        if not given:
            return {model: float(self.options.route.index(model)) for model in estimates}
        return {model: max(given) if cost is None else cost for model, cost in known.items()}

    def _arm(self, kind: str, model: str) -> Arm:
        found = self.state.arms.get((kind, model))
        return found if found is not None else Arm(self._keep)

    def _estimate(self, kind: str, model: str) -> Estimate:
        now = self.state.scores
        overall = self._arm("", model).estimate(now)
        return overall if not kind else self._arm(kind, model).estimate(now).with_prior(overall, _PRIOR)

    def record(self, model: str, score: float, cost: float | None, kind: str) -> None:
        """Learn from a score.

        Args:
            model: The model that answered.
            score: From 0 to 1.
            cost: USD, or None.
            kind: The prompt's kind, or "".
        """
        state = self.state
        state.scores += 1
        changed = self._kept_arm("", model).add(state.scores, score, cost)
        if kind and (kind in (kinds := {one for one, _ in state.arms}) or len(kinds) <= _MOST_KINDS):
            # What all kinds together show may only be that there are more prompts of a harder kind.
            changed = self._kept_arm(kind, model).add(state.scores, score, cost)
        if changed is not None:
            found = ScoreChange(model=model, kind=kind, number=state.scores, since=changed)
            state.changes = (*state.changes, found)[-_MOST_CHANGES:]
        text = f"{state.version}\0{model}\0{score}\0{cost}\0{kind}"
        state.version = hashlib.blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()

    def rows(self) -> tuple[ModelRow, ...]:
        """Return what is known of each model over all kinds."""
        found: list[ModelRow] = []
        for model in self.options.route:
            one = self._estimate("", model)
            half = _TWO_SIDED * one.error
            found.append(
                ModelRow(
                    kind="",
                    model=model,
                    n=one.n,
                    quality=one.mean if one.n else None,
                    interval=Interval(max(one.mean - half, 0.0), min(one.mean + half, 1.0)) if one.n else None,
                    cost=self.options.costs.get(model) if one.cost is None else one.cost,
                )
            )
        return tuple(found)

    def _kept_arm(self, kind: str, model: str) -> Arm:
        return self.state.arms.setdefault((kind, model), Arm(self._keep))


_CHEAPEST: Reason = "cheapest_good_enough"
