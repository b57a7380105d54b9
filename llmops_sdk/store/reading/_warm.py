"""Keep connections open between queries: opening a store costs more than many queries.

One query and its result use one at a time, and only while the store's files stay the same. A slow query closes it: then
opening costs little in comparison, and DuckDB would hold its memory, up to 600 MB, for seconds.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence

from llmops_sdk.store.duck import _sql as _duck
from llmops_sdk.store.duck._dataset_tables import dataset_paths, reads_datasets
from llmops_sdk.store.duck._narrow import NarrowTables
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.files._segment import released_segments
from llmops_sdk.store.reading._result import TABLE, Result
from llmops_sdk.store.schema._views import View

__all__ = ["WarmConnection"]

_MOST_IDLE = 2
_SECONDS = 0.5
"""A query that takes longer closes its connection."""


class WarmConnection:
    """A confined connection for queries that name views only.

    Args:
        sources: The files to read.
        views: The views to create.

    Attributes:
        connection: The connection.
        tables: Tables with few columns in it.
    """

    def __init__(self, sources: Sources, views: Sequence[View]) -> None:
        key = _key(sources, views)  # first: a segment that ends meanwhile makes the key old, not the views
        self.connection = _duck.open_connection(
            sources, views=views, tables=False, trusted=False, frames=False, warm=True
        )
        self.tables = NarrowTables(self.connection, sources)
        self._views = {view.name: view for view in views}
        self._key = key
        self._started_at = time.monotonic()
        self._seconds = 0.0

    @classmethod
    def acquire(cls, sources: Sources, views: Sequence[View]) -> WarmConnection:
        """Return an idle connection, or a new one.

        Args:
            sources: The files to read, under a lease.
            views: The views needed.
        """
        wanted = {view.name: view for view in views}
        found = _idle.take(lambda one: one._fits(sources, wanted))
        if found is None:
            return cls(sources, views)
        if found._fits(sources, wanted):
            found._started_at = time.monotonic()
            return found
        found.connection.close()
        try:
            # Keep the views of earlier queries, for callers that alternate between views.
            return cls(sources, list({**found._views, **wanted}.values()))
        except duckdb.Error:
            # A damaged file must fail only the queries that read it.
            return cls(sources, views)

    def _fits(self, sources: Sources, wanted: Mapping[str, View]) -> bool:
        return wanted.items() <= self._views.items() and self._key == _key(sources, list(self._views.values()))

    def release(self) -> None:
        """End the use without a result."""
        if time.monotonic() - self._started_at > _SECONDS:
            self.connection.close()
            return
        _idle.keep(self)

    def result(self) -> Result:
        """Return the rows in the table; the connection becomes idle when the result is garbage."""
        result = Result(self.connection)
        self._seconds = time.monotonic() - self._started_at
        weakref.finalize(result, self._end, os.getpid()).atexit = False
        return result

    def _end(self, pid: int) -> None:
        if pid != os.getpid():
            return  # a forked child has DuckDB's memory without its threads
        if self._seconds > _SECONDS:
            self.connection.close()
            return
        try:
            self.connection.execute(f"DROP TABLE {TABLE}")
        except duckdb.Error:
            self.connection.close()
            return
        _idle.keep(self)


def _key(sources: Sources, views: Sequence[View]) -> Hashable:
    counts_lines = any("store.unreadable" in view.sql for view in views)
    return (
        sources.folder,
        tuple(segment.path for segment in sources.segments),
        tuple(file.name for file in sources.files),
        sources.unreadable,
        tuple(segment.path for segment in released_segments(sources.segments)) if counts_lines else (),
        tuple(dataset_paths(sources.folder)) if reads_datasets(views) else (),
    )


class _IdleConnections:
    """Holds a few idle connections: the local page asks two things at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may finalize a result inside either method
        self.kept: list[WarmConnection] = []

    def take(self, fits: Callable[[WarmConnection], bool]) -> WarmConnection | None:
        """Return one that fits, the latest first, or else the latest.

        Args:
            fits: Tells whether a connection can be used without further views.
        """
        with self._lock:
            found = next((one for one in reversed(self.kept) if fits(one)), self.kept[-1] if self.kept else None)
            if found is not None:
                self.kept.remove(found)
            return found

    def keep(self, one: WarmConnection) -> None:
        """Keep one, or close it when there are enough."""
        with self._lock:
            if len(self.kept) < _MOST_IDLE:
                self.kept.append(one)
                return
        one.connection.close()

    def clear(self) -> None:
        """Close them before a fork, which would copy them without their threads."""
        with self._lock:
            found, self.kept = self.kept, []
        for one in found:
            one.connection.close()


_idle = _IdleConnections()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_idle.clear)
