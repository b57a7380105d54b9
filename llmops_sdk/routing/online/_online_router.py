"""A router that learns while it serves: it compares the models' means, tries what may be good enough, and forgets."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path

from llmops_sdk._util._public import public
from llmops_sdk.routing._model_row import ModelRow
from llmops_sdk.routing._route import Route
from llmops_sdk.routing.online._online_policy import OnlineOptions, OnlinePolicy, OnlineState, ScoreChange

__all__ = ["OnlineRouter"]


@public("llmops_sdk.routing")
class OnlineRouter:
    """Learns which model is the cheapest good one from the scores of the models that it chose. It needs no training.

    It takes the cheapest model whose mean score is within the margin of the best one. First it tries each model a few
    times. Later it tries a cheaper model again while that may still be good enough. What it tries costs score: `regret`
    bounds that. Old scores fade, and where the scores of a model change at once, those before the change are dropped.

    **It asks for no proof**, unlike `Router`: it bounds what it loses instead. It learns about kinds of prompts, and
    nothing about single prompts. Threads may share it.

    Args:
        route: The models, the cheapest first.
        costs: By model: the mean USD of a call, until enough costs are recorded. Default: the order of the models.
        quality: The share of the best model's mean score to keep.
        default: The model for kinds without any score, and where nothing may be tried. Default: the last one.
        regret: The score that trying models may lose in about `memory` choices: 1 is one wrong answer that would be
            right. 0 tries nothing.
        explore: The share of choices that are drawn at random, so that the propensities of all models are known. The
            draws count to the regret as well.
        memory: After so many scores of all models, a score counts 1/e.
        seed: Of the draws.

    Raises:
        ValueError: There are fewer than two models, or a number is out of range.

    Example:
        >>> from llmops_sdk.routing import OnlineRouter
        >>> router = OnlineRouter(["small", "large"])
        >>> for _ in range(40):
        ...     route = router.choose()
        ...     router.record(route.model, 0.9, cost={"small": 0.0001, "large": 0.01}[route.model])
        >>> router.choose().model
        'small'
    """

    def __init__(
        self,
        route: Sequence[str],
        *,
        costs: Mapping[str, float] | None = None,
        quality: float = 0.95,
        default: str | None = None,
        regret: float = 10.0,
        explore: float = 0.0,
        memory: int = 1_000,
        seed: int = 0,
    ) -> None:
        options = OnlineOptions(
            route=tuple(route),
            costs=dict(costs or {}),
            quality=float(quality),
            default=[*route, ""][len(route) - 1] if default is None else default,
            regret=float(regret),
            explore=float(explore),
            memory=int(memory),
            seed=int(seed),
        )
        self._policy = OnlinePolicy(options, OnlineState({}))
        self._lock = threading.Lock()

    @property
    def models(self) -> tuple[str, ...]:
        """Return the models, in the order that was given."""
        return self._policy.options.route

    @property
    def default(self) -> str:
        """Return the model for kinds without any score."""
        return self._policy.options.default

    @property
    def version(self) -> str:
        """Return a digest of all scores: equal scores in equal order give equal decisions."""
        return self._policy.state.version

    @property
    def changes(self) -> tuple[ScoreChange, ...]:
        """Return the latest changes that were found, the oldest first."""
        return self._policy.state.changes

    def rows(self) -> tuple[ModelRow, ...]:
        """Return what is known of each model by the scores that still count, over all kinds.

        Example:
            >>> from llmops_sdk.routing import OnlineRouter
            >>> router = OnlineRouter(["small", "large"])
            >>> router.record("small", 0.5)
            >>> [(row.model, row.n, row.quality) for row in router.rows()]
            [('small', 1, 0.5), ('large', 0, None)]
        """
        with self._lock:
            return self._policy.rows()

    def choose(self, kind: str = "", *, allowed: Collection[str] | None = None) -> Route:
        """Choose the model for a prompt.

        Args:
            kind: The prompt's kind, e.g. its name; "" for none.
            allowed: The models that can take the prompt. Default: all.

        Raises:
            ValueError: No model is allowed.

        Example:
            See `OnlineRouter`.
        """
        usable = [model for model in self.models if allowed is None or model in allowed]
        if not usable:
            raise ValueError(f"none of the candidates is allowed: {', '.join(self.models)}")
        with self._lock:
            return self._policy.choose(kind, usable)

    def record(self, model: str, score: float, *, cost: float | None = None, kind: str = "") -> None:
        """Learn from a score.

        Args:
            model: The model that answered.
            score: From 0 to 1.
            cost: USD of the call, or None where unknown.
            kind: The prompt's kind, as for `choose`.

        Raises:
            ValueError: The model is not in the route, or a number is out of range.

        Example:
            See `OnlineRouter`.
        """
        if model not in self.models:
            raise ValueError(f"{model!r} is none of the models {', '.join(self.models)}")
        if not 0 <= score <= 1:
            raise ValueError(f"the score is {score}: give a number from 0 to 1")
        if cost is not None and not 0 <= cost < math.inf:
            raise ValueError(f"the cost is {cost}: give USD of at least 0, or None")
        with self._lock:
            self._policy.record(model, float(score), None if cost is None else float(cost), kind)

    @classmethod
    def from_traces(
        cls,
        *,
        score: str,
        route: Sequence[str],
        since: datetime | None = None,
        source: str | None = None,
        default: str | None = None,
        quality: float = 0.95,
        regret: float = 10.0,
        explore: float = 0.0,
        memory: int = 1_000,
        seed: int = 0,
        path: str | PathLike[str] | None = None,
    ) -> OnlineRouter:
        """Learn from the stored calls that have scores, in the order of the calls.

        Args:
            score: The name of the scores, which must be from 0 to 1.
            route: The models, the cheapest first, as `[models]` or calls name them.
            since: Only calls that began at this time or later.
            source: Only scores of this source, e.g. "user". Default: the mean over the sources.
            default: As for the class.
            quality: As for the class.
            regret: As for the class.
            explore: As for the class.
            memory: As for the class.
            seed: As for the class.
            path: The store's folder. Default: the configured one.

        Raises:
            ValueError: A score is not from 0 to 1, or no model of the route has a score.
            ConfigError: A model of the route does not exist.
        """
        from llmops_sdk.routing._stored import scored_calls

        made = cls(route, quality=quality, default=default, regret=regret, explore=explore, memory=memory, seed=seed)
        for row in scored_calls(score, route, since=since, source=source, path=path):
            if row.model is not None:
                made.record(row.model, row.score, cost=row.cost, kind=row.kind)
        if not made._policy.state.scores:
            raise ValueError(f"there are no scores {score!r} of calls to models of the route")
        return made

    def save(self, path: str | Path) -> None:
        """Write the router to a file. It has scores, costs and the names of kinds, and nothing of prompts.

        Args:
            path: The file; its folder must exist.

        Raises:
            OSError: The file cannot be written.
        """
        from llmops_sdk.routing.online._online_file import save

        with self._lock:
            save(Path(path), self._policy)

    @classmethod
    def load(cls, path: str | Path) -> OnlineRouter:
        """Read a router that `save` wrote.

        Args:
            path: The file.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is no online router, or a newer version wrote it.
        """
        from llmops_sdk.routing.online._online_file import load

        policy = load(Path(path))
        made = cls(policy.options.route)
        made._policy = policy
        return made
