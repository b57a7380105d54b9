"""Calls of two windows as arrays, and the comparison of a signal's means over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk._util._optional import require
from llmops_sdk.drift._contrast import Contrast, Moments, Size, finish, moments_of, size_of

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Column", "Compared", "Frame", "codes_of", "compare", "numpy"]

_FEWEST_BLOCKS = 10
_FEWEST_IN_CELL = 10
_CANDIDATES = 2


def numpy() -> Any:
    """Return numpy, or raise an error that says what to install."""
    return require("numpy", extra="stats", purpose="the check of stored traces for drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A signal: one number a call.

    Attributes:
        values: The number; NaN where there is none. Of categories, the place in `names`, or a place after the last.
        scale: "mean"; "log" for positive numbers whose typical value is compared; "share" for 0 and 1; or "category".
        names: The categories, the most frequent first.
        unit: For the reason.
        is_input: Whether users or we decide about it, so that the provider cannot change it.
        inflation: What the variance is multiplied with, where values of different users depend on each other.
    """

    values: NDArray[Any]
    scale: str = "mean"
    names: tuple[str, ...] = ()
    unit: str = ""
    is_input: bool = False
    inflation: float = 1.0


@dataclass(slots=True, kw_only=True)
class Frame:
    """Calls of two windows.

    Attributes:
        is_current: The window of each call.
        clusters: The number of its user; of its session or trace where the user is unknown.
        blocks: The number of its span of time, for shocks that all users share.
        hours: Its hour within the period; all 0 without one.
        configs: The place of its configuration of ours in the list of them.
        slices: For each column of `by`, the place of its value in the list of values.
        trace_ids: Of each call, as 16 bytes.
        columns: The signals.
    """

    is_current: NDArray[np.bool_]
    clusters: NDArray[Any]
    blocks: NDArray[Any]
    hours: NDArray[Any]
    configs: NDArray[Any]
    slices: dict[str, NDArray[Any]]
    columns: dict[str, Column] = field(default_factory=dict[str, Column])

    def __len__(self) -> int:
        return len(self.is_current)


class Compared(NamedTuple):
    """What a comparison of one signal over some calls gives."""

    found: Contrast
    reference_n: int
    current_n: int
    sizes: tuple[Size, Size]
    """Independent values in the reference and in the current window."""
    category: str | None = None
    is_constant: bool = False


def codes_of(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers from 0 for the distinct values."""
    return numpy().unique(values, return_inverse=True)[1].astype("int32")


def compare(frame: Frame, column: Column, rows: NDArray[np.intp], *, within: bool) -> Compared | None:
    """Compare a signal over some calls.

    Args:
        frame: The calls.
        column: The signal.
        rows: The calls to compare.
        within: Compare only calls with the same configuration of ours.

    Returns:
        None where a window has no value.
    """
    np = numpy()
    values = column.values[rows]
    if column.scale == "category":
        return _compare_category(frame, column, rows, values, within=within)
    rows, values = _finite(rows, values)
    if column.scale == "log":
        rows, values = rows[values > 0], np.log(values[values > 0])
    return _compare_numbers(frame, rows, values, within=within, inflation=column.inflation)


def _finite(rows: Any, values: Any) -> tuple[Any, Any]:
    is_there = numpy().isfinite(values)
    return (rows, values) if is_there.all() else (rows[is_there], values[is_there])


def _compare_category(frame: Frame, column: Column, rows: Any, values: Any, *, within: bool) -> Compared | None:
    """Compare the shares of the categories; the one with the smallest p-value stands for all."""
    np = numpy()
    rows, values = _finite(rows, values)
    codes = values.astype("int32")
    flags = frame.is_current[rows]
    count = len(column.names) + 1
    new, old = np.bincount(codes[flags], minlength=count), np.bincount(codes[~flags], minlength=count)
    if not new.sum() or not old.sum():
        return None
    used = np.flatnonzero(new + old)
    share = (new + old)[used] / (new + old).sum()
    gap = np.abs(new[used] / new.sum() - old[used] / old.sum()) / np.sqrt(np.maximum(share * (1 - share), 1e-12))
    best: Compared | None = None
    # Those with the largest difference for independent calls are compared properly. The correction is for all.
    for code in used[np.argsort(-gap)][:_CANDIDATES]:
        one = _compare_numbers(frame, rows, (codes == code).astype("float32"), within=within)
        if one is not None and (best is None or one.found.p_value < best.found.p_value):
            name = (*column.names, "others")[int(code)]
            best = one._replace(category=name)
    if best is None or len(used) < 2:
        return best
    return best._replace(found=best.found._replace(p_value=min(1.0, best.found.p_value * (len(used) - 1))))


def _compare_numbers(frame: Frame, rows: Any, values: Any, *, within: bool, inflation: float = 1.0) -> Compared | None:
    np = numpy()
    flags = frame.is_current[rows]
    cells, count = _cells(frame, rows, flags, within=within)
    new, old = np.bincount(cells[flags], minlength=count), np.bincount(cells[~flags], minlength=count)
    both = (new > 0) & (old > 0)
    if not both.any():
        return None
    if not both.all():
        kept = both[cells]
        rows, values, flags, cells = rows[kept], values[kept], flags[kept], cells[kept]
        new, old = np.where(both, new, 0), np.where(both, old, 0)
    size_new, size_old = int(new.sum()), int(old.sum())
    if count == 1:
        mean = float(values.mean(dtype="float64"))
        steps = values - mean
        first = float(steps[flags].mean(dtype="float64")) + mean
        before = float(steps[~flags].mean(dtype="float64")) + mean
        weighed = np.where(flags, steps / size_new, -steps / size_old)
    else:
        sums = np.bincount(cells, values, minlength=count)
        steps = values - (sums / np.maximum(new + old, 1))[cells]
        # The reference's cells get the weights of the current ones: both windows then have the same mix.
        weights = np.where(both, new / np.maximum(old, 1), 0.0) / size_new
        weighed = np.where(flags, steps / size_new, -steps * weights[cells])
        first = float(values[flags].mean(dtype="float64"))
        before = first - float(weighed.sum(dtype="float64"))
    used = int(both.sum())
    correction = inflation * len(rows) / max(len(rows) - used, 1)
    moments = [_moments(weighed, frame.clusters[rows], correction)]
    blocks = frame.blocks[rows]
    if min(_distinct(blocks[flags]), _distinct(blocks[~flags])) >= _FEWEST_BLOCKS:
        shocks = _shocks(weighed, flags, blocks, correction)
        moments += [shocks] if shocks.variance > 0 else []
    found = finish(before, first, *moments, effect=first - before)
    old_size, new_size = (_size(steps[side], frame.clusters[rows[side]]) for side in (~flags, flags))
    return Compared(found, size_old, size_new, (old_size, new_size), is_constant=bool(values.min() == values.max()))


def _cells(frame: Frame, rows: Any, flags: Any, *, within: bool) -> tuple[Any, int]:
    """Return the cell of each call: its hour in the period, in steps with enough calls, and its configuration."""
    np = numpy()
    hours = frame.hours[rows]
    longest = int(hours.max()) + 1 if len(hours) else 1
    cells = hours
    for step in (1, 2, 3, 6, 12, 24):
        cells = hours // step
        if step >= longest or min(int(flags.sum()), len(flags) - int(flags.sum())) >= _FEWEST_IN_CELL * (
            longest / step
        ):
            break
    if within:
        configs = frame.configs[rows]
        cells = cells + configs * (int(cells.max()) + 1 if len(cells) else 1)
    count = int(cells.max()) + 1 if len(cells) else 1
    return cells if count > 1 else np.zeros(len(rows), "int32"), count


def _moments(weighed: Any, labels: Any, correction: float) -> Moments:
    np = numpy()
    sums = np.bincount(labels, weighed)
    squares = sums * sums * correction
    return moments_of(_distinct(labels), float(squares.sum()), float((squares * squares).sum()))


def _shocks(weighed: Any, flags: Any, blocks: Any, correction: float) -> Moments:
    """Return the variance between spans of time within each window.

    A window has few of them, so each is compared with the mean of its own window: with the common mean, the difference
    itself would count as a shock. Source: B. L. Welch, Biometrika 34 (1947).
    """
    np = numpy()
    parts: list[tuple[float, int]] = []
    for side in (flags, ~flags):
        labels, values = blocks[side], weighed[side]
        sums = np.bincount(labels, values)
        sizes = np.bincount(labels)
        steps = sums - sizes * (float(sums.sum()) / len(labels))
        count = int(np.count_nonzero(sizes))
        parts.append((float((steps * steps).sum()) * correction * count / (count - 1), count))
    variance = sum(one for one, _ in parts)
    spread = sum(one**2 / (count - 1) for one, count in parts)
    return Moments(variance, variance**2 / spread if spread > 0 else 1.0)


def _distinct(labels: Any) -> int:
    return int(numpy().count_nonzero(numpy().bincount(labels))) if len(labels) else 0


def _size(steps: Any, labels: Any) -> Size:
    np = numpy()
    sizes = np.bincount(labels)
    size = float((sizes.astype(float) ** 2).sum()) / max(len(steps), 1)
    alone = float((steps.astype(float) ** 2).sum())
    centred = steps - steps.mean() if len(steps) else steps
    together = float((np.bincount(labels, centred) ** 2).sum())
    return size_of(len(steps), size, together / alone if alone > 0 else 1.0)
