"""Run the queries of a report on one connection, so that all of them see the same state of the store."""
# ruff: noqa: S608 - the user's condition is the purpose

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from llmops_sdk.errors import QueryError
from llmops_sdk.store import connect, query
from llmops_sdk.store.duck._sql import duckdb

__all__ = ["Reader", "Rows"]

Rows: TypeAlias = list[dict[str, Any]]

_LONGEST = 2_000  # characters


class Reader:
    """A connection to a store that reads its views, and can make temporary tables in memory.

    Args:
        path: The store's folder, or None for the configured one.

    Raises:
        StoreError: The store cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection = connect(path=path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def check(self, where: str, key: str) -> None:
        """Refuse a condition that is not valid over the columns of `llm_calls`, with the place of its fault.

        Args:
            where: The condition.
            key: What it is called.

        Raises:
            QueryError: The condition is not valid SQL.
        """
        try:
            query(f"SELECT span_id FROM llm_calls WHERE (\n{where}\n) LIMIT 0", path=self._path)
        except QueryError as error:
            raise QueryError(f"{key}: {error}", sql=where) from error

    def run(self, sql: str, key: str = "", values: Mapping[str, Any] | None = None) -> Rows:
        """Return the rows of a statement as values that JSON can hold.

        Args:
            sql: The statement.
            key: What holds SQL of the user in it, for the message of an error.
            values: The statement's parameters.

        Raises:
            QueryError: The statement failed.
        """
        try:
            found = self._connection.execute(sql, dict(values or {}))
            names = [str(column[0]) for column in found.description or ()]
            return [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            # DuckDB shows the line of its own statement, in which the user's condition is a part.
            message = str(error).split("\n\nLINE ")[0]
            raise QueryError(f"{key}: {message}" if key else message, sql=sql) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str):
        # Names come from anywhere, and a report must stay small.
        return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
    if isinstance(value, list):
        return [_plain(one) for one in cast("list[Any]", value)]
    return value
