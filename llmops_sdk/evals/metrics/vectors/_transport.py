"""The cheapest way to move equal weights onto equal weights, exactly."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["cheapest_transport"]


def cheapest_transport(np: Any, costs: Any) -> float:
    """Return the mean cost of moving the rows' weight, spread evenly, onto the columns, spread evenly.

    Weights are integers here, so that the search ends: `m / gcd` a row and `n / gcd` a column. Each step moves what it
    can along the shortest path from a row with weight left to a column with room left. Prices keep all reduced costs at
    or above 0, as in the Hungarian method.

    Args:
        np: numpy.
        costs: A finite table of n rows and m columns.
    """
    rows, columns = costs.shape
    common = math.gcd(rows, columns)
    left = np.full(rows, columns // common)
    room = np.full(columns, rows // common)
    flow = np.zeros((rows, columns), dtype="int64")
    row_price, column_price = np.zeros(rows), costs.min(axis=0)
    while left.any():
        _move(np, costs - row_price[:, None] - column_price, left, room, flow, row_price, column_price)
    return float((flow * costs).sum() / (rows * columns // common))


def _move(np: Any, reduced: Any, left: Any, room: Any, flow: Any, row_price: Any, column_price: Any) -> None:
    """Move weight along one shortest path, and change the prices."""
    starts = np.flatnonzero(left)
    row_distance = np.full(len(left), np.inf)
    row_distance[starts] = 0.0
    row_from = np.full(len(left), -1)
    best = reduced[starts]
    column_from = starts[best.argmin(axis=0)]
    column_distance = best.min(axis=0)
    is_open = np.ones(len(room), dtype=bool)
    while True:
        column = int(np.where(is_open, column_distance, np.inf).argmin())
        distance = column_distance[column]
        is_open[column] = False
        if room[column]:
            break
        # Going back along a flow costs nothing: its reduced cost is 0.
        for row in np.flatnonzero((flow[:, column] > 0) & np.isinf(row_distance)):
            row_distance[row] = distance
            row_from[row] = column
            through = distance + reduced[row]
            nearer = is_open & (through < column_distance)
            column_distance[nearer] = through[nearer]
            column_from[nearer] = row
    done = np.isfinite(row_distance)
    row_price[done] += distance - row_distance[done]
    closed = ~is_open
    column_price[closed] -= distance - column_distance[closed]
    path: list[tuple[int, int, int]] = []
    end = column
    while True:
        row = int(column_from[column])
        path.append((row, column, 1))
        if row_from[row] < 0:
            break
        column = int(row_from[row])
        path.append((row, column, -1))
    amount = min([left[row], room[end], *(flow[i, j] for i, j, sign in path if sign < 0)])
    for i, j, sign in path:
        flow[i, j] += sign * amount
    left[row] -= amount
    room[end] -= amount
