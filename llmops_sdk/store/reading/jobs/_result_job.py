"""A statement of the user: its rows stay in a table of its connection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.reading._result import TABLE, Result
from llmops_sdk.store.reading.jobs._job import QueryJob

if TYPE_CHECKING:
    from llmops_sdk.store.reading._statement import Parameters, Statement

__all__ = ["ResultJob"]


class ResultJob(QueryJob[Result]):
    """One query whose rows stay in DuckDB.

    Args:
        sql: The statement.
        params: Its values.
        folder: The store's folder.
        timeout: Seconds, or None.
    """

    _statement: Statement

    def __init__(self, sql: str, params: Parameters | None, folder: Path, timeout: float | None) -> None:
        super().__init__(sql, folder, timeout)
        self._params = params

    def _check(self) -> None:
        from llmops_sdk.store.reading._statement import check_statement

        self._statement = check_statement(self.sql, self._params)

    def _read(self, sources: Sources) -> Result:
        from llmops_sdk.store.duck._sql import open_connection, without_zones
        from llmops_sdk.store.reading._warm import WarmConnection

        statement = self._statement
        warm = None if statement.names_tables else WarmConnection.acquire(sources, statement.views)
        connection = (
            warm.connection if warm else open_connection(sources, views=statement.views, trusted=False, frames=False)
        )
        with self._using(connection):
            statement.run(connection, TABLE)
            without_zones(connection, TABLE)
            return warm.result() if warm else Result(connection)
