"""Stream rows of spans."""
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmops_sdk.errors import StoreError
from llmops_sdk.store.reading._query import leased
from llmops_sdk.store.schema._views import SHOWN, SPAN_COLUMNS

__all__ = ["naive_utc", "rows_of_spans", "rows_sql"]

_BATCH = 512  # rows


def rows_of_spans(
    folder: Path, where: str | None, since: datetime | None, until: datetime | None
) -> Iterator[Mapping[str, Any]]:
    """Yield the stored spans that match a condition, roughly in the order of writing, with few in memory.

    Args:
        folder: The store's folder.
        where: An SQL condition on the columns of `llm_calls`.
        since: Only spans that began at this time or later.
        until: Only spans that began before this time.

    Raises:
        QueryError: The condition is invalid or not allowed.
        StoreError: The store cannot be read.
    """
    from llmops_sdk.store.duck._repair import avoid_damaged_files
    from llmops_sdk.store.duck._sql import duckdb, open_connection
    from llmops_sdk.store.reading._statement import check_statement, query_error

    statement = check_statement(rows_sql("spans", where), {"since": naive_utc(since), "until": naive_utc(until)})
    with leased(folder) as sources, open_connection(sources, trusted=False, frames=False) as connection:
        try:
            found = connection.execute(statement.sql, statement.params)
            names = [str(column[0]) for column in found.description or ()]
            while batch := found.fetchmany(_BATCH):
                for row in batch:
                    yield dict(zip(names, row, strict=True))
        except duckdb.Error as error:
            # Rows may have been used already, so this cannot start again by itself.
            if avoid_damaged_files(folder, error):
                raise StoreError(
                    f"{folder} had a damaged file, which is left out now (the log has its name): try again",
                    path=str(folder),
                ) from error
            if isinstance(error, duckdb.IOException):
                raise StoreError(f"{folder} cannot be read: {error}", path=str(folder)) from error
            raise query_error(error, statement.sql, shift=0) from error


def rows_sql(what: str, where: str | None) -> str:
    time = "start_time" if what == "spans" else "time"
    bounds = [f"(\n{where}\n)"] if where is not None else []
    # Always both, so that the statement always has the same parameters.
    bounds += [f"($since IS NULL OR {time} >= $since::TIMESTAMP) AND ($until IS NULL OR {time} < $until::TIMESTAMP)"]
    condition = " AND ".join(bounds)
    if what != "spans":
        return f"SELECT * FROM {what} WHERE {condition}"
    # The rows have the stored values; the condition sees the columns of the views.
    stored = ", ".join(f'{key.name} AS "stored {key.name}"' for key in SPAN_COLUMNS)
    picked = ", ".join(f'"stored {key.name}" AS {key.name}' for key in SPAN_COLUMNS)
    return (
        f"SELECT {picked}, start_time, duration_ms, weight FROM (SELECT {SHOWN}, {stored} FROM store.spans) "
        f"WHERE {condition}"
    )


def naive_utc(time: datetime | None) -> datetime | None:
    return time if time is None or time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
