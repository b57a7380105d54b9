"""Queries: the manifest first, then the segments, read by an in-memory DuckDB that can do nothing else."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store.duck._sources import read_sources
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.reading._result import TABLE, Result

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb
    from llmops_sdk.store.reading._statement import Parameters, Statement

__all__ = ["StorePath", "aquery", "connect", "flush_first", "leased", "query", "retried", "store_folder"]

_T = TypeVar("_T")

_TRIES = 10
_FLUSH_SECONDS = 5.0

StorePath: TypeAlias = str | os.PathLike[str]


def query(
    sql: str, params: Parameters | None = None, *, path: StorePath | None = None, timeout: float | None = None
) -> Result:
    """The rows of one SELECT over the stored traces, this process's latest spans included.

    It reads while other processes write. The SQL can read the views alone: no file, no network, no write.

    Args:
        sql: One statement: SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN.
        params: Values for `?` or `$1` (a sequence) or for `$name` (a mapping).
        path: The store's folder; by default that of the configuration.
        timeout: Seconds after which it is given up, or None.

    Raises:
        QueryError: The SQL is not valid, not allowed, or took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.query("SELECT $1 + 1 AS n", [41]).rows()
        [(42,)]
    """
    flush_first()
    job = _QueryJob(sql, params, store_folder(path), timeout)
    # Not in this thread: there, Ctrl-C would wait until DuckDB looks up.
    # Here: its module cannot be imported while the interpreter is ending, when a first span may still want the store.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1, "llmops-query") as thread:
        try:
            # Inside, for Ctrl-C may come while the thread starts: the pool would wait for a query that nobody ends.
            future = thread.submit(job.run)
            try:
                return future.result(timeout)
            except TimeoutError:
                if future.done():
                    raise
                raise job.timeout_error() from None
        finally:
            job.cancel()


async def aquery(
    sql: str, params: Parameters | None = None, *, path: StorePath | None = None, timeout: float | None = None
) -> Result:
    """The rows of one SELECT, without blocking the event loop; a cancelled task ends the query. See `query`.

    Args:
        sql: One statement: SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN.
        params: Values for `?` or `$1` (a sequence) or for `$name` (a mapping).
        path: The store's folder; by default that of the configuration.
        timeout: Seconds after which it is given up, or None.

    Raises:
        QueryError: The SQL is not valid, not allowed, or took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> asyncio.run(llmops.aquery("SELECT count(*) FROM spans WHERE name = $name", {"name": "none"})).scalar()
        0
    """
    await asyncio.to_thread(flush_first)
    job = _QueryJob(sql, params, store_folder(path), timeout)
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await asyncio.to_thread(job.run)
    except TimeoutError:
        if not limit.expired():
            raise
        raise job.timeout_error() from None
    finally:
        if not job.ended.is_set():
            # Ending it may take a moment, for which the event loop must not wait.
            threading.Thread(target=job.cancel, name="llmops-cancel", daemon=True).start()


def connect(*, path: StorePath | None = None, trusted: bool = False) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of one's own with the views in place, for several statements, temporary tables and frames.

    A data frame is made known with `connection.register("name", frame)`.

    It sees what is appended to the files that were there when it was made; connect again for newer ones. Confined to
    those files unless `trusted`, as far as DuckDB confines: a `COPY … TO` one of the store's own files is not refused.

    Args:
        path: The store's folder; by default that of the configuration.
        trusted: True also lets its SQL read and write any file, load extensions, use the network, and name the
            program's data frames without `register`.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.

    Example:
        >>> import llmops_sdk as llmops
        >>> connection = llmops.connect()
        >>> connection.execute("SELECT count(*) FROM spans WHERE name = 'nobody'").fetchone()
        (0,)
        >>> connection.close()
    """
    flush_first()
    folder = store_folder(path)
    from llmops_sdk.store.duck._errors import damaged_file
    from llmops_sdk.store.duck._sql import duckdb

    try:
        return retried(lambda: _connection(folder, trusted))
    except duckdb.Error as error:
        raise damaged_file(error, folder) or StoreError(
            f"the store {folder} cannot be read: {error}", path=str(folder)
        ) from error


def flush_first() -> None:
    """Bring this process's latest spans to the store, so that they are found."""
    from llmops_sdk.tracing.runtime._start import flush_local

    flush_local(_FLUSH_SECONDS)


def store_folder(path: StorePath | None) -> Path:
    """The folder given, else that of the settings."""
    if path is not None:
        return Path(path).absolute()
    from llmops_sdk.config import current

    return current().store.path.absolute()


def _connection(folder: Path, trusted: bool) -> duckdb.DuckDBPyConnection:
    from llmops_sdk.store.duck._sql import open_connection
    from llmops_sdk.store.schema._user_columns import current_views

    with leased(folder, keep=True) as sources:
        connection = open_connection(sources, views=current_views(), trusted=trusted, frames=True)
        if sources.lease is not None:
            weakref.finalize(connection, sources.lease.release)
        return connection


@contextmanager
def leased(folder: Path, *, keep: bool = False) -> Generator[Sources]:
    """The files to read, which stay where they are inside the block; with `keep` also after one that ends well.

    Raises:
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.
    """
    sources = read_sources(folder)
    try:
        yield sources
    except BaseException:
        keep = False
        raise
    finally:
        if sources.lease is not None and not keep:
            sources.lease.release()


def retried(attempt: Callable[[], _T]) -> _T:
    """What `attempt` returns; made again when a file was dropped or compacted after it was listed."""
    from llmops_sdk.store.duck._errors import is_missing_file
    from llmops_sdk.store.duck._sql import duckdb

    for _ in range(_TRIES - 1):
        try:
            return attempt()
        except duckdb.Error as error:
            if not is_missing_file(error):
                raise
    return attempt()


class _QueryJob:
    """One query, which another thread may end."""

    def __init__(self, sql: str, params: Parameters | None, folder: Path, timeout: float | None) -> None:
        self.ended = threading.Event()
        self._sql = sql
        self._params = params
        self._folder = folder
        self._timeout = timeout
        self._cancelled = False
        self._started = False
        self._lock = threading.Lock()
        """Held to interrupt and to let go, since a closed connection cannot be interrupted."""
        self._connection: duckdb.DuckDBPyConnection | None = None

    def run(self) -> Result:
        self._started = True
        try:
            from llmops_sdk.store.duck._errors import damaged_file
            from llmops_sdk.store.duck._sql import duckdb
            from llmops_sdk.store.reading._statement import check_statement, query_error

            statement = check_statement(self._sql, self._params)
            try:
                return retried(lambda: self._try(statement))
            except duckdb.Error as error:
                raise damaged_file(error, self._folder) or query_error(error, self._sql) from error
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """End it; returns when it has ended. Nothing, when it has; one that begins later ends by itself."""
        self._cancelled = True
        while self._started and not self.ended.is_set():
            # Again and again: an interrupt that comes just before a statement begins does not reach it.
            with self._lock:
                if self._connection is not None:
                    self._connection.interrupt()
            self.ended.wait(0.02)

    def timeout_error(self) -> QueryError:
        return QueryError(
            f"the query took longer than {self._timeout:g} s and was ended; ask for less (a WHERE on start_time, fewer "
            f"columns), or give more time:\n\n{self._sql}",
            sql=self._sql,
        )

    def _try(self, statement: Statement) -> Result:
        with leased(self._folder) as sources:
            return self._run(statement, sources)

    def _run(self, statement: Statement, sources: Sources) -> Result:
        from llmops_sdk.store.duck._sql import duckdb, open_connection, without_zones
        from llmops_sdk.store.reading._warm import WarmConnection

        views = statement.views
        warm = None if statement.names_tables else WarmConnection.acquire(sources, views)
        connection = warm.connection if warm else open_connection(sources, views=views, trusted=False, frames=False)
        with self._lock:
            self._connection = connection
        try:
            if self._cancelled:
                raise duckdb.InterruptException("cancelled")
            statement.run(connection, TABLE)
            without_zones(connection, TABLE)
            result = warm.result() if warm else Result(connection)
            with self._lock:
                # An interrupt that comes late would end the next query.
                self._connection = None
            return result
        except duckdb.Error:
            with self._lock:
                self._connection = None
                connection.close()
            raise
