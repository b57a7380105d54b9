"""A graph of the library usearch over the rows of an index; the one module that loads usearch."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._optional import require
from llmops_sdk.embeddings._vectors import numpy

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Graph", "graph_is_installed"]

_LINKS, _SEARCHED_TO_ADD, _SEARCHED = 16, 96, 128
_MANY = 1_000  # rows for which the threads of usearch are worth their start


def graph_is_installed() -> bool:
    """Return whether usearch can be imported."""
    return importlib.util.find_spec("usearch") is not None


class Graph:
    """Finds most of the nearest of the first rows of an array. One thread at a time may use it.

    It has its own copy of the rows, rounded to bytes, and is never saved or loaded.

    Args:
        dimension: The length of a row.
    """

    def __init__(self, dimension: int) -> None:
        library = require("usearch.index", extra="usearch", purpose="A VectorIndex with many vectors")
        self._index: Any = library.Index(
            ndim=dimension, metric="cos", dtype="i8", connectivity=_LINKS, expansion_add=_SEARCHED_TO_ADD,
            expansion_search=_SEARCHED,
        )  # fmt: skip
        # Rows move to other places. Each has a number in the graph that is never used again.
        self._numbers: list[int] = []
        self._places: dict[int, int] = {}
        self._next = 0

    @property
    def covered(self) -> int:
        """Return how many rows it has: those at the places below."""
        return len(self._numbers)

    @property
    def nbytes(self) -> int:
        """Return the bytes of its rows and links."""
        return int(self._index.memory_usage)

    def extend(self, rows: NDArray[np.float32]) -> None:
        """Take the rows at the places from `covered` on."""
        first, count = self._next, len(rows)
        if count == 0:
            return
        numbers = numpy().arange(first, first + count, dtype="uint64")
        self._index.add(numbers, rows, threads=0 if count >= _MANY else 1)
        self._places.update(zip(range(first, first + count), range(self.covered, self.covered + count), strict=True))
        self._numbers.extend(range(first, first + count))
        self._next += count

    def move(self, place: int, final: int, row: NDArray[np.float32]) -> None:
        """Forget the row at a place, to which the row at the final place has moved.

        Args:
            place: The place of the row that is gone.
            final: The last place of all, which is gone too; it can be the same.
            row: The row that is at the place now.
        """
        if place >= self.covered:
            return
        gone = self._numbers[place]
        self._index.remove(gone)
        del self._places[gone]
        if final < self.covered:
            last = self._numbers.pop()
            if place != final:
                self._numbers[place] = last
                self._places[last] = place
        else:  # a row that the graph did not have yet
            self._index.add(self._next, row, threads=1)
            self._numbers[place] = self._next
            self._places[self._next] = place
            self._next += 1

    def search(self, asked: NDArray[np.float32], top: int) -> list[int]:
        """Return the places of up to `top` rows nearest to a vector."""
        found: Any = self._index.search(asked, min(top, self.covered)).keys if self.covered else ()
        return [self._places[number] for number in map(int, found) if number in self._places]
