"""Read Parquet and CSV files for `import`, and find lines that the store already has."""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from llmops_sdk.store.duck._sql import open_database, pattern, quoted
from llmops_sdk.store.schema._views import RecordStream

__all__ = ["Rows", "open_rows", "present_lines"]

_BATCH = 512
_MAX_LINE = 64 * 1024 * 1024
_MEMORY = "512MB"


class Rows:
    """The rows of a file, in batches."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str | None, names: Sequence[str]) -> None:
        self.names = list(names)
        self._connection = connection
        if sql is not None:
            connection.execute(sql)

    def fetch(self) -> list[tuple[Any, ...]]:
        """Return the next batch; an empty one at the end."""
        return self._connection.fetchmany(_BATCH)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def open_rows(file: Path, form: str) -> Rows:
    """Open a Parquet file, or a CSV file as text; an empty file has no names."""
    # A batch of rows fits into memory.
    connection = open_database(":memory:", {"autoinstall_known_extensions": "false", "temp_directory": ""})
    connection.execute(f"SET memory_limit = '{_MEMORY}'; SET preserve_insertion_order = true")
    source = quoted(pattern(file))
    if form == "parquet":
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({source})").fetchall()
        names = [str(name) for name, *_ in described]
        return Rows(connection, f"SELECT * FROM read_parquet({source})", names)
    names = _heading(file)
    if not names:
        return Rows(connection, None, names)
    columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    return Rows(
        connection,
        f"SELECT * FROM read_csv({source}, auto_detect = false, header = true, columns = {{{columns}}}, delim = ',', "
        "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, new_line = '\\n', "
        f"max_line_size = {_MAX_LINE}, buffer_size = {2 * _MAX_LINE}, parallel = false)",
        names,
    )


def _heading(file: Path) -> list[str]:
    with file.open("rb") as opened:
        packed = opened.read(2) == b"\x1f\x8b"
    with gzip.open(file, "rt", encoding="utf-8-sig") if packed else file.open(encoding="utf-8-sig") as text:
        for heading in csv.reader([text.readline(1_000_000)]):
            return heading
    return []


def present_lines(store: duckdb.DuckDBPyConnection, stream: RecordStream, file: Path) -> Iterator[int]:
    """Yield the numbers, from 0, of the lines that the store already has, in order.

    Memory is bounded: DuckDB spills to disk.

    Args:
        store: A trusted connection to the store.
        stream: The stream of the lines.
        file: The lines to add to it.
    """
    key = stream.same_record
    columns = ", ".join(f"{one.name}: '{one.type}'" for one in stream.columns)
    lines = (
        f"read_json({quoted(pattern(file))}, columns = {{{columns}}}, format = 'newline_delimited', "
        "maximum_object_size = 33554432)"
    )
    # One thread numbers the rows in the order of the lines.
    store.execute(f"SET memory_limit = '{_MEMORY}'; SET threads = 1; SET preserve_insertion_order = true")
    store.execute(f"CREATE TEMP TABLE staged AS SELECT row_number() OVER () - 1 AS line, {key} AS key FROM {lines}")
    store.execute("RESET threads")
    # Only the new lines are held in memory, not the store's.
    store.execute(
        f"CREATE TEMP TABLE known AS SELECT DISTINCT {key} AS key FROM store.{stream.name} "
        f"WHERE {key} IN (SELECT key FROM staged)"
    )
    store.execute("SELECT line FROM staged WHERE key IN (SELECT key FROM known) ORDER BY line")
    while batch := store.fetchmany(10_000):
        yield from (line for (line,) in batch)
    store.execute("DROP TABLE staged; DROP TABLE known")
