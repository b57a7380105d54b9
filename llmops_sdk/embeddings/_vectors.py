"""Check vectors, and bring them to unit length."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._optional import require
from llmops_sdk.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["checked_texts", "numpy", "unit_rows"]

_BLOCK = 4_096  # rows in double precision at a time


@functools.cache
def numpy() -> Any:
    """Return numpy, or raise an error that says what to install."""
    return require("numpy", extra="embeddings", purpose="llmops_sdk.embeddings")


def unit_rows(vectors: Any, *, source: str, rows: int, dimension: int | None = None) -> NDArray[np.float32]:
    """Return vectors as an array of rows of unit length.

    Args:
        vectors: A sequence of vectors, or a two-dimensional array.
        source: Who made or takes them, for the message of an error.
        rows: How many vectors there must be.
        dimension: The length that each must have; None takes any length that all share.

    Raises:
        EmbeddingError: The number or the length of the vectors is another, or one is zero or not finite.
    """
    np = numpy()
    try:
        found = np.asarray(vectors)
    except (TypeError, ValueError) as error:
        raise EmbeddingError(f"{source}: the vectors are no table of numbers: {error}", source=source) from error
    if found.shape == (0,) and rows == 0 and dimension is not None:
        found = found.reshape(0, dimension)
    if found.dtype.kind not in "fiu" or found.ndim != 2 or found.shape[0] != rows or found.shape[1] == 0:
        raise EmbeddingError(
            f"{source}: an array of shape {found.shape} and type {found.dtype} are not {rows} vectors", source=source
        )
    if dimension is not None and found.shape[1] != dimension:
        raise EmbeddingError(f"{source}: the vectors have {found.shape[1]} numbers, not {dimension}", source=source)
    units = np.empty(found.shape, "float32")
    for begin in range(0, rows, _BLOCK):
        units[begin : begin + _BLOCK] = _scaled(found[begin : begin + _BLOCK], source)
    return units


def _scaled(rows: Any, source: str) -> Any:
    np = numpy()
    wide = rows.astype("float64")
    # Divide by the largest number first, so that no square overflows or becomes zero.
    largest = np.abs(wide).max(axis=1, keepdims=True)
    if bad := int(np.count_nonzero(~(np.isfinite(largest) & (largest > 0)))):
        raise EmbeddingError(f"{source}: {bad} of the vectors are zero or not finite", source=source)
    wide /= largest
    return wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True))


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list.

    Raises:
        TypeError: `texts` is a string, or has something else than strings.
    """
    if isinstance(texts, str | bytes):
        raise TypeError("texts is one string: give a list, as in embed([text])")
    found = list(texts)
    if wrong := [one for one in found if not isinstance(one, str)]:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"texts must be strings, but one is {type(wrong[0]).__name__}")
    return found
