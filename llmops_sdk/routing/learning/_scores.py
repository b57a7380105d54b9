"""Scores of several models on the same prompts, checked, and what is known of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["ScoreTable", "score_table"]

_LEAST_PROPENSITY = 0.02
"""A score with a smaller probability weighs no more than one with this."""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores and costs, one row a prompt and one column a model.

    Attributes:
        models: The models, in the order that was given: the cheapest first where no costs are known.
        scores: From 0 to 1; NaN where there is none.
        costs: USD; NaN where unknown.
        kinds: The kind of each prompt, or None.
        propensities: The probability with which each score was observed; None where it does not differ.
    """

    models: tuple[str, ...]
    scores: NDArray[np.float64]
    costs: NDArray[np.float64]
    kinds: tuple[str, ...] | None
    propensities: NDArray[np.float64] | None = None

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return the weight of each score: 1 divided by its propensity, 0 where there is no score."""
        np = numpy()
        known = ~np.isnan(self.scores)
        if self.propensities is None:
            return known.astype("float64")
        return np.where(known, 1 / np.clip(self.propensities, _LEAST_PROPENSITY, 1), 0.0)

    @property
    def means(self) -> NDArray[np.float64]:
        """Return the mean score of each model: weighted with the propensities, else on the prompts that all answered.

        A model that got the hard prompts has low scores: the weights make its prompts like all prompts. Without
        propensities, only prompts that all models answered compare them; where there are too few, each model has the
        mean of its own.

        Source: J. Hájek, "Comment on an essay by D. Basu", 1971: the ratio of weighted sums.
        """
        np = numpy()
        known = ~np.isnan(self.scores)
        shared = known.all(axis=1)
        if self.propensities is None and shared.sum() >= len(self.models):
            return self.scores[shared].mean(axis=0)
        weights = self.weights
        total = weights.sum(axis=0)
        return np.where(total > 0, (weights * np.nan_to_num(self.scores)).sum(axis=0) / np.maximum(total, 1e-9), np.nan)

    def take(self, rows: NDArray[np.intp]) -> ScoreTable:
        """Return the table of some of the prompts.

        Args:
            rows: Their numbers.
        """
        return ScoreTable(
            self.models,
            self.scores[rows],
            self.costs[rows],
            None if self.kinds is None else tuple(self.kinds[int(row)] for row in rows),
            None if self.propensities is None else self.propensities[rows],
        )

    @property
    def mean_costs(self) -> NDArray[np.float64]:
        """Return the mean cost of each model; NaN where none is known."""
        np = numpy()
        known = ~np.isnan(self.costs)
        counts = known.sum(axis=0)
        return np.where(counts > 0, np.where(known, self.costs, 0).sum(axis=0) / np.maximum(counts, 1), np.nan)


def score_table(
    count: int,
    scores: Mapping[str, Sequence[float | None]],
    costs: Mapping[str, Sequence[float | None] | float | None] | None,
    kinds: Sequence[str] | None,
) -> ScoreTable:
    """Return the checked table.

    Args:
        count: The number of prompts.
        scores: By model, a score for each prompt, from 0 to 1; None where there is none.
        costs: By model, USD for each prompt or for all; None where unknown.
        kinds: The kind of each prompt, or None.

    Raises:
        ValueError: There are fewer than two models, a column has another length, or a number is out of range.
    """
    np = numpy()
    models = tuple(scores)
    if len(models) < 2:
        raise ValueError(f"a router needs the scores of two models or more; there are {len(models)}")
    if kinds is not None and len(kinds) != count:
        raise ValueError(f"kinds has {len(kinds)} entries for {count} prompts: give one for each")
    unknown = sorted(set(costs or ()) - set(models))
    if unknown:
        raise ValueError(f"costs has {unknown[0]!r}, of which there are no scores; the models are {', '.join(models)}")
    table = np.stack([_column(scores[model], count, f"scores[{model!r}]", 1.0) for model in models], axis=1)
    spent = np.full((count, len(models)), np.nan)
    for at, model in enumerate(models):
        given = (costs or {}).get(model)
        if isinstance(given, int | float):
            given = [float(given)] * count
        if given is not None:
            spent[:, at] = _column(given, count, f"costs[{model!r}]", float("inf"))
    return ScoreTable(models, table, spent, None if kinds is None else tuple(map(str, kinds)))


def _column(values: Sequence[float | None], count: int, name: str, largest: float) -> NDArray[np.float64]:
    np = numpy()
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} entries for {count} prompts: give one for each, None where unknown")
    found = np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    wrong = np.flatnonzero(~np.isnan(found) & ~((found >= 0) & (found <= largest)))
    if len(wrong):
        where = "from 0 to 1" if largest == 1.0 else "of at least 0"
        raise ValueError(f"{name}[{wrong[0]}] is {found[wrong[0]]}: give a number {where}, or None")
    return found
