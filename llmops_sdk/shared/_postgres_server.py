"""Connections to a Postgres that processes and machines share, and the tables of the caches.

The one module that imports psycopg. Every statement has a time-out on the server, and one here for a server that has
stopped. All tables are in one schema, whose name is the namespace; `_1` in their names is their version.
"""

from __future__ import annotations

import functools
import selectors
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk._util._optional import require
from llmops_sdk.shared._server import SharedServer

__all__ = ["PostgresServer"]

_T = TypeVar("_T")

_STATEMENT_SECONDS = 1.5
"""Seconds of a statement; the server ends it."""
_SILENT_SECONDS = 2.0
"""Seconds after which a server counts as hanging that has not ended a statement."""
_CONNECT_SECONDS = 2
"""libpq takes no less."""
_MAKES_TABLES = (
    7_027_355_001  # the key of a lock: two programs that make the tables at the same time get in each other's way
)

_SETTINGS = """
SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),
  set_config('idle_in_transaction_session_timeout', '5s', false), set_config('search_path', 'pg_catalog', false),
  set_config('synchronous_commit', %s, false)
"""


class PostgresServer:
    """The connections of one backend to one server.

    Args:
        server: The server.
        tables: The statements that make the tables, with `{schema}` for the schema, and the name of the last table.
        loses_writes: Whether a crash of the server may lose the last writes; they are faster then.
    """

    def __init__(self, server: SharedServer, tables: tuple[str, str], *, loses_writes: bool) -> None:
        self._psycopg: Any = require("psycopg", extra="postgres", purpose="[shared] url")
        self._server = server
        self._tables, self._last_table = tables
        self._commit = "off" if loses_writes else "on"
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._are_made = False
        self.schema = f'"{server.namespace}"'

    def run(self, work: Callable[[Any], _T]) -> _T:
        """Return the result of `work(connection)`; the connection commits each statement by itself.

        Args:
            work: Takes a connection. Where it needs a transaction, it opens one.

        Raises:
            BackendError: The server is away, hangs or refuses.
        """
        with self._server.failing(self._psycopg.Error), self._connection() as connection:
            return work(connection)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement, and return its rows.

        Args:
            sql: The statement, with `{schema}` for the schema.
            values: What stands for its `%s`.

        Raises:
            BackendError: The server is away, hangs or refuses.
        """
        return self.run(lambda connection: self.read(connection, sql, *values))

    def count(self, sql: str, *values: Any) -> int:
        """Run one statement, and return how many rows it changed; see `rows`."""
        return self.run(lambda connection: int(self._execute(connection, sql, values).rowcount))

    def read(self, connection: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement on a connection, and return its rows; none of a statement that gives none."""
        cursor = self._execute(connection, sql, values)
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """Close the connections that nobody uses; the others close after their use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _execute(self, connection: Any, sql: str, values: tuple[Any, ...]) -> Any:
        # The namespace has letters, digits and "_" only. Binary: bytes are sent as they are.
        return connection.execute(sql.replace("{schema}", self.schema), values or None, binary=True)

    @contextmanager
    def _connection(self) -> Generator[Any]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None and _was_closed(connection):
            connection.close()
            connection = None
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            # It may be in the middle of a transaction; only a new one is sure to work. The tables may be gone.
            connection.close()
            self._are_made = False
            raise
        with self._lock:
            self._idle.append(connection)

    def _connect(self) -> Any:
        connection = _bounded_type().connect(
            self._server.url,
            autocommit=True,
            prepare_threshold=None,  # a pooler in between gives the next statement to another session
            connect_timeout=_CONNECT_SECONDS,
            keepalives_idle=5,
            keepalives_interval=1,
            keepalives_count=3,
            tcp_user_timeout=2_000,
            application_name="llmops",
        )
        try:
            milliseconds = str(int(_STATEMENT_SECONDS * 1_000))
            connection.execute(_SETTINGS, (milliseconds, milliseconds, self._commit))
            if not self._are_made:
                self._make_tables(connection)
                self._are_made = True
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: Any) -> None:
        """Make the tables once. A role that may not make any can use those that are there."""
        if self._has_tables(connection):
            return
        with connection.transaction():
            connection.execute(
                "SET LOCAL synchronous_commit = on"
            )  # tables that a crash loses would be missed for good
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKES_TABLES,))
            if self._has_tables(connection):
                return
            sql = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
            if not connection.execute(sql, (self._server.namespace,)).fetchall():
                connection.execute(f"CREATE SCHEMA {self.schema}")
            for statement in filter(str.strip, self._tables.split(";")):
                connection.execute(statement.replace("{schema}", self.schema))

    def _has_tables(self, connection: Any) -> bool:
        # A query of the catalogue: its functions (to_regclass) may answer from before the wait for a lock.
        sql = (
            "SELECT 1 FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname = %s AND relname = %s"
        )
        return bool(connection.execute(sql, (self._server.namespace, self._last_table)).fetchall())


def _was_closed(connection: Any) -> bool:
    """Return whether the server has closed an idle connection, as at its restart."""
    if connection.closed:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection.fileno(), selectors.EVENT_READ)
        # Nobody waits for an answer. It may be a notice only, but then a new connection costs little.
        return bool(selector.select(0))


@functools.cache
def _bounded_type() -> Any:
    """Return psycopg's connection with a bound on each wait for the server."""
    psycopg: Any = require("psycopg", extra="postgres", purpose="[shared] url")
    connection: Any = psycopg.Connection

    class BoundedConnection(connection):
        def wait(self, gen: Any, interval: float = 0.1, **options: Any) -> Any:
            return connection.wait(self, _bounded(gen, psycopg.OperationalError), interval, **options)

        def __del__(self) -> None:
            """Warn of nothing: a program may end with its connections open. libpq's object closes them."""

    return BoundedConnection


def _bounded(waits: Any, error: type[Exception]) -> Generator[Any, Any, Any]:
    """Go through what an operation waits for, and raise the error if it takes too long."""
    until = SYSTEM_CLOCK.monotonic() + _SILENT_SECONDS
    try:
        state = next(waits)
        while True:
            ready = yield state
            if not ready and SYSTEM_CLOCK.monotonic() > until:
                raise error(f"the server has not answered for {_SILENT_SECONDS:g} seconds")
            state = waits.send(ready)
    except StopIteration as end:
        return end.value
