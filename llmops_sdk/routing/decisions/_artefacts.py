"""Find kinds of prompts that were graded wrongly: there, a model is far worse than everywhere else, by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing.learning._scores import ScoreTable
from llmops_sdk.stats import binomial_tail

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["SuspiciousKind", "suspicious_kinds"]

_LEAST_PROMPTS = 20
_CERTAIN = 1e-9
_LARGE = 0.35


@public("llmops_sdk.routing")
@dataclass(frozen=True, slots=True, kw_only=True)
class SuspiciousKind:
    """A kind whose scores of one model are hardly true.

    Attributes:
        kind: The kind.
        model: The model.
        mean: Its mean score in this kind.
        elsewhere: Its mean score in the other kinds.
        n: The prompts of this kind.
        p_value: The chance of a score so low, if the kind were as hard for it as for the other models.
        left_out: Whether the kind was left out of the fit: if the model is the strongest one, and it was not kept.
    """

    kind: str
    model: str
    mean: float
    elsewhere: float
    n: int
    p_value: float
    left_out: bool = False


def suspicious_kinds(table: ScoreTable) -> tuple[SuspiciousKind, ...]:
    """Return the kinds in which one model's scores fall far below what the other models' scores let expect.

    A kind is hard if all models score lower there, or if the weaker models do, and that is no reason for suspicion. It
    is suspicious if a model that is better than the others elsewhere is worse there: if it falls by at least 0.35 more
    than they do, and chance does not explain that (p < 1e-9). The most suspicious kind is judged first, and the others
    without it.

    Args:
        table: The scores, with kinds.
    """
    np = numpy()
    if table.kinds is None:
        return ()
    kinds = np.array(table.kinds)
    complete = ~np.isnan(table.scores).any(axis=1)
    found: list[SuspiciousKind] = []
    while True:
        candidates = [
            one
            for kind in sorted(set(kinds[complete].tolist()))
            for one in _of_kind(table, kind, complete & (kinds == kind), complete & (kinds != kind))
        ]
        if not candidates:
            return tuple(sorted(found, key=lambda one: (one.kind, one.model)))
        worst = max(candidates, key=lambda one: one.elsewhere - one.mean)
        found.append(worst)
        complete = complete & (kinds != worst.kind)


def _of_kind(
    table: ScoreTable, kind: str, inside: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> Iterator[SuspiciousKind]:
    np = numpy()
    n = int(inside.sum())
    if n < _LEAST_PROMPTS or outside.sum() < _LEAST_PROMPTS:
        return
    here, there = table.scores[inside].mean(axis=0), table.scores[outside].mean(axis=0)
    fall = there - here
    for at, model in enumerate(table.models):
        others = float(np.median(np.delete(fall, at)))
        is_reversed = there[at] > np.median(np.delete(there, at)) and here[at] < np.median(np.delete(here, at))
        expected = min(max(float(there[at]) - max(others, 0.0), 0.001), 0.999)
        if not is_reversed or float(fall[at]) - max(others, 0.0) < _LARGE:
            continue
        wrong = n - round(float(here[at]) * n)
        p_value = binomial_tail(wrong, n, 1 - expected)
        if p_value < _CERTAIN:
            yield SuspiciousKind(
                kind=kind, model=model, mean=float(here[at]), elsewhere=float(there[at]), n=n, p_value=p_value
            )
