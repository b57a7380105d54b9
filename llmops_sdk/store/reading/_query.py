"""Run queries: list the store's files, then read them with a confined in-memory DuckDB."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from llmops_sdk._util._guard import Caught
from llmops_sdk.errors import QueryError, StoreError
from llmops_sdk.store.duck._sources import is_store, read_sources
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.reading._result import TABLE, Result
from llmops_sdk.store.reading._scope import current_scope
from llmops_sdk.store.reading._stopped import add_stopped, refuse_if_too_many

if TYPE_CHECKING:
    from concurrent.futures import Future

    from llmops_sdk.store.duck._sql import duckdb
    from llmops_sdk.store.reading._statement import Parameters, Statement
    from llmops_sdk.store.schema._views import View

__all__ = [
    "StorePath",
    "aquery",
    "connect",
    "flush_first",
    "is_store",
    "leased",
    "query",
    "retried",
    "run_query",
    "store_folder",
]

_T = TypeVar("_T")

_TRIES = 10
_FLUSH_SECONDS = 5.0

StorePath: TypeAlias = str | os.PathLike[str]


def query(
    sql: str,
    params: Parameters | None = None,
    *,
    path: StorePath | None = None,
    timeout: float | None = None,
    isolated: bool = False,
) -> Result:
    """Run one SELECT over the stored traces, including this process's latest spans.

    It reads while other processes write. The SQL reads the views only: no files, no network, no writes.

    Args:
        sql: One statement: SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN.
        params: Values for `?` or `$1` (a sequence) or for `$name` (a mapping).
        path: The store's folder; by default the configured one.
        timeout: Seconds after which the query fails, or None.
        isolated: Run the query in a process of its own, with a limit of memory, which is killed at the deadline. For
            SQL of others, as of a model; it costs the start of a process.

    Raises:
        QueryError: The SQL is invalid, not allowed, or took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.

    Example:
        >>> import llmops_sdk as llmops
        >>> llmops.query("SELECT $1 + 1 AS n", [41]).rows()
        [(42,)]
    """
    flush_first()
    if isolated:
        return _run_isolated(sql, params, store_folder(path), timeout)
    return run_query(sql, params, store_folder(path), timeout)


def _run_isolated(sql: str, params: Parameters | None, folder: Path, timeout: float | None) -> Result:
    from llmops_sdk.store.reading._isolated import isolated_query

    return isolated_query(sql, params, folder, timeout)


def run_query(
    sql: str, params: Parameters | None, folder: Path, timeout: float | None, views: Sequence[View] | None = None
) -> Result:
    """Run one SELECT in a thread of its own, so that Ctrl-C and the deadline end the wait at once.

    DuckDB may be deep in one call and notice an interrupt late. Nobody waits for it then.

    Args:
        sql: The statement.
        params: Its values.
        folder: The store's folder.
        timeout: Seconds, or None.
        views: The views that the SDK's own SQL needs beside `store.spans`; None for a statement of the user.
    """
    scope = current_scope()
    job = _QueryJob(sql, params, folder, timeout, views)
    if scope is not None:
        job.timeout = timeout = scope.begin(sql, timeout, job.cancel_soon)
    try:
        # Inside the `try`: Ctrl-C may come while the thread starts.
        future = job.start()
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():
                raise
            raise job.timeout_error() from None
    finally:
        job.cancel_soon()
        if scope is not None:
            scope.end()


async def aquery(
    sql: str,
    params: Parameters | None = None,
    *,
    path: StorePath | None = None,
    timeout: float | None = None,
    isolated: bool = False,
) -> Result:
    """Run one SELECT without blocking the event loop; cancelling the task ends the query. See `query`.

    Args:
        sql: One statement: SELECT, WITH, FROM, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN.
        params: Values for `?` or `$1` (a sequence) or for `$name` (a mapping).
        path: The store's folder; by default the configured one.
        timeout: Seconds after which the query fails, or None.
        isolated: Run the query in a process of its own, with a limit of memory, which is killed at the deadline. For
            SQL of others, as of a model; it costs the start of a process.

    Raises:
        QueryError: The SQL is invalid, not allowed, or took too long.
        StoreError: The store cannot be read, or a newer version of the SDK wrote it.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> asyncio.run(llmops.aquery("SELECT count(*) FROM spans WHERE name = $name", {"name": "none"})).scalar()
        0
    """
    import asyncio

    await asyncio.to_thread(flush_first)
    if isolated:
        return await asyncio.to_thread(_run_isolated, sql, params, store_folder(path), timeout)
    job = _QueryJob(sql, params, store_folder(path), timeout)
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            # A thread of its own: the loop's executor would wait for the query when the loop ends.
            return await asyncio.wrap_future(job.start())
    except TimeoutError:
        if not limit.expired():
            raise
        raise job.timeout_error() from None
    finally:
        job.cancel_soon()


def connect(*, path: StorePath | None = None, trusted: bool = False) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB connection with the views, for several statements, temporary tables and data frames.

    Register a data frame with `connection.register("name", frame)`.

    The connection sees what is appended to the files that existed when it was opened; connect again to see newer
    files. Unless `trusted`, it reads those files only, as far as DuckDB confines it: DuckDB does not refuse
    `COPY … TO` one of the store's own files. A confined connection keeps everything in memory; a trusted one puts what
    does not fit into the store's private folder.

    Args:
        path: The store's folder; by default the configured one.
        trusted: True also allows SQL to read and write any file, load extensions, use the network, and name the
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
    return _connect(path, trusted=trusted)


def connect_lean(path: StorePath | None) -> duckdb.DuckDBPyConnection:
    """Open a connection that reads texts in little memory, which the system gets back when it is closed."""
    return _connect(path, lean=True)


def _connect(path: StorePath | None, *, trusted: bool = False, lean: bool = False) -> duckdb.DuckDBPyConnection:
    flush_first()
    folder = store_folder(path)
    from llmops_sdk.store.duck._errors import damaged_file
    from llmops_sdk.store.duck._sql import duckdb

    try:
        return retried(lambda: _connection(folder, trusted, lean), folder)
    except duckdb.Error as error:
        raise damaged_file(error, folder) or StoreError(
            f"the store {folder} cannot be read: {error}", path=str(folder)
        ) from error


def flush_first() -> None:
    """Write this process's latest spans to the store."""
    from llmops_sdk.tracing.spans import _runtime

    if _runtime.current is not None:
        _runtime.current.pipeline.flush(_FLUSH_SECONDS, local_only=True)


def store_folder(path: StorePath | None) -> Path:
    """Return the given folder as an absolute path, or the configured one."""
    if path is not None:
        return Path(path).absolute()
    from llmops_sdk.config import current

    return current().store.path.absolute()


def _connection(folder: Path, trusted: bool, lean: bool) -> duckdb.DuckDBPyConnection:
    from llmops_sdk.store.duck._sql import open_connection
    from llmops_sdk.store.schema._user_columns import current_views

    with leased(folder, keep=True) as sources:
        connection = open_connection(
            sources, views=current_views(), trusted=trusted, frames=True, lean=lean, spill=trusted
        )
        if sources.lease is not None:
            weakref.finalize(connection, sources.lease.release)
        return connection


@contextmanager
def leased(folder: Path, *, keep: bool = False) -> Generator[Sources]:
    """Yield the files to read, under a lease that keeps them on disk; `keep` keeps the lease after success.

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


def retried(attempt: Callable[[], _T], folder: Path) -> _T:
    """Return the result of `attempt`; try again when a listed file has been dropped, compacted or damaged since.

    Args:
        attempt: Reads the store.
        folder: The store's folder.
    """
    from llmops_sdk.store.duck._errors import is_missing_file
    from llmops_sdk.store.duck._sql import duckdb

    for number in range(_TRIES):
        try:
            return attempt()
        except duckdb.Error as error:
            if is_missing_file(error) and number < _TRIES - 1:
                continue
            from llmops_sdk.store.duck._repair import avoid_damaged_files

            if not avoid_damaged_files(folder, error):
                raise
    return attempt()


class _QueryJob:
    """One query, which another thread may cancel."""

    def __init__(
        self,
        sql: str,
        params: Parameters | None,
        folder: Path,
        timeout: float | None,
        views: Sequence[View] | None = None,
    ) -> None:
        self.ended = threading.Event()
        self._sql = sql
        self._params = params
        self._folder = folder
        self.timeout = timeout
        self._views = views
        self._cancelled = False
        self._started = False
        # Guards interrupt and close: a closed connection cannot be interrupted.
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def run(self) -> Result:
        self._started = True
        try:
            from llmops_sdk.store.duck._errors import damaged_file
            from llmops_sdk.store.duck._sql import duckdb
            from llmops_sdk.store.reading._statement import check_statement, query_error

            statement = check_statement(self._sql, self._params)
            try:
                return retried(lambda: self._try(statement), self._folder)
            except duckdb.Error as error:
                raise damaged_file(error, self._folder) or query_error(error, self._sql) from error
        finally:
            self.ended.set()

    def start(self) -> Future[Result]:
        """Run in a daemon thread; return the future result."""
        # Imported late: this cannot be imported while the interpreter ends, when a first span may still need the store.
        from concurrent.futures import Future

        refuse_if_too_many(self._sql)
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                self.ended.set()
                return
            with Caught() as caught:
                future.set_result(self.run())
            if caught.error is not None:
                future.set_exception(caught.error)

        threading.Thread(target=run, name="llmops-query", daemon=True).start()
        return future

    def cancel_soon(self) -> None:
        """End the query without waiting for that."""
        if self.ended.is_set():
            return
        add_stopped(self.ended)
        threading.Thread(target=self.cancel, name="llmops-cancel", daemon=True).start()

    def cancel(self) -> None:
        """End the query and wait until it has ended; a query that has not started yet ends as it starts."""
        self._cancelled = True
        while self._started and not self.ended.is_set():
            # Repeatedly: an interrupt just before a statement starts has no effect.
            with self._lock:
                if self._connection is not None:
                    self._connection.interrupt()
            self.ended.wait(0.02)

    def timeout_error(self) -> QueryError:
        return QueryError(
            f"the query took longer than {self.timeout:g} s and was stopped; read less (a WHERE on start_time, fewer "
            f"columns) or raise the timeout:\n\n{self._sql}",
            sql=self._sql,
        )

    def _try(self, statement: Statement) -> Result:
        with leased(self._folder) as sources:
            return self._run(statement, sources)

    def _run(self, statement: Statement, sources: Sources) -> Result:
        from llmops_sdk.store.duck._sql import duckdb, open_connection, without_zones
        from llmops_sdk.store.reading._warm import WarmConnection

        views = statement.views if self._views is None else self._views
        needs_tables = self._views is None and statement.names_tables
        warm = None if needs_tables else WarmConnection.acquire(sources, views)
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
                # A late interrupt would end the next query.
                self._connection = None
            return result
        except duckdb.Error:
            with self._lock:
                self._connection = None
                connection.close()
            raise
