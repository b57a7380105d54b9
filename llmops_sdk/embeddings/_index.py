"""Find the nearest of many vectors: exactly while there are few, with a graph when there are many."""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from llmops_sdk._util._public import public
from llmops_sdk.embeddings._graph import Graph, graph_is_installed
from llmops_sdk.embeddings._vectors import numpy, unit_rows
from llmops_sdk.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np  # noqa: TID251 - for types only
    from numpy.typing import NDArray  # noqa: TID251 - for types only

__all__ = ["Match", "VectorIndex"]

_log = logging.getLogger("llmops_sdk")
_Id = TypeVar("_Id", bound=Hashable)
_FIRST_ROWS = 64
_CANDIDATES = 4  # the graph is asked for so many times the matches, which are then ranked exactly


@public("llmops_sdk.embeddings")
class Match(NamedTuple, Generic[_Id]):
    """One vector found.

    Attributes:
        id: Its id.
        similarity: The cosine of the angle to the vector asked for, from -1 to 1.
    """

    id: _Id
    similarity: float


@public("llmops_sdk.embeddings")
class VectorIndex(Generic[_Id]):
    """Holds vectors in memory and finds those nearest to another. Many threads may use one index at once.

    The index is not a store: keep the vectors elsewhere and fill a new index with them. It saves nothing.

    Up to `exact_limit` vectors, a search compares with every vector. Above, it asks a graph of the library usearch,
    which finds nearly all of the nearest; the similarities are exact in both cases. The graph grows a little with each
    vector added, beginning at half of the limit, so that no call takes long. Without usearch, all searches are exact.

    Args:
        dimension: The length of a vector.
        exact_limit: The most vectors that are compared one by one.
        max_vectors: The most vectors that it takes: each needs about 4 bytes a number, with a graph 6.

    Example:
        >>> from llmops_sdk.embeddings import VectorIndex, open_embedder
        >>> embedder = open_embedder("static")
        >>> questions = ["Where is my card?", "How do I close my account?"]
        >>> index = VectorIndex(embedder.dimension)
        >>> index.add(["card", "close"], embedder.embed(questions))
        >>> index.search(embedder.embed(["where's my card"])[0], top=1)[0].id
        'card'
    """

    def __init__(self, dimension: int, *, exact_limit: int = 100_000, max_vectors: int = 1_000_000) -> None:
        if min(dimension, exact_limit, max_vectors) < 1:
            raise ValueError("dimension, exact_limit and max_vectors must be at least 1")
        self._dimension = dimension
        self._exact_limit = exact_limit
        self._max_vectors = max_vectors
        self._lock = threading.Lock()
        # Row n belongs to _ids[n]. A row below len(_ids) changes only in `remove`, which counts up _removals.
        self._rows: Any = numpy().empty((0, dimension), "float32")
        self._ids: list[_Id] = []
        self._places: dict[_Id, int] = {}
        self._removals = 0
        self._graph: Graph | None = None
        self._may_have_graph = True

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, one: object) -> bool:
        return one in self._places

    @property
    def dimension(self) -> int:
        """Return the length of a vector."""
        return self._dimension

    @property
    def is_exact(self) -> bool:
        """Return whether a search now compares with every vector."""
        return self._graph is None or len(self._ids) <= self._exact_limit

    @property
    def nbytes(self) -> int:
        """Return the bytes of the vectors and the graph, without the ids."""
        return int(self._rows.nbytes) + (self._graph.nbytes if self._graph is not None else 0)

    def add(self, ids: Sequence[_Id], vectors: Any, *, graph: bool = True) -> None:
        """Add vectors, all or none of them.

        Args:
            ids: A new id for each vector.
            vectors: One row for each id. The rows are brought to unit length.
            graph: Whether the graph grows, which takes most of the time: about .4 ms a vector. False leaves that to
                `extend_graph`; until then, searches compare with the vectors that the graph does not have.

        Raises:
            EmbeddingError: The number or length of the vectors is another, one is zero or not finite, or the index
                would hold more than `max_vectors`.
            ValueError: An id is there already, or twice in `ids`.
        """
        rows = unit_rows(vectors, source="VectorIndex.add", rows=len(ids), dimension=self._dimension)
        with self._lock:
            if len(set(ids)) < len(ids) or any(one in self._places for one in ids):
                raise ValueError("an id is there already, or twice in `ids`")
            begin, end = len(self._ids), len(self._ids) + len(ids)
            if end > self._max_vectors:
                raise EmbeddingError(f"the index holds at most {self._max_vectors:,} vectors", source="VectorIndex.add")
            if end > len(self._rows):
                self._grow(end)
            self._rows[begin:end] = rows
            self._ids.extend(ids)
            self._places.update(zip(ids, range(begin, end), strict=True))
            if graph:
                self._extend_graph(2 * len(ids))

    def extend_graph(self, rows: int = 1_000) -> bool:
        """Give the graph more of the vectors, and return whether it has all that it should have.

        Args:
            rows: The most vectors to give it.
        """
        with self._lock:
            self._extend_graph(max(0, rows))
            return self._graph is None or self._graph.covered >= len(self._ids)

    def remove(self, ids: Iterable[_Id]) -> int:
        """Remove vectors and return how many were there.

        Args:
            ids: The ids to remove; unknown ones are ignored.
        """
        removed = 0
        with self._lock:
            for one in ids:
                place = self._places.pop(one, None)
                if place is None:
                    continue
                removed += 1
                self._removals += 1
                last = self._ids.pop()
                final = len(self._ids)
                if place != final:
                    self._ids[place] = last
                    self._places[last] = place
                    self._rows[place] = self._rows[final]
                if self._graph is not None:
                    self._graph.move(place, final, self._rows[place])
            self._shrink()
        return removed

    def search(self, vector: Any, top: int = 5) -> list[Match[_Id]]:
        """Return the nearest vectors, the nearest first.

        Args:
            vector: One vector. It need not be of unit length.
            top: The most matches to return.

        Raises:
            EmbeddingError: The vector has another length, or is zero or not finite.
        """
        (asked,) = unit_rows([vector], source="VectorIndex.search", rows=1, dimension=self._dimension)
        if top < 1:
            return []
        with self._lock:
            rows, count, removals = self._rows, len(self._ids), self._removals
            if not self.is_exact:
                return self._ranked(self._candidates(asked, top), asked, top)
        # Others may add meanwhile: their rows come after `count`, or the rows move to a larger array.
        places = _nearest(rows[:count], asked, top)
        with self._lock:
            if self._removals != removals:
                places = _nearest(self._rows[: len(self._ids)], asked, top)
            return self._ranked(places, asked, top)

    def _ranked(self, places: Any, asked: Any, top: int) -> list[Match[_Id]]:
        similarities = (self._rows[places] @ asked).clip(-1.0, 1.0).tolist()
        found = sorted(zip(similarities, places.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))
        return [Match(self._ids[place], similarity) for similarity, place in found[:top]]

    def _candidates(self, asked: Any, top: int) -> Any:
        """Return the places that the graph finds, and the nearest of those that it does not have yet."""
        np = numpy()
        assert self._graph is not None
        covered = self._graph.covered
        found = np.array(self._graph.search(asked, _CANDIDATES * top), "int64")
        return np.concatenate([found, covered + _nearest(self._rows[covered : len(self._ids)], asked, top)])

    def _grow(self, needed: int) -> None:
        """Move the rows to an array of twice the size, so that adding one by one copies each row once or twice."""
        size = min(max(needed, 2 * len(self._rows), _FIRST_ROWS), self._max_vectors)
        self._resize(max(size, needed))

    def _shrink(self) -> None:
        if len(self._rows) > _FIRST_ROWS and len(self._ids) < len(self._rows) // 4:
            self._resize(max(_FIRST_ROWS, 2 * len(self._ids)))
        if self._graph is not None and len(self._ids) <= self._exact_limit // 4:
            self._graph = None

    def _resize(self, size: int) -> None:
        rows = numpy().empty((size, self._dimension), "float32")
        rows[: len(self._ids)] = self._rows[: len(self._ids)]
        self._rows = rows

    def _extend_graph(self, budget: int) -> None:
        """Give the graph up to `budget` more rows: two for each one added, so that it is complete at the limit."""
        count = len(self._ids)
        if not self._may_have_graph or count <= self._exact_limit // 2:
            return
        if self._graph is None:
            if not graph_is_installed():
                self._warn_at_limit(count)
                return
            self._graph = Graph(self._dimension)
        begin = self._graph.covered
        self._graph.extend(self._rows[begin : min(count, begin + budget)])

    def _warn_at_limit(self, count: int) -> None:
        if count > self._exact_limit:
            self._may_have_graph = False
            _log.warning(
                "a VectorIndex has more than %d vectors and compares with all of them, because usearch is not "
                'installed: pip install "llmops-sdk[usearch]"',
                self._exact_limit,
            )


def _nearest(rows: NDArray[np.float32], asked: NDArray[np.float32], top: int) -> Any:
    """Return the places of the `top` rows nearest to a vector, in any order."""
    np = numpy()
    # On one thread: a matrix product would use all cores, and then wait for whatever else runs on them.
    similarities = np.vecdot(rows, asked)
    if len(rows) <= top:
        return np.arange(len(rows))
    return np.argpartition(similarities, len(rows) - top)[len(rows) - top :]
