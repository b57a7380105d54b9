"""Permute the windows of whole users, and compare statistics that are scaled by their robust variance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llmops_sdk._util._optional import require

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Blocks", "draw_windows", "make_blocks", "numpy", "p_value", "scaled_shift", "scaled_steps", "unknown_words"]


def numpy() -> Any:
    """Return numpy, or raise an error that says what to install."""
    return require("numpy", extra="embeddings", purpose="data_drift() with vectors")


class Blocks(NamedTuple):
    """The rows of one user in one window are a block: they move together."""

    of_row: NDArray[np.intp]
    """The block of each row."""
    sizes: NDArray[np.float64]
    """The rows of each block."""
    is_current: NDArray[np.bool_]
    """The window of each block."""
    pairs: NDArray[np.intp]
    """Two columns: the blocks of each user who is in both windows, the reference first."""


def make_blocks(is_current: Sequence[bool], users: Sequence[Hashable] | None) -> Blocks:
    """Return the blocks of the rows.

    Args:
        is_current: The window of each row.
        users: Who sent each row, or None where all rows are independent.
    """
    np = numpy()
    if users is None:
        count = len(is_current)
        return Blocks(np.arange(count), np.ones(count), np.array(is_current, bool), np.empty((0, 2), np.intp))
    numbers: dict[tuple[bool, Hashable], int] = {}
    of_row = [
        numbers.setdefault((bool(flag), user), len(numbers)) for flag, user in zip(is_current, users, strict=True)
    ]
    pairs = [
        (number, numbers[True, user])
        for (flag, user), number in numbers.items()
        if not flag and (True, user) in numbers
    ]
    windows = np.array([flag for flag, _ in numbers], bool)
    return Blocks(
        np.array(of_row, np.intp),
        np.bincount(of_row, minlength=len(numbers)).astype(float),
        windows,
        np.array(pairs, np.intp).reshape(-1, 2),
    )


def draw_windows(blocks: Blocks, resamples: int, seed: int = 0) -> NDArray[np.bool_]:
    """Return the window of each block, as observed in the first row, then permuted.

    A user in both windows swaps them or not; all other blocks exchange windows among each other.
    """
    np = numpy()
    generator = np.random.default_rng(seed)
    drawn = np.repeat(blocks.is_current[None], resamples + 1, axis=0)
    paired = blocks.pairs.ravel()
    single = np.setdiff1d(np.arange(len(blocks.sizes)), paired)
    drawn[1:, single] = generator.permuted(drawn[1:, single], axis=1)
    if len(paired):
        swapped = generator.random((resamples, len(blocks.pairs))) < 0.5
        drawn[1:, blocks.pairs[:, 0]] = swapped
        drawn[1:, blocks.pairs[:, 1]] = ~swapped
    return drawn


def scaled_shift(features: NDArray[Any], blocks: Blocks, windows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return, for each assignment of windows, the squared distance of the two means in units of its robust variance.

    A single heavy block cannot make the result much larger than 1, because it makes the variance as large.

    Args:
        features: One row for each text.
        blocks: The blocks of the rows.
        windows: As by `draw_windows`.
    """
    np = numpy()
    centred = features - features.mean(axis=0)
    sums = centred
    if len(blocks.sizes) < len(features):
        order = np.argsort(blocks.of_row, kind="stable")
        begins = np.searchsorted(blocks.of_row[order], np.arange(len(blocks.sizes)))
        sums = np.add.reduceat(centred[order], begins, axis=0)
    squares = (sums * sums).sum(axis=1)
    across = float((sums[blocks.pairs[:, 0]] * sums[blocks.pairs[:, 1]]).sum())
    flags = windows.astype("float32")
    new = flags @ blocks.sizes.astype("float32")
    old = float(blocks.sizes.sum()) - new
    # The distances from the common mean add up to zero, so one window's sum is minus the other's.
    moved = flags @ sums.astype("float32")
    distance = (moved.astype(float) ** 2).sum(axis=1) * (1 / new + 1 / old) ** 2
    of_new = flags.astype(float) @ squares
    variance = of_new / new**2 + (squares.sum() - of_new) / old**2 - 2 * across / (new * old)
    return distance / np.maximum(variance, 1e-300)


def scaled_steps(values: NDArray[np.float64], blocks: Blocks, window: NDArray[np.bool_]) -> float:
    """Return the difference of two means in units of its robust standard error, for one assignment of windows.

    Args:
        values: One number for each text, which may depend on the assignment.
        blocks: The blocks of the rows.
        window: The window of each block.
    """
    np = numpy()
    sums = np.bincount(blocks.of_row, values - values.mean(), minlength=len(blocks.sizes))
    new = float(blocks.sizes[window].sum())
    steps = np.where(window, sums / new, -sums / (float(blocks.sizes.sum()) - new))
    variance = float((steps * steps).sum() + 2 * (steps[blocks.pairs[:, 0]] * steps[blocks.pairs[:, 1]]).sum())
    return float(steps.sum()) / max(variance, 1e-300) ** 0.5


def p_value(statistics: NDArray[np.float64]) -> float:
    """Return the share of assignments whose statistic is at least the first one's, which is the observed."""
    observed = float(statistics[0])
    return float((statistics >= observed - 1e-9 * abs(observed)).sum()) / len(statistics)


def unknown_words(words: Sequence[Sequence[int]], blocks: Blocks, windows: NDArray[np.bool_]) -> float:
    """Return the p-value of the share of words that nobody else uses in the reference, in either direction.

    For each assignment of windows the words of its reference are counted anew.

    Args:
        words: The digests of each text's words.
        blocks: The blocks of the texts.
        windows: As by `draw_windows`.
    """
    np = numpy()
    sizes = np.array([len(one) for one in words], np.intp)
    if not sizes.sum():
        return 1.0
    of_text = np.repeat(np.arange(len(words)), sizes)
    of_word = np.unique(np.array([word for one in words for word in one], "int64"), return_inverse=True)[1]
    count = int(of_word.max()) + 1
    of_block = blocks.of_row[of_text]
    entries = np.unique(of_block * count + of_word)
    entry_blocks, entry_words = entries // count, entries % count
    # Whether the same user has the word in the other window.
    other = np.full(len(blocks.sizes), -1, np.intp)
    other[blocks.pairs[:, 0]], other[blocks.pairs[:, 1]] = blocks.pairs[:, 1], blocks.pairs[:, 0]
    partner = other[of_block]
    in_partner = (partner >= 0) & np.isin(partner * count + of_word, entries)
    values = np.empty(len(windows))
    for number, window in enumerate(windows):
        users = np.bincount(entry_words, ~window[entry_blocks], minlength=count)
        own = np.where(window[of_block], in_partner, True)
        unknown = np.bincount(of_text, users[of_word] - own < 0.5, minlength=len(words)) / np.maximum(sizes, 1)
        values[number] = abs(scaled_steps(unknown, blocks, window))
    return p_value(values)
