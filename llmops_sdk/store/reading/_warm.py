"""Keep one connection open between queries: opening a store costs more than many queries.

One query and its result use it at a time, and only while the store's files stay the same. A slow query closes it: then
opening costs little in comparison, and DuckDB would hold its memory, up to 600 MB, for seconds.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Hashable, Sequence

from llmops_sdk.store.duck import _sql as _duck
from llmops_sdk.store.duck._dataset_tables import dataset_paths, reads_datasets
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.files._segment import released_segments
from llmops_sdk.store.reading._result import TABLE, Result
from llmops_sdk.store.schema._views import View

__all__ = ["WarmConnection"]

_SECONDS = 0.5
"""A query that takes longer closes its connection."""


class WarmConnection:
    """A confined connection for queries that name views only.

    Args:
        sources: The files to read.
        views: The views to create.
    """

    def __init__(self, sources: Sources, views: Sequence[View]) -> None:
        key = _key(sources, views)  # first: a segment that ends meanwhile makes the key old, not the views
        self.connection = _duck.open_connection(
            sources, views=views, tables=False, trusted=False, frames=False, warm=True
        )
        self._views = {view.name: view for view in views}
        self._key = key
        self._started_at = time.monotonic()
        self._seconds = 0.0

    @classmethod
    def acquire(cls, sources: Sources, views: Sequence[View]) -> WarmConnection:
        """Return the idle connection, or a new one.

        Args:
            sources: The files to read, under a lease.
            views: The views needed.
        """
        found = _idle.take()
        wanted = {view.name: view for view in views}
        if found is None:
            return cls(sources, views)
        if wanted.items() <= found._views.items() and found._key == _key(sources, list(found._views.values())):
            found._started_at = time.monotonic()
            return found
        found.connection.close()
        try:
            # Keep the views of earlier queries, for callers that alternate between views.
            return cls(sources, list({**found._views, **wanted}.values()))
        except duckdb.Error:
            # A damaged file must fail only the queries that read it.
            return cls(sources, views)

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


class _IdleSlot:
    """Holds at most one idle connection."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may finalize a result inside either method
        self._one: WarmConnection | None = None

    def take(self) -> WarmConnection | None:
        with self._lock:
            found, self._one = self._one, None
            return found

    def keep(self, one: WarmConnection) -> None:
        with self._lock:
            if self._one is None:
                self._one = one
                return
        one.connection.close()

    def clear(self) -> None:
        """Close it before a fork, which would copy it without its threads."""
        found = self.take()
        if found is not None:
            found.connection.close()


_idle = _IdleSlot()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_idle.clear)
