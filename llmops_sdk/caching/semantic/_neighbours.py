"""The questions of a scope in memory, and those nearest to a new one."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from llmops_sdk.caching.exact._codec import MOST_SKEW
from llmops_sdk.caching.semantic._entries import SemanticBackend, StoredEntry
from llmops_sdk.caching.semantic.stores._vector_bytes import read_vector
from llmops_sdk.embeddings import Embedder, VectorIndex

__all__ = ["MOST_ENTRIES", "Neighbour", "ScopeIndexes"]

_PAGE = 2_000  # entries that one query loads
_PAGES = 5
"""How many of them a look-up loads, so that it does not wait for a large scope."""
_GRAPH_ROWS = 250
"""Entries that the graph of a large scope takes at a time: some .1 s."""
_MAX_SCOPES = 1_000
MOST_ENTRIES = 1_000_000
"""The most entries of all scopes that are in memory, and so of a store."""


class Neighbour(NamedTuple):
    """A stored question near a new one.

    Attributes:
        id: The entry's number.
        group: Entries of one group have the same answer.
        text: The question.
        earlier: What was said before; see `StoredEntry`.
        similarity: The cosine of the two vectors.
        stored_at: Seconds since the epoch.
    """

    id: int
    group: int
    text: str
    earlier: str
    similarity: float
    stored_at: float


def _is_valid(row: StoredEntry, now: float) -> bool:
    # One from the future was stored before the clock went back: nobody knows how old it is.
    return row.expires_at is None or row.stored_at - MOST_SKEW <= now < row.expires_at


class _Scope:
    """The entries of one scope: the index always follows from the stored vectors."""

    def __init__(self, dimension: int) -> None:
        # A page more: others may store entries after those that they replace were read.
        self.index: VectorIndex[int] = VectorIndex(dimension, max_vectors=MOST_ENTRIES + _PAGE)
        self.entries: dict[int, StoredEntry] = {}
        self.last = 0
        self.is_whole = False

    def add(self, rows: list[StoredEntry]) -> None:
        self.last = max(self.last, rows[-1].id) if rows else self.last
        new = [(row, read_vector(row.vector, self.index.dimension)) for row in rows if row.id not in self.entries]
        fitting = [(row, vector) for row, vector in new if vector is not None]
        if fitting:
            # Of a page, the graph would take too long: `ScopeIndexes.load` extends it.
            graph = len(fitting) < _GRAPH_ROWS
            self.index.add([row.id for row, _ in fitting], [vector for _, vector in fitting], graph=graph)
            self.entries.update((row.id, row._replace(vector=b"")) for row, _ in fitting)

    def remove(self, ids: list[int]) -> None:
        gone = [one for one in ids if self.entries.pop(one, None) is not None]
        if gone:
            self.index.remove(gone)


class ScopeIndexes:
    """The scopes used lately, in memory. One thread uses it: the store's.

    Args:
        embedder: What makes the vectors.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._scopes: OrderedDict[str, _Scope] = OrderedDict()
        self._position: int | None = None

    def load(self, backend: SemanticBackend, scope: str) -> bool:
        """Read a part of a scope into memory, and return whether all of it is there, also in the graph."""
        found = self._current(backend, scope)
        return found is not None and found.index.extend_graph(_GRAPH_ROWS)

    @property
    def is_loading(self) -> bool:
        """Return whether a scope in memory is not whole."""
        return any(not scope.is_whole for scope in self._scopes.values())

    def nearest(
        self, backend: SemanticBackend, scope: str, vector: object, top: int, now: float
    ) -> list[Neighbour] | None:
        """Return the valid entries of a scope that are nearest to a vector, the nearest first.

        None while a large scope is not in memory as a whole: its nearest entries are not known. `load` goes on.

        Args:
            backend: The store; entries that other processes have added or removed are taken over first.
            scope: The scope.
            vector: The vector of the new question.
            top: The most entries to return.
            now: Seconds since the epoch.
        """
        found = self._current(backend, scope)
        if found is None:
            return None
        matches = found.index.search(vector, top + 4) if found.entries else []
        rows = [(found.entries[match.id], match.similarity) for match in matches]
        valid = [(row, similarity) for row, similarity in rows if _is_valid(row, now)]
        # Of equally near ones, the latest first: two processes may have stored one question at the same time.
        valid.sort(key=lambda pair: (-round(pair[1], 6), -pair[0].id))
        return [Neighbour(row.id, row.group, row.text, row.earlier, sim, row.stored_at) for row, sim in valid[:top]]

    def _current(self, backend: SemanticBackend, name: str) -> _Scope | None:
        self._position, gone = backend.removed(self._position)
        if gone is None:
            self._scopes.clear()
        for scope in self._scopes.values() if gone else ():
            scope.remove(gone or [])
        scope = self._scopes.setdefault(name, _Scope(self._embedder.dimension))
        self._scopes.move_to_end(name)
        for _ in range(_PAGES):
            rows = backend.entries(name, scope.last, _PAGE)
            scope.add(rows)
            scope.is_whole = len(rows) < _PAGE
            if scope.is_whole:
                break
        self._forget(name)
        return scope if scope.is_whole else None

    def _forget(self, kept: str) -> None:
        """Drop the scopes that were not used for longest, until the rest fits."""
        total = sum(len(scope.entries) for scope in self._scopes.values()) if len(self._scopes) > 1 else 0
        while (total > MOST_ENTRIES or len(self._scopes) > _MAX_SCOPES) and next(iter(self._scopes)) != kept:
            total -= len(self._scopes.popitem(last=False)[1].entries)
