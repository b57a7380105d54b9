"""The router: fitted on scored prompts, it chooses the cheapest model that is good enough for a prompt."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import isnan, sqrt
from pathlib import Path

from llmops_sdk._util._public import public
from llmops_sdk.embeddings import Embedder, open_embedder
from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing._fitted import Fitted, cost_matrix, fit_all
from llmops_sdk.routing._report import RouterReport, report_of
from llmops_sdk.routing._route import Reason, Route
from llmops_sdk.routing.decisions._curve import CurvePoint, fitting_point, needed_prompts, point_against
from llmops_sdk.routing.features._read import Prompt, read_features
from llmops_sdk.routing.learning._scores import ScoreTable, score_table
from llmops_sdk.routing.learning._single import SinglePrediction, SinglePredictor

__all__ = ["Router"]

_QUALITY = 0.95
_NEIGHBOURS = 100.0
_DOUBTFUL = 0.5


@public("llmops_sdk.routing")
class Router:
    """Chooses a model for each prompt. Make one with `Router.fit`, `Router.from_traces` or `Router.load`.

    A fitted router does not change, and threads may share it.

    Args:
        table: The scores that it was fitted on.
        fitted: What the fit gave.
        embedder: Turns prompts into vectors.
        default: The model for prompts of which too little is known.
        version: A digest of what it was fitted on.
    """

    def __init__(self, table: ScoreTable, fitted: Fitted, embedder: Embedder, default: str, version: str) -> None:
        self._table, self._fitted, self._embedder = table, fitted, embedder
        self._default, self._version = default, version
        self._points: dict[tuple[float | None, float | None, bool], CurvePoint | None] = {}
        self._offsets: dict[str, list[float]] = {kind: found.tolist() for kind, found in fitted.kind_offsets.items()}
        self._doubtful = frozenset(one.kind for one in fitted.suspicious if one.left_out)
        self._single = SinglePredictor(fitted.quality, fitted.believed)
        self._reckoned: list[float] = cost_matrix(fitted.costs, 1)[0].tolist()
        self._has_cheaper = min(self._reckoned) < self._reckoned[fitted.quality.strongest]
        costs: list[float] = fitted.costs.tolist()
        self._costs = {model: None if isnan(cost) else cost for model, cost in zip(table.models, costs, strict=True)}
        known = {at for part in fitted.quality.parts for at in part.models}
        self._errors = {table.models[at]: float(fitted.spread[at]) / sqrt(_NEIGHBOURS) for at in sorted(known)}

    @property
    def models(self) -> tuple[str, ...]:
        """Return the candidates, in the order that was given."""
        return self._table.models

    @property
    def default(self) -> str:
        """Return the model for prompts of which too little is known."""
        return self._default

    @property
    def version(self) -> str:
        """Return a digest of what the router was fitted on: equal routers decide equally."""
        return self._version

    @classmethod
    def fit(
        cls,
        prompts: Sequence[Prompt],
        scores: Mapping[str, Sequence[float | None]],
        costs: Mapping[str, Sequence[float | None] | float | None] | None = None,
        kinds: Sequence[str] | None = None,
        *,
        propensities: Mapping[str, Sequence[float]] | None = None,
        default: str | None = None,
        keep_suspicious: bool = False,
        embedder: Embedder | str = "static",
        seed: int = 0,
    ) -> Router:
        """Fit a router on prompts whose answers were scored.

        Args:
            prompts: Texts, or messages in the OpenAI chat shape.
            scores: By model: a score for each prompt, from 0 to 1; None where the model did not answer it.
            costs: By model: USD for each prompt, or one number for all; None where unknown. Without any costs, the
                order of the models counts, the cheapest first.
            kinds: The kind of each prompt, e.g. its task; "" for none. They show where scores cannot be true, and
                sharpen the choice for prompts whose kind `choose` is told.
            propensities: By model: the probability with which each of its scores was observed, as `Route.propensity`
                says. Default: the share of the prompts that have a score of the model.
            default: The model for prompts of which too little is known; others must be proven to be not worse. Default:
                the one with the best mean score.
            keep_suspicious: True also fits on kinds where the scores of the strongest model are hardly true.
            embedder: Turns texts into vectors: an embedder, or its name.
            seed: Of the folds on which the router is measured.

        Raises:
            ValueError: The lengths differ, a number is out of range, or there are too few scores.
            MissingDependencyError: numpy is not installed.

        Example:
            >>> from llmops_sdk.routing import Router
            >>> prompts = [f"What is {n} plus {n}?" for n in range(60)] + [f"Prove theorem {n}." for n in range(60)]
            >>> scores = {"small": [1.0] * 60 + [0.0] * 60, "large": [1.0] * 120}
            >>> router = Router.fit(prompts, scores, costs={"small": 0.0001, "large": 0.01})
            >>> router.choose("What is 7 plus 7?").model, router.choose("Prove theorem 7.").model
            ('small', 'large')
        """
        np = numpy()
        listed = list(prompts)
        table = score_table(len(listed), scores, costs, kinds)
        if default is not None and default not in table.models:
            raise ValueError(f"default is {default!r}, which is none of the models {', '.join(table.models)}")
        if propensities is not None:
            given = np.stack([np.asarray(propensities[model], dtype=np.float64) for model in table.models], axis=1)
            if given.shape != table.scores.shape or not ((given >= 0) & (given <= 1)).all():
                raise ValueError("propensities must have a probability for each prompt and model, from 0 to 1")
            table = replace(table, propensities=given)
        used = open_embedder(embedder) if isinstance(embedder, str) else embedder
        features = read_features(used, listed)
        fitted = fit_all(features, table, keep_suspicious=keep_suspicious, seed=seed)
        chosen = default or table.models[fitted.quality.strongest]
        from llmops_sdk.routing._files import version_of

        return cls(table, fitted, used, chosen, version_of(table, fitted, chosen))

    @classmethod
    def from_traces(
        cls,
        *,
        score: str,
        route: Sequence[str],
        since: datetime | None = None,
        query: str | None = None,
        source: str | None = None,
        default: str | None = None,
        keep_suspicious: bool = False,
        seed: int = 0,
        path: str | os.PathLike[str] | None = None,
    ) -> Router:
        """Fit a router on the stored calls that have scores.

        A score counts for the model that served the call, also after a fallback; of repeated scores the latest counts.
        Answers of several models to one prompt are compared on that prompt. The propensities of stored decisions undo
        the selection of an earlier router. The same store gives the same router.

        Args:
            score: The name of the scores, which must be from 0 to 1.
            route: The models, the cheapest first, as `[models]` or calls name them.
            since: Only calls that began at this time or later.
            query: Instead: a SELECT of `prompt`, `model` and `score`, and if known `cost`, `kind` and `propensity`.
            source: Only scores of this source, e.g. "user". Default: the mean over the sources.
            default: The model for prompts of which too little is known. Default: the last one of the route.
            keep_suspicious: True also fits on kinds where the scores of the strongest model are hardly true.
            seed: Of the folds on which the router is measured.
            path: The store's folder. Default: the configured one.

        Raises:
            ValueError: There are too few scores, or one is not from 0 to 1.
            ConfigError: A model of the route does not exist.
            QueryError: The query is not valid.
            MissingDependencyError: numpy is not installed.

        Example:
            >>> import llmops_sdk as llmops
            >>> from llmops_sdk.routing import Router
            >>> for number in range(100):
            ...     answer = llmops.chat(
            ...         f"Add {number // 2} and 2.", model=("offline/echo", "offline/script")[number % 2]
            ...     )
            ...     llmops.score("helpful", 1, span_id=answer.span_id)
            >>> flushed = llmops.flush()
            >>> router = Router.from_traces(score="helpful", route=["offline/echo", "offline/script"])
        """
        from llmops_sdk.routing._stored import scored_prompts

        found = scored_prompts(score, route, since=since, source=source, query=query, path=path)
        return cls.fit(
            found.prompts,
            found.scores,
            found.costs,
            found.kinds,
            propensities=found.propensities,
            default=default or route[-1],
            keep_suspicious=keep_suspicious,
            seed=seed,
        )

    def choose(
        self,
        prompt: Prompt,
        *,
        quality: float | None = None,
        max_cost: float | None = None,
        allowed: Collection[str] | None = None,
        kind: str = "",
    ) -> Route:
        """Choose the model for a prompt.

        Args:
            prompt: A text, or messages in the OpenAI chat shape.
            quality: The share of the strongest model's mean score to keep. Default: 0.95.
            max_cost: Instead of `quality`: USD that a call may cost on average.
            allowed: The models that can take the prompt. Default: all.
            kind: The prompt's kind, as `fit` was told; of a kind that it does not know only the text counts.

        Raises:
            ValueError: `quality` is not from 0 to 1, both bounds are given, or no model is allowed.

        Example:
            See `fit`.
        """
        if quality is not None and max_cost is not None:
            raise ValueError("give quality or max_cost, not both")
        if quality is not None and not 0 <= quality <= 1:
            raise ValueError(f"quality is {quality}: give the share of the strongest model's quality, from 0 to 1")
        usable = [model for model in self.models if allowed is None or model in allowed]
        if not usable:
            raise ValueError(f"none of the candidates is allowed: {', '.join(self.models)}")
        found = self._single.predict(read_features(self._embedder, [prompt]))
        offsets = self._offsets.get(kind)
        if offsets is not None:
            found.quality = [
                None if value is None else value + offset for value, offset in zip(found.quality, offsets, strict=True)
            ]
        point = self._point(quality, max_cost, with_kind=offsets is not None)
        model, reason = self._decide(found, point, usable, kind)
        return Route(
            model=model,
            reason=reason,
            expected_quality=self._as_scores(found.quality),
            expected_cost=self._costs,
            quality_error=self._errors,
            familiarity=found.familiarity,
            version=self._version,
        )

    def _as_scores(self, predicted: Sequence[float | None]) -> dict[str, float]:
        """Return predictions as scores from 0 to 1; the differences to the strongest model stay where they can."""
        strong = predicted[self._fitted.quality.strongest] or 0.0
        shift = min(max(strong, 0.0), 1.0) - strong
        known = zip(self.models, predicted, strict=True)
        return {name: min(max(value + shift, 0.0), 1.0) for name, value in known if value is not None}

    def _decide(
        self, found: SinglePrediction, point: CurvePoint | None, usable: Sequence[str], kind: str
    ) -> tuple[str, Reason]:
        default = self._safe if self._safe in usable else self._best_of(usable)
        if len(usable) == 1:
            return usable[0], "incapable" if len(self.models) > 1 else "best"
        if found.familiarity < self._fitted.familiar:
            return default, "unfamiliar"
        if found.doubt > _DOUBTFUL or kind in self._doubtful:
            return default, "doubtful_scores"
        if point is None or (point.share == 0 and self._has_cheaper):
            return default, "unproven"
        known = [
            (quality, quality - point.price * cost, model)
            for model, quality, cost in zip(self.models, found.quality, self._reckoned, strict=True)
            if quality is not None and model in usable
        ]
        if len(known) < 2:
            return default, "unproven"
        model = max(known, key=_worth)[2]
        return model, "best" if model == max(known)[2] else "cheapest_good_enough"

    def _best_of(self, usable: Sequence[str]) -> str:
        means = dict(zip(self.models, numpy().nan_to_num(self._table.means, nan=-1.0), strict=True))
        return max(usable, key=lambda model: means[model])

    def _point(self, quality: float | None, max_cost: float | None, *, with_kind: bool) -> CurvePoint | None:
        key = quality, max_cost, with_kind
        if key not in self._points:
            if len(self._points) > 1_000:
                self._points.clear()
            margin = self.margin(quality)
            point = fitting_point(self._curve(with_kind=with_kind), margin=margin, max_cost=max_cost)
            against = self._against_default
            if max_cost is None and self._default != self._strongest and (against is None or against.lower < -margin):
                point = None  # the curve is about the strongest model, which may seem so by luck
            self._points[key] = point
        return self._points[key]

    def _curve(self, *, with_kind: bool) -> tuple[CurvePoint, ...]:
        fitted = self._fitted
        return fitted.kind_curve if with_kind and fitted.kind_curve is not None else fitted.curve

    @property
    def _strongest(self) -> str:
        return self.models[self._fitted.quality.strongest]

    @functools.cached_property
    def _safe(self) -> str:
        """Return the model for prompts of which nothing is known: the default, or the one that is proven better."""
        against = self._against_default
        return self._strongest if against is not None and against.lower > 0 else self._default

    @functools.cached_property
    def _against_default(self) -> CurvePoint | None:
        """Return what the strongest model is worth against the default; None where that is unknown."""
        fitted = self._fitted
        default = self.models.index(self._default)
        estimates = fitted.estimates[fitted.believed]
        return point_against(estimates, cost_matrix(fitted.costs, 1)[0], fitted.quality.strongest, default)

    def margin(self, quality: float | None = None) -> float:
        """Return how much score the router may lose on average.

        Args:
            quality: The share of the strongest model's mean score to keep. Default: 0.95.
        """
        means = self._table.means
        strongest = float(means[self._fitted.quality.strongest])
        return (1 - (_QUALITY if quality is None else quality)) * strongest

    def report(self, *, quality: float | None = None) -> RouterReport:
        """Return what the router would save and lose, by its measurement on folds that it was not fitted on.

        With kinds, the measurement is that of decisions that are told the kind.

        Args:
            quality: The share of the strongest model's mean score to keep. Default: 0.95.
        """
        margin = self.margin(quality)
        point = self._point(quality, None, with_kind=True)
        n = len(self._table.scores)
        points = self._curve(with_kind=True)
        goal = next((one for one in points if one.share > 0), points[-1])
        if point is None and self._default != self._strongest:
            goal = self._against_default
        is_open = point is None or (point.share == 0 and self._has_cheaper)
        needed = needed_prompts(goal, n, margin) if is_open and goal is not None and len(self._errors) > 1 else None
        return report_of(self._table, self._fitted, margin, point, needed, is_open=is_open)

    def save(self, path: str | Path) -> None:
        """Write the router to one file. It has vectors and numbers, and no word of a prompt.

        Args:
            path: The file; its folder must exist.

        Raises:
            OSError: The file cannot be written.
        """
        from llmops_sdk.routing._files import save

        save(Path(path), self._table, self._fitted, self._default, self._embedder)

    @classmethod
    def load(cls, path: str | Path, *, embedder: Embedder | None = None) -> Router:
        """Read a router that `save` wrote.

        Args:
            path: The file.
            embedder: The embedder that it was fitted with, where that is not the static one.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is no router, a newer version wrote it, or it was fitted with another embedder.
        """
        from llmops_sdk.routing._files import load

        table, fitted, default, version, used = load(Path(path), embedder)
        return cls(table, fitted, used, default, version)


def _worth(candidate: tuple[float, float, str]) -> float:
    return candidate[1]
