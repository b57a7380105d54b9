"""Novelty: how far texts are from everything that others sent in the reference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk.drift.texts._permutation import Blocks, numpy, p_value, scaled_steps

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["TAIL", "Novelty", "novelty", "tail_weights"]

TAIL = 0.05
"""The share of the reference that counts as novel, by definition."""
_NEIGHBOURS = 48
_ROWS = 512


class Novelty(NamedTuple):
    """The novelty of each text and the test of the current window."""

    similarity: NDArray[np.float32]
    """Of each text to the nearest reference text of another user, from -1 to 1."""
    is_novel: NDArray[np.bool_]
    """Whether it is below the 5 % quantile of the reference."""
    threshold: float
    p_value: float
    """One-sided: for more novelty in the current window."""


def novelty(
    vectors: NDArray[np.float32], users: Sequence[Hashable] | None, blocks: Blocks, windows: NDArray[np.bool_]
) -> Novelty:
    """Return how novel each text is, and whether the current window has more novel texts than the reference.

    A text's similarity is that to the nearest text of the reference that another user sent. The test weighs a text by
    how far it is in the tail: minus the logarithm of its rank as a share of the most novel 5 %. For each permutation of
    the windows the similarities are found anew, so the bank is the permuted reference and the p-value is exact.

    Args:
        vectors: One row of unit length for each text.
        users: Who sent each text, or None.
        blocks: The blocks of the texts.
        windows: As by `draw_windows`.

    Source: for tests of the tail of conformal scores, S. Bates and others, "Testing for outliers with conformal
    p-values", Annals of Statistics 51 (2023).
    """
    np = numpy()
    places, similarities = _nearest(vectors, users)
    ordered = np.sort(similarities[:, 0])
    values = np.empty(len(windows))
    first = np.empty(0, "float32")
    for number, window in enumerate(windows):
        is_bank = ~window[blocks.of_row]
        found = _to_bank(is_bank, places, similarities)
        share = (np.searchsorted(ordered, found, side="right") + 0.5) / (len(ordered) + 1)
        values[number] = scaled_steps(-np.log(np.minimum(share / TAIL, 1.0)), blocks, window)
        first = found if number == 0 else first
    is_reference = ~windows[0][blocks.of_row]
    threshold = float(np.quantile(first[is_reference], TAIL))
    return Novelty(first, first < threshold, threshold, p_value(values))


def tail_weights(vectors: NDArray[np.float32], users: Sequence[Hashable], reference_n: int) -> NDArray[np.float64]:
    """Return how far each text is in the tail of the reference: 0 for most, 1 on average for the most novel 5 %.

    Args:
        vectors: One row of unit length for each text, those of the reference first.
        users: Who sent each text.
        reference_n: How many texts are the reference.
    """
    np = numpy()
    places, similarities = _nearest(vectors, users)
    found = _to_bank(np.arange(len(vectors)) < reference_n, places, similarities)
    share = (np.searchsorted(np.sort(found), found, side="right") - 0.5) / len(found)
    return -np.log(np.minimum(share / TAIL, 1.0))


def _nearest(vectors: NDArray[np.float32], users: Sequence[Hashable] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the places and similarities of the nearest texts of others, the nearest first."""
    np = numpy()
    count = len(vectors)
    keep = min(_NEIGHBOURS, count - 1)
    labels = None
    if users is not None:
        numbers: dict[Hashable, int] = {}
        labels = np.array([numbers.setdefault(user, len(numbers)) for user in users])
    places = np.empty((count, keep), "int32")
    similarities = np.empty((count, keep), "float32")
    for begin in range(0, count, _ROWS):
        rows = np.arange(begin, min(begin + _ROWS, count))
        found = vectors[rows] @ vectors.T
        found[np.arange(len(rows)), rows] = -2.0
        if labels is not None:
            found[labels[rows][:, None] == labels[None]] = -2.0
        nearest = np.argpartition(found, count - keep, axis=1)[:, count - keep :]
        near = np.take_along_axis(found, nearest, 1)
        order = np.argsort(-near, axis=1, kind="stable")
        places[rows] = np.take_along_axis(nearest, order, 1)
        similarities[rows] = np.take_along_axis(near, order, 1)
    return places, similarities


def _to_bank(is_bank: NDArray[np.bool_], places: NDArray[Any], similarities: NDArray[Any]) -> NDArray[Any]:
    """Return the similarity to the nearest text in the bank; where none of the nearest is in it, that to the last."""
    np = numpy()
    found = similarities[:, -1].copy()
    # Most texts have their nearest in the bank, so only the others look further.
    rows = np.arange(len(places))
    for column in range(places.shape[1]):
        hit = is_bank[places[rows, column]]
        found[rows[hit]] = similarities[rows[hit], column]
        rows = rows[~hit]
        if not len(rows):
            break
    return found
