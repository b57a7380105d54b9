"""Ridge regression on dense and on sparse rows, for several outputs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["SparseRows", "fit_dense", "fit_sparse"]

_STEPS = 40
_ENOUGH = 1e-8


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Rows of a sparse matrix: the place and the value of each entry that is not zero."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.float64]
    shape: tuple[int, int]

    def times(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the product with a column of weights."""
        return numpy().bincount(self.rows, self.values * weights[self.columns], self.shape[0])

    def transposed_times(self, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the product of the transposed matrix with a column."""
        return numpy().bincount(self.columns, self.values * residuals[self.rows], self.shape[1])


def fit_dense(
    rows: NDArray[np.float64],
    outputs: NDArray[np.float64],
    penalty: float,
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients (features x outputs) and the intercepts (outputs).

    Args:
        rows: Texts x features.
        outputs: Texts x outputs.
        penalty: How strongly coefficients shrink to zero; the intercepts do not.
        weights: A weight for each text; None for equal ones.
    """
    np = numpy()
    share = np.full(len(rows), 1.0) if weights is None else weights
    center = share @ rows / share.sum()
    mean = share @ outputs / share.sum()
    centered = rows - center
    gram = (centered * share[:, None]).T @ centered
    gram[np.diag_indices_from(gram)] += penalty
    found = np.linalg.solve(gram, (centered * share[:, None]).T @ (outputs - mean))
    return found, mean - center @ found


def fit_sparse(
    rows: SparseRows,
    outputs: NDArray[np.float64],
    penalty: float,
    weights: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coefficients and intercepts as `fit_dense` does, by conjugate gradients.

    Args:
        rows: Texts x features.
        outputs: Texts x outputs.
        penalty: How strongly coefficients shrink to zero.
        weights: A weight for each text; None for equal ones.
    """
    np = numpy()
    share = np.full(rows.shape[0], 1.0) if weights is None else weights
    mean = share @ outputs / share.sum()
    found = np.zeros((rows.shape[1], outputs.shape[1]))
    for output in range(outputs.shape[1]):
        found[:, output] = _solve(rows, (outputs[:, output] - mean[output]), share, penalty)
    return found, mean


def _solve(
    rows: SparseRows, target: NDArray[np.float64], share: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    np = numpy()
    goal = rows.transposed_times(share * target)
    found = np.zeros_like(goal)
    residual = goal.copy()
    direction = residual.copy()
    size = residual @ residual
    enough = _ENOUGH * size
    for _ in range(_STEPS):
        if size <= enough:
            break
        image = rows.transposed_times(share * rows.times(direction)) + penalty * direction
        step = size / (direction @ image)
        found += step * direction
        residual -= step * image
        before, size = size, residual @ residual
        direction = residual + size / before * direction
    return found
