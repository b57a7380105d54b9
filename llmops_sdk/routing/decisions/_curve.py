"""Choose how much quality a saving may cost: the curve of quality over cost on prompts that the router has not seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["CurvePoint", "choices", "curve", "fitting_point", "needed_prompts", "point_against"]

_POINTS = 64
_ONE_SIDED = 1.6448536269514722
"""The 95 % quantile of the normal distribution."""


@public("llmops_sdk.routing")
@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What the router would have done with one price of quality, on prompts that it was not fitted on.

    Attributes:
        price: How much score one unit of cost is worth; 0 takes the best model whatever it costs.
        quality: The mean score.
        cost: The mean cost in USD; relative to the dearest model where costs are not known.
        difference: The mean score minus that of the strongest model.
        error: The standard error of the difference.
        share: The share of prompts that go to another model than the strongest.
    """

    price: float
    quality: float
    cost: float
    difference: float
    error: float
    share: float

    @property
    def lower(self) -> float:
        """Return the lower 95 % confidence bound of the difference."""
        return self.difference - _ONE_SIDED * self.error


def choices(quality: NDArray[np.float64], cost: NDArray[np.float64], price: float) -> NDArray[np.intp]:
    """Return the number of the best model of each prompt at a price.

    Args:
        quality: Predicted scores (prompts x models); NaN for a model that must not be chosen.
        cost: Predicted costs, of the same shape.
        price: Score per unit of cost.
    """
    np = numpy()
    value = quality - price * cost
    return np.argmax(np.where(np.isnan(value), -np.inf, value), axis=1)


def curve(
    predicted: NDArray[np.float64],
    scores: NDArray[np.float64],
    cost: NDArray[np.float64],
    spent: NDArray[np.float64],
    strongest: int,
) -> tuple[CurvePoint, ...]:
    """Return the points of the curve, from price 0 upwards.

    Args:
        predicted: Predicted scores of prompts that all models answered (prompts x models), from other folds.
        scores: Their scores.
        cost: Their predicted costs.
        spent: Their costs.
        strongest: The number of the strongest model.
    """
    np = numpy()
    span = float(cost.max() - cost.min()) or 1.0
    prices = np.concatenate([[0.0], np.logspace(-4, 2, _POINTS - 1) / span])
    rows = np.arange(len(scores))
    points: list[CurvePoint] = []
    for price in prices:
        chosen = choices(predicted, cost, float(price))
        change = scores[rows, chosen] - scores[:, strongest]
        points.append(
            CurvePoint(
                price=float(price),
                quality=float(scores[rows, chosen].mean()),
                cost=float(spent[rows, chosen].mean()),
                difference=float(change.mean()),
                error=_error(change),
                share=float((chosen != strongest).mean()),
            )
        )
    return tuple(points)


def point_against(scores: NDArray[np.float64], costs: NDArray[np.float64], model: int, other: int) -> CurvePoint | None:
    """Return what one model for all prompts is worth against another one; None where that is unknown.

    Args:
        scores: Of prompts (prompts x models).
        costs: The mean cost of each model.
        model: The number of the model.
        other: The number of the other one.
    """
    np = numpy()
    change = scores[:, model] - scores[:, other]
    change = change[~np.isnan(change)]
    if not len(change):
        return None
    return CurvePoint(
        price=0.0,
        quality=float(np.nanmean(scores[:, model])),
        cost=float(costs[model]),
        difference=float(change.mean()),
        error=_error(change),
        share=0.0,
    )


def _error(change: NDArray[np.float64]) -> float:
    """Return the standard error of a mean; where all differences are equal, that of one prompt that is not."""
    n = len(change)
    if n < 2:
        return math.inf
    return max(float(change.std(ddof=1)), math.sqrt(1 / n)) / math.sqrt(n)


def fitting_point(
    points: tuple[CurvePoint, ...], *, margin: float | None = None, max_cost: float | None = None
) -> CurvePoint | None:
    """Return the cheapest point whose quality is not worse than the strongest model's by the margin, or None.

    Args:
        points: The curve.
        margin: The lower confidence bound of the difference must be above minus this.
        max_cost: Instead: the best quality at this mean cost in USD.
    """
    if max_cost is not None:
        affordable = [one for one in points if one.cost <= max_cost]
        return max(affordable, key=lambda one: one.quality, default=None)
    # From price 0 upwards, up to the first point that fails: picking the best of many would be optimistic.
    found: CurvePoint | None = None
    for one in points:
        if margin is None or one.lower < -margin:
            break
        found = one if found is None or one.cost <= found.cost else found
    return found


def needed_prompts(point: CurvePoint, n: int, margin: float) -> int | None:
    """Return how many scored prompts it takes to prove a point, if its difference is what it seems; None for never.

    Args:
        point: A point of the curve.
        n: The scored prompts now.
        margin: The margin.
    """
    room = margin + min(point.difference, 0.0)
    if room <= 0 or not math.isfinite(point.error):
        return None
    return math.ceil((_ONE_SIDED * point.error * math.sqrt(n) / room) ** 2)
