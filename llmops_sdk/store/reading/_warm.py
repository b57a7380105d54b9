"""One connection that stays open between two queries: to open a store anew costs more than many a question.

It is used by one query and its result at a time, and only as long as the store's files are the same ones. After a query
that took long it is closed: there opening costs little, and DuckDB's allocator keeps for seconds what was taken, 600 MB
after some.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Hashable, Sequence

from llmops_sdk.store.duck import _sql as _duck
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.reading._result import TABLE, Result
from llmops_sdk.store.schema._views import View

__all__ = ["WarmConnection"]

_SECONDS = 0.5
"""Of a query, after which its connection is not kept."""


class WarmConnection:
    """A confined connection for queries that name nothing but views.

    Args:
        sources: The files that it reads.
        views: What it has.
    """

    def __init__(self, sources: Sources, views: Sequence[View]) -> None:
        self.connection = _duck.open_connection(
            sources, views=views, tables=False, trusted=False, frames=False, warm=True
        )
        self._sources = sources
        self._views = {view.name: view for view in views}
        self._started_at = time.monotonic()
        self._seconds = 0.0

    @classmethod
    def acquire(cls, sources: Sources, views: Sequence[View]) -> WarmConnection:
        """The idle one, or a new one that has its views too.

        Args:
            sources: The files to read, on which there is a lease.
            views: Those that are needed.
        """
        found = _idle.take()
        wanted = {view.name: view for view in views}
        if found is None:
            return cls(sources, views)
        if _key(found._sources) == _key(sources) and wanted.items() <= found._views.items():
            found._started_at = time.monotonic()
            return found
        found.connection.close()
        try:
            # Who asks for two views in turn shall find both.
            return cls(sources, list({**found._views, **wanted}.values()))
        except duckdb.Error:
            # A file that cannot be read is the matter of those who ask for what is in it.
            return cls(sources, views)

    def result(self) -> Result:
        """What is in its table; it is idle again when that is wanted no more."""
        result = Result(self.connection)
        self._seconds = time.monotonic() - self._started_at
        weakref.finalize(result, self._end, os.getpid()).atexit = False
        return result

    def _end(self, pid: int) -> None:
        if pid != os.getpid():
            return  # a fork has DuckDB's memory without its threads
        if self._seconds > _SECONDS:
            self.connection.close()
            return
        try:
            self.connection.execute(f"DROP TABLE {TABLE}")
        except duckdb.Error:
            self.connection.close()
            return
        _idle.keep(self)


def _key(sources: Sources) -> Hashable:
    return (
        sources.folder,
        tuple(segment.path for segment in sources.segments),
        tuple(file.name for file in sources.files),
        sources.unreadable,
    )


class _IdleSlot:
    """Room for one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the collector may end a result in the middle of either
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
        """Close it: before a fork, which would take it along without its threads."""
        found = self.take()
        if found is not None:
            found.connection.close()


_idle = _IdleSlot()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_idle.clear)
