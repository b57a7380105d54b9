"""What a router is good for, in numbers: the models, each kind of prompts, the curve, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing._fitted import Fitted
from llmops_sdk.routing._model_row import ModelRow
from llmops_sdk.routing.decisions._artefacts import SuspiciousKind
from llmops_sdk.routing.decisions._curve import CurvePoint
from llmops_sdk.routing.learning._scores import ScoreTable
from llmops_sdk.stats import Interval

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["RouterReport", "report_of"]

_TWO_SIDED = 1.959963984540054
_TOLD = {True: "was left out of the fit", False: "counts, and keeps prompts away from this model"}


@public("llmops_sdk.routing")
@dataclass(frozen=True, slots=True, kw_only=True)
class RouterReport:
    """What a router would save and lose.

    Attributes:
        rows: A row a model, and a row a model and kind.
        strongest: The model with the best mean score.
        dominated: Models that are neither better nor cheaper than another one: they need no traffic.
        margin: The mean score that may be lost.
        chosen: The point of the curve that is in force, or None where nothing is proven.
        curve: Quality over cost on prompts of other folds.
        needed: How many scored prompts it takes to prove that a cheaper model is good enough; None where it is proven,
            or where the cheaper models seem too bad.
        suspicious: Kinds with scores that are hardly true.
        notes: What a reader must know, one sentence each.
    """

    rows: tuple[ModelRow, ...]
    strongest: str
    dominated: tuple[str, ...]
    margin: float
    chosen: CurvePoint | None
    curve: tuple[CurvePoint, ...]
    needed: int | None
    suspicious: tuple[SuspiciousKind, ...]
    notes: tuple[str, ...]


def report_of(
    table: ScoreTable, fitted: Fitted, margin: float, chosen: CurvePoint | None, needed: int | None, *, is_open: bool
) -> RouterReport:
    """Return the report of a fitted router.

    Args:
        table: The scores.
        fitted: What the fit gave.
        margin: The mean score that may be lost.
        chosen: The point in force.
        needed: The scored prompts that are needed.
        is_open: Whether nothing is proven about a model that is cheaper than the strongest one.
    """
    np = numpy()
    rows = [_row("", table, at, fitted.believed) for at in range(len(table.models))]
    if table.kinds is not None:
        kinds = np.array(table.kinds)
        for kind in sorted(set(table.kinds)):
            rows += [_row(kind, table, at, kinds == kind) for at in range(len(table.models))]
    overall = rows[: len(table.models)]
    return RouterReport(
        rows=tuple(rows),
        strongest=table.models[fitted.quality.strongest],
        dominated=_dominated(overall),
        margin=margin,
        chosen=chosen,
        curve=fitted.curve if fitted.kind_curve is None else fitted.kind_curve,
        needed=needed,
        suspicious=fitted.suspicious,
        notes=tuple(_notes(table, fitted, needed, _dominated(overall), is_open=is_open)),
    )


def _row(kind: str, table: ScoreTable, at: int, rows: NDArray[np.bool_]) -> ModelRow:
    np = numpy()
    scores, weights = table.scores[rows, at], table.weights[rows, at]
    weights, scores = weights[~np.isnan(scores)], scores[~np.isnan(scores)]
    costs = table.costs[rows, at]
    costs = costs[~np.isnan(costs)]
    n = len(scores)
    mean = float(weights @ scores / weights.sum()) if n else None
    interval = None
    if mean is not None and n > 1:
        # Scores with large weights count for few: the weighted variance over the effective number.
        effective = float(weights.sum() ** 2 / (weights @ weights))
        variance = float(weights @ (scores - mean) ** 2 / weights.sum()) * n / (n - 1)
        half = _TWO_SIDED * (variance / effective) ** 0.5
        interval = Interval(max(mean - half, 0.0), min(mean + half, 1.0))
    return ModelRow(
        kind=kind,
        model=table.models[at],
        n=n,
        quality=mean,
        interval=interval,
        cost=float(costs.mean()) if len(costs) else None,
    )


def _dominated(rows: list[ModelRow]) -> tuple[str, ...]:
    found: list[str] = []
    for one in rows:
        for other in rows:
            if one is other or None in (one.quality, other.quality, one.cost, other.cost):
                continue
            assert one.quality is not None
            assert other.quality is not None
            assert one.cost is not None
            assert other.cost is not None
            if other.quality > one.quality and other.cost < one.cost:
                found.append(one.model)
                break
    return tuple(found)


def _notes(
    table: ScoreTable, fitted: Fitted, needed: int | None, dominated: tuple[str, ...], *, is_open: bool
) -> list[str]:
    notes = [
        f"{one.model} scores {one.mean:.3f} on {one.kind} ({one.n} prompts) and {one.elsewhere:.3f} elsewhere: "
        f"check how it was graded; the kind {_TOLD[one.left_out]}"
        for one in fitted.suspicious
    ]
    notes += [f"{model} costs more and is worse than another model: leave it out" for model in dominated]
    known = {model for part in fitted.quality.parts for model in part.models}
    notes += [
        f"the quality of {model} is unknown: too few scores; let some prompts go to it, or score its answers to stored "
        "prompts"
        for at, model in enumerate(table.models)
        if at not in known
    ]
    if is_open:
        more = "" if needed is None else f": about {needed} scored prompts are needed, there are {len(table.scores)}"
        notes.append(f"nothing is proven about cheaper models, so every prompt goes to the default model{more}")
    return notes
