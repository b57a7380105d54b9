"""What a prompt's kind says beyond its text: how far the scores of the kind are from what the texts let expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["across_folds", "kind_offsets"]

_SHRINKAGE = 20.0
"""An offset counts half where a kind has so many scores of a model."""


def kind_offsets(
    kinds: Sequence[str], residual: NDArray[np.float64], known: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return by kind what to add to the predicted score of each model, shrunk to 0 where there are few scores.

    Args:
        kinds: The kind of each prompt; "" has no offset.
        residual: Score minus prediction (prompts x models); NaN where there is no prediction. The predictions must be
            those of other folds.
        known: Which scores there are.
    """
    np = numpy()
    named = np.array(kinds)
    found: dict[str, NDArray[np.float64]] = {}
    for kind in sorted(set(kinds) - {""}):
        rows = residual[named == kind]
        counts = known[named == kind].sum(axis=0)
        usable = ~np.isnan(rows)
        mean = np.where(usable, rows, 0).sum(axis=0) / np.maximum(usable.sum(axis=0), 1)
        found[kind] = mean * counts / (counts + _SHRINKAGE)
    return found


def across_folds(
    kinds: Sequence[str], residual: NDArray[np.float64], known: NDArray[np.bool_], fold: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the offset of each prompt and model by the scores of the other folds.

    Args:
        kinds: As for `kind_offsets`.
        residual: Likewise.
        known: Likewise.
        fold: The number of each prompt's fold.
    """
    np = numpy()
    found = np.zeros(residual.shape)
    for one in np.unique(fold):
        outside: list[int] = np.flatnonzero(fold != one).tolist()
        inside: list[int] = np.flatnonzero(fold == one).tolist()
        offsets = kind_offsets([kinds[row] for row in outside], residual[outside], known[outside])
        for row in inside:
            found[row] = offsets.get(kinds[row], 0.0)
    return found
