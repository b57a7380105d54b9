"""One statement over the store, in a thread of its own."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from llmops_sdk._util._guard import Caught
from llmops_sdk.errors import QueryError
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.reading._scope import current_scope
from llmops_sdk.store.reading._stopped import add_stopped, refuse_if_too_many
from llmops_sdk.store.reading.jobs._leased import leased, retried

if TYPE_CHECKING:
    from concurrent.futures import Future

    from llmops_sdk.store.duck._sql import duckdb

__all__ = ["QueryJob", "run_job"]

_T = TypeVar("_T")


class QueryJob(ABC, Generic[_T]):
    """One query, which another thread may cancel.

    Args:
        sql: The statement, for the errors as well.
        folder: The store's folder.
        timeout: Seconds, or None.
    """

    def __init__(self, sql: str, folder: Path, timeout: float | None) -> None:
        self.ended = threading.Event()
        self.sql = sql
        self.timeout = timeout
        self._folder = folder
        self._cancelled = False
        self._started = False
        # Guards interrupt and close: a closed connection cannot be interrupted.
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @abstractmethod
    def _check(self) -> None:
        """Refuse a statement that is not allowed."""

    @abstractmethod
    def _read(self, sources: Sources) -> _T:
        """Run the statement over these files, in a block of `_using`."""

    @contextmanager
    def _using(self, connection: duckdb.DuckDBPyConnection) -> Generator[None]:
        """Let others interrupt what the block runs on this connection. An error in it closes the connection."""
        from llmops_sdk.store.duck._sql import duckdb

        with self._lock:
            self._connection = connection
        is_whole = False
        try:
            if self._cancelled:
                raise duckdb.InterruptException("cancelled")
            yield
            is_whole = True
        finally:
            with self._lock:
                # A late interrupt would end the next query.
                self._connection = None
                if not is_whole:
                    connection.close()

    def run(self) -> _T:
        """Run the query in this thread.

        Raises:
            QueryError: The SQL is invalid, not allowed, or was cancelled.
            StoreError: The store cannot be read.
        """
        self._started = True
        try:
            from llmops_sdk.store.duck._errors import damaged_file
            from llmops_sdk.store.duck._sql import duckdb
            from llmops_sdk.store.reading._statement import query_error

            self._check()
            try:
                return retried(self._try, self._folder)
            except duckdb.Error as error:
                raise damaged_file(error, self._folder) or query_error(error, self.sql) from error
        finally:
            self.ended.set()

    def start(self) -> Future[_T]:
        """Run in a daemon thread; return the future result."""
        # Imported late: this cannot be imported while the interpreter ends, when a first span may still need the store.
        from concurrent.futures import Future

        refuse_if_too_many(self.sql)
        future: Future[_T] = Future()

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
        """Return the error for a query that took too long."""
        return QueryError(
            f"the query took longer than {self.timeout:g} s and was stopped; read less (a WHERE on start_time, fewer "
            f"columns) or raise the timeout:\n\n{self.sql}",
            sql=self.sql,
        )

    def _try(self) -> _T:
        with leased(self._folder) as sources:
            return self._read(sources)


def run_job(job: QueryJob[_T]) -> _T:
    """Run a query in a thread of its own, so that Ctrl-C and the deadline end the wait at once.

    DuckDB may be deep in one call and notice an interrupt late. Nobody waits for it then.

    Args:
        job: The query.

    Raises:
        QueryError: The SQL is invalid, not allowed, or took too long.
        StoreError: The store cannot be read.
    """
    scope = current_scope()
    timeout = job.timeout
    if scope is not None:
        job.timeout = timeout = scope.begin(job.sql, timeout, job.cancel_soon)
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
