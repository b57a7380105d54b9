"""Small dense matrices as lists of rows."""

from __future__ import annotations

import math

__all__ = ["inverse", "product", "transposed"]

Matrix = list[list[float]]


def transposed(matrix: Matrix) -> Matrix:
    """Return the matrix with rows and columns exchanged."""
    return [list(column) for column in zip(*matrix, strict=True)]


def product(first: Matrix, second: Matrix) -> Matrix:
    """Return the matrix product."""
    columns = transposed(second)
    return [[math.fsum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in first]


def inverse(matrix: Matrix) -> Matrix:
    """Return the inverse of a regular matrix, by Gauss and Jordan with partial pivoting."""
    size = len(matrix)
    rows = [list(row) + [float(place == index) for place in range(size)] for index, row in enumerate(matrix)]
    for place in range(size):
        pivot = max(range(place, size), key=lambda index: abs(rows[index][place]))
        rows[place], rows[pivot] = rows[pivot], rows[place]
        divisor = rows[place][place]
        lead = rows[place] = [value / divisor for value in rows[place]]
        for index, row in enumerate(rows):
            if index != place and (factor := row[place]):
                rows[index] = [value - factor * other for value, other in zip(row, lead, strict=True)]
    return [row[size:] for row in rows]
