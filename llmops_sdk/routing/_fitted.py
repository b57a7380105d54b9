"""Fit a router: predictions across folds, the curve of quality over cost, and what makes prompts unfamiliar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing.decisions._artefacts import SuspiciousKind, suspicious_kinds
from llmops_sdk.routing.decisions._curve import CurvePoint, curve
from llmops_sdk.routing.features._read import Features
from llmops_sdk.routing.learning._kinds import across_folds, kind_offsets
from llmops_sdk.routing.learning._quality import QualityModel, strongest_of
from llmops_sdk.routing.learning._scores import ScoreTable

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Fitted", "cost_matrix", "fit_all"]

_FOLDS = 5
_UNFAMILIAR = 0.02
"""The share of the scored prompts that would be unfamiliar to the others."""
_SAMPLE = 2_000
_MOST_CORRECTION = 20.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit gives.

    Attributes:
        quality: The predictors.
        believed: Which prompts' scores count.
        costs: The mean cost of each model in USD; NaN where unknown.
        curve: The curve on prompts of other folds.
        kind_curve: The same with the offsets of the kinds; None without kinds.
        kind_offsets: By kind, what to add to the prediction of each model for a prompt of this kind.
        familiar: The least cosine of a familiar prompt.
        spread: The standard deviation of what is left of each difference after the prediction.
        suspicious: The kinds that seem graded wrongly, and whether they were left out.
        estimates: The score of each model on each prompt: as observed, or doubly robust where it was not.
    """

    quality: QualityModel
    believed: NDArray[np.bool_]
    costs: NDArray[np.float64]
    curve: tuple[CurvePoint, ...]
    kind_curve: tuple[CurvePoint, ...] | None
    kind_offsets: Mapping[str, NDArray[np.float64]]
    familiar: float
    spread: NDArray[np.float64]
    suspicious: tuple[SuspiciousKind, ...]
    estimates: NDArray[np.float64]


def fit_all(
    features: Features,
    table: ScoreTable,
    *,
    keep_suspicious: bool,
    seed: int,
) -> Fitted:
    """Fit the predictors, and measure them on folds that they were not fitted on.

    Args:
        features: Of the prompts.
        table: Their scores.
        keep_suspicious: Whether scores of suspicious kinds count.
        seed: Of the folds.
    """
    np = numpy()
    known = ~np.isnan(table.scores)
    propensities = table.propensities
    if propensities is None:
        propensities = np.broadcast_to(known.mean(axis=0), known.shape)
    suspicious = _judged(suspicious_kinds(table), table, keep_suspicious=keep_suspicious)
    believed = np.ones(len(features), dtype=bool)
    if table.kinds is not None:
        believed = ~np.isin(np.array(table.kinds), [one.kind for one in suspicious if one.left_out])
    quality = QualityModel.fit(features, table, believed, propensities)
    fold = np.random.default_rng(seed).integers(0, _FOLDS, len(features))
    predicted = _across_folds(features, table, believed, propensities, fold)
    estimates = _estimates(table.scores, predicted, propensities)
    usable = believed & ~np.isnan(predicted).all(axis=1)
    if not usable.any():
        counted = int((known & believed[:, None])[:, quality.strongest].sum())
        raise ValueError(
            f"there are {counted} scores of {table.models[quality.strongest]}: four fifths of them are too few to fit "
            "the router that measures the rest; score about 40 or more"
        )
    costs = table.mean_costs
    expected = cost_matrix(costs, len(features))
    spent = np.where(np.isnan(table.costs), expected, table.costs)
    points = curve(predicted[usable], estimates[usable], expected[usable], spent[usable], quality.strongest)
    kind_points = None
    kinds = [kind if counts else "" for kind, counts in zip(table.kinds or (), believed.tolist(), strict=False)]
    if kinds:
        refined = predicted + across_folds(kinds, estimates - predicted, known, fold)
        kind_points = curve(refined[usable], estimates[usable], expected[usable], spent[usable], quality.strongest)
    left = (estimates - estimates[:, [quality.strongest]]) - (predicted - predicted[:, [quality.strongest]])
    first = quality.neighbours
    rows = np.random.default_rng(seed).permutation(len(features))[:_SAMPLE]
    familiar = float(np.quantile(first.own_familiarity(rows), _UNFAMILIAR)) if len(rows) > 1 else 1.0
    return Fitted(
        quality=quality,
        believed=believed,
        costs=costs,
        curve=points,
        kind_curve=kind_points,
        kind_offsets=kind_offsets(kinds, estimates - predicted, known) if kinds else {},
        familiar=familiar,
        spread=_spread(left[usable]),
        suspicious=suspicious,
        estimates=estimates,
    )


def _judged(
    found: tuple[SuspiciousKind, ...], table: ScoreTable, *, keep_suspicious: bool
) -> tuple[SuspiciousKind, ...]:
    """Return suspicious kinds with those marked that must not count.

    Wrong scores of the strongest model would send prompts to worse models. Those of another model only keep prompts
    away from it, and the scores of the others are as good as ever.
    """
    if keep_suspicious or not found:
        return found
    strongest = table.models[strongest_of(table)]
    return tuple(replace(one, left_out=one.model == strongest) for one in found)


def _spread(left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of each column; 1 of one without numbers."""
    np = numpy()
    known = ~np.isnan(left)
    counts = known.sum(axis=0)
    mean = np.where(known, left, 0).sum(axis=0) / np.maximum(counts, 1)
    squares = np.where(known, (left - mean) ** 2, 0).sum(axis=0)
    return np.where(counts > 0, np.sqrt(squares / np.maximum(counts, 1)), 1.0)


def cost_matrix(costs: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Return the cost to reckon with for each model, in equal rows.

    An unknown cost counts as the largest known one, never as 0. Where no cost is known, the order of the models counts:
    from 1/n for the first to 1 for the last one.

    Args:
        costs: The mean cost of each model; NaN where unknown.
        rows: How many rows.
    """
    np = numpy()
    if np.isnan(costs).all():
        each = np.arange(1, len(costs) + 1) / len(costs)
    else:
        each = np.where(np.isnan(costs), np.nanmax(costs), costs)
    return np.broadcast_to(each, (rows, len(costs)))


def _across_folds(
    features: Features,
    table: ScoreTable,
    believed: NDArray[np.bool_],
    propensities: NDArray[np.float64],
    fold: NDArray[np.intp],
) -> NDArray[np.float64]:
    np = numpy()
    predicted = np.full(table.scores.shape, np.nan)
    for one in range(_FOLDS):
        inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        try:
            known = believed[outside]
            model = QualityModel.fit(features.take(outside), table.take(outside), known, propensities[outside])
        except ValueError:  # too few scores without this fold: nothing is known of its prompts
            continue
        if len(inside):
            predicted[inside] = model.predict(features.take(inside), believed[outside]).quality
    return predicted


def _estimates(
    scores: NDArray[np.float64], predicted: NDArray[np.float64], propensities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return doubly robust scores: right on average if the propensities or the predictions are right.

    Source: M. Dudík and others, "Doubly robust policy evaluation and learning", ICML 2011.
    """
    np = numpy()
    known = ~np.isnan(scores)
    if known.all():
        return scores
    correction = np.minimum(1 / np.maximum(propensities, 1e-9), _MOST_CORRECTION)
    residual = np.where(known, np.nan_to_num(scores) - predicted, 0)
    return predicted + np.where(known, correction * residual, 0)
