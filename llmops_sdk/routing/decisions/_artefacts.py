"""Find kinds of prompts that were graded wrongly: there, a model is far worse than everywhere else, by itself."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._vectors import numpy
from llmops_sdk.routing.learning._scores import ScoreTable
from llmops_sdk.stats import binomial_tail

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
    """

    kind: str
    model: str
    mean: float
    elsewhere: float
    n: int
    p_value: float


def suspicious_kinds(table: ScoreTable) -> tuple[SuspiciousKind, ...]:
    """Return the kinds in which one model's scores fall far below what the other models' scores let expect.

    A kind is hard if all models score lower there, and that is no reason for suspicion. It is suspicious if one model
    falls by at least 0.35 more than the others do, and chance does not explain that (p < 1e-9).

    Args:
        table: The scores, with kinds.
    """
    np = numpy()
    if table.kinds is None:
        return ()
    kinds = np.array(table.kinds)
    complete = ~np.isnan(table.scores).any(axis=1)
    found: list[SuspiciousKind] = []
    for kind in sorted(set(table.kinds)):
        inside = complete & (kinds == kind)
        outside = complete & (kinds != kind)
        n = int(inside.sum())
        if n < _LEAST_PROMPTS or outside.sum() < _LEAST_PROMPTS:
            continue
        here, there = table.scores[inside].mean(axis=0), table.scores[outside].mean(axis=0)
        fall = there - here
        for at, model in enumerate(table.models):
            others = float(np.median(np.delete(fall, at)))
            expected = min(max(float(there[at]) - max(others, 0.0), 0.001), 0.999)
            if float(fall[at]) - max(others, 0.0) < _LARGE:
                continue
            wrong = n - round(float(here[at]) * n)
            p_value = binomial_tail(wrong, n, 1 - expected)
            if p_value < _CERTAIN:
                found.append(
                    SuspiciousKind(
                        kind=kind, model=model, mean=float(here[at]), elsewhere=float(there[at]), n=n, p_value=p_value
                    )
                )
    return tuple(found)
