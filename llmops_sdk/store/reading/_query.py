"""Run queries: list the store's files, then read them with a confined in-memory DuckDB."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._sources import is_store
from llmops_sdk.store.reading._result import Result
from llmops_sdk.store.reading.jobs._job import run_job
from llmops_sdk.store.reading.jobs._leased import leased, retried
from llmops_sdk.store.reading.jobs._result_job import ResultJob

if TYPE_CHECKING:
    from llmops_sdk.store.duck._sql import duckdb
    from llmops_sdk.store.reading._statement import Parameters

__all__ = [
    "StorePath",
    "aquery",
    "connect",
    "flush_first",
    "is_store",
    "leased",
    "query",
    "retried",
    "store_folder",
]

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
    return run_job(ResultJob(sql, params, store_folder(path), timeout))


def _run_isolated(sql: str, params: Parameters | None, folder: Path, timeout: float | None) -> Result:
    from llmops_sdk.store.reading._isolated import isolated_query

    return isolated_query(sql, params, folder, timeout)


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
    job = ResultJob(sql, params, store_folder(path), timeout)
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
