"""What `import` needs DuckDB for: Parquet and CSV, and which lines the store has already."""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from llmops_sdk.store.duck._sql import pattern, quoted
from llmops_sdk.store.schema._views import RecordStream

__all__ = ["Rows", "open_rows", "present_lines"]

_BATCH = 512
_MAX_LINE = 64 * 1024 * 1024
_MEMORY = "512MB"


class Rows:
    """The rows of a file, batch by batch."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str | None, names: Sequence[str]) -> None:
        self.names = list(names)
        self._connection = connection
        if sql is not None:
            connection.execute(sql)

    def fetch(self) -> list[tuple[Any, ...]]:
        """The next few; none at the end."""
        return self._connection.fetchmany(_BATCH)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def open_rows(file: Path, form: str) -> Rows:
    """The rows of a file in Parquet, or in CSV as text; no names where it is empty."""
    # Without a place of its own it would put what does not fit into memory beside the program.
    folder = str(Path(tempfile.gettempdir()) / f"llmops-{os.getpid()}")
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false", "temp_directory": folder})
    connection.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{_MEMORY}'; SET preserve_insertion_order = true")
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
    """The numbers of those lines of a file, from 0, that the store has already, in order.

    Memory is bounded: what does not fit is put to the disk by DuckDB.

    Args:
        store: A trusted connection to the store.
        stream: Which stream.
        file: Lines as they are to be put into it.
    """
    key = stream.same_record
    columns = ", ".join(f"{one.name}: '{one.type}'" for one in stream.columns)
    lines = (
        f"read_json({quoted(pattern(file))}, columns = {{{columns}}}, format = 'newline_delimited', "
        "maximum_object_size = 33554432)"
    )
    # By one thread, so that the numbers are those of the lines.
    store.execute(f"SET memory_limit = '{_MEMORY}'; SET threads = 1; SET preserve_insertion_order = true")
    store.execute(f"CREATE TEMP TABLE staged AS SELECT row_number() OVER () - 1 AS line, {key} AS key FROM {lines}")
    store.execute("RESET threads")
    # The store's lines are read past the new ones, whatever their number.
    store.execute(
        f"CREATE TEMP TABLE known AS SELECT DISTINCT {key} AS key FROM store.{stream.name} "
        f"WHERE {key} IN (SELECT key FROM staged)"
    )
    store.execute("SELECT line FROM staged WHERE key IN (SELECT key FROM known) ORDER BY line")
    while batch := store.fetchmany(10_000):
        yield from (line for (line,) in batch)
    store.execute("DROP TABLE staged; DROP TABLE known")
