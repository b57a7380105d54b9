"""The most similar scored prompts: means of their outputs, and how familiar a prompt is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["DIMENSIONS", "Neighbours"]

DIMENSIONS = 32
"""Vectors are projected on their main directions: as good for this, and eight times as fast."""
_BLOCK = 1_024


class Neighbours:
    """Scored prompts as unit vectors.

    Args:
        center: The mean of the vectors (dimensions of the embedder).
        directions: The main directions (dimensions of the embedder x `DIMENSIONS`).
        rows: The projected vectors, one row a prompt.
    """

    def __init__(self, center: NDArray[np.float32], directions: NDArray[np.float32], rows: NDArray[np.float32]) -> None:
        self.center, self.directions, self.rows = center, directions, rows

    @classmethod
    def fit(cls, vectors: NDArray[np.float32]) -> Neighbours:
        """Project vectors on their main directions.

        Args:
            vectors: One row a prompt.
        """
        np = numpy()
        center = vectors.mean(axis=0)
        shifted = (vectors - center).astype("float64")
        _, found = np.linalg.eigh(shifted.T @ shifted)
        directions = np.ascontiguousarray(found[:, ::-1][:, :DIMENSIONS].astype("float32"))
        made = cls(center, directions, np.zeros((0, directions.shape[1]), "float32"))
        made.rows = made.project(vectors)
        return made

    def project(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return unit rows in the main directions."""
        np = numpy()
        found = (vectors - self.center) @ self.directions
        length = np.sqrt((found * found).sum(axis=1, keepdims=True))
        return found / np.maximum(length, np.float32(1e-9))

    def nearest(self, vectors: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Return the numbers of the nearest prompts of each vector, in no order, and their cosines.

        Args:
            vectors: One row a prompt.
            count: How many, at most the number of rows.
        """
        np = numpy()
        asked = self.project(vectors)
        count = min(count, len(self.rows))
        found = np.empty((len(asked), count), dtype=np.intp)
        cosines = np.empty((len(asked), count), dtype="float32")
        for begin in range(0, len(asked), _BLOCK):
            all_cosines = asked[begin : begin + _BLOCK] @ self.rows.T
            chosen = np.argpartition(all_cosines, -count, axis=1)[:, -count:]
            found[begin : begin + _BLOCK] = chosen
            cosines[begin : begin + _BLOCK] = np.take_along_axis(all_cosines, chosen, axis=1)
        return found, cosines

    def own_familiarity(self, sample: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the largest cosine of some of the rows to another row.

        Args:
            sample: The numbers of the rows.
        """
        np = numpy()
        largest = np.empty(len(sample), dtype="float32")
        for begin in range(0, len(sample), _BLOCK):
            some = sample[begin : begin + _BLOCK]
            cosines = self.rows[some] @ self.rows.T
            cosines[np.arange(len(some)), some] = -1
            largest[begin : begin + _BLOCK] = cosines.max(axis=1)
        return largest
