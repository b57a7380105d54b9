"""Write a store's lines as Parquet files, with bounded memory and one thread."""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._provenance import KEY, FileProvenance
from llmops_sdk.store.duck._rebuild import read_provenance
from llmops_sdk.store.duck._sql import duckdb, line_columns, lines_sql, open_database, pattern, put_tables, quoted
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.schema._views import SEAL, RecordStream

__all__ = ["ParquetWriter"]

_MEMORY = 512 * 1024**2
_LEAST = 256 * 1024**2  # DuckDB's own buffers for the longest line
_LEVEL = 4  # of zstd: smaller than 3 in the same time; 5 takes half as long again
_GROUP_ROWS = 20_480
_GROUP_BYTES = 96 * 1024**2  # whichever limit comes first: a row may have megabytes
_MAX_NAMES = 2_048  # in the metadata of a file: more than a copy of the store takes in the meantime
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class ParquetWriter:
    """Writes Parquet files."""

    def __init__(self) -> None:
        self._connection = open_database(
            ":memory:",
            {
                "threads": 1,
                "memory_limit": f"{_memory() // 1024**2}MiB",
                "temp_directory": "",  # a group of rows fits into memory
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def write_lines(self, stream: RecordStream, segments: Sequence[Path], out: Path, origin: FileProvenance) -> int:
        """Write the lines of segments; return the number of readable lines.

        Args:
            stream: The stream of the segments.
            segments: The files.
            out: The new file.
            origin: The provenance of the new file.

        Raises:
            StoreError: DuckDB cannot read them, or write it.
        """
        return self._copy(
            f"SELECT {line_columns(stream)} FROM ({lines_sql(stream, segments)}) WHERE {stream.required} IS NOT NULL",
            out,
            origin,
        )

    def write_rows(
        self,
        files: Sequence[Path],
        out: Path,
        origin: FileProvenance,
        *,
        unless: str = "false",
        values: Mapping[str, str] | None = None,
    ) -> int:
        """Write the rows of files of one version into one file, except some; return the number written.

        Args:
            files: The files.
            out: The new file.
            origin: The provenance of the new file.
            unless: An SQL condition; matching rows are left out.
            values: SQL expressions for columns of the others; None keeps their values.

        Raises:
            StoreError: DuckDB cannot read them, or write it.
        """
        listed = ", ".join(quoted(pattern(file)) for file in files)
        where = "" if unless == "false" else f" WHERE ({unless}) IS NOT TRUE"
        changed = ", ".join(f"({value}) AS {column}" for column, value in (values or {}).items())
        columns = f"* REPLACE ({changed})" if changed else "*"
        return self._copy(f"SELECT {columns} FROM read_parquet([{listed}]){where}", out, self._inherited(origin, files))

    def _inherited(self, origin: FileProvenance, files: Sequence[Path]) -> FileProvenance:
        """Return the provenance of a file that replaces others, with what these stood for: a copy may still have it."""
        holds, replaces = list(origin.holds), list(origin.replaces)
        for file in files:
            with suppress(FileNotFoundError, ValueError):
                before = read_provenance(self._connection, file)[0]
                holds += before.holds
                replaces += before.replaces
        holds.sort(key=lambda name: name in origin.holds, reverse=True)
        replaces.sort(key=lambda name: name in origin.replaces, reverse=True)
        return replace(origin, holds=holds[:_MAX_NAMES], replaces=replaces[:_MAX_NAMES])

    def create_kept_traces(self, sources: Sources, kept: str) -> None:
        """Create the table `kept_traces` for conditions.

        Args:
            sources: All files of the store.
            kept: A SELECT of trace ids from the schema `store`.

        Raises:
            StoreError: DuckDB cannot read them.
        """
        try:
            put_tables(self._connection, sources)
            self._connection.execute(
                f"CREATE OR REPLACE TABLE kept_traces AS SELECT DISTINCT id FROM ({kept}) WHERE id IS NOT NULL"
            )
        except duckdb.Error as error:
            raise StoreError(f"compaction failed; no data is lost: {error}") from error

    def count_rows(self, files: Sequence[Path], condition: str) -> int:
        """Return the number of rows that match an SQL condition.

        Raises:
            StoreError: DuckDB cannot read them.
        """
        listed = ", ".join(quoted(pattern(file)) for file in files)
        return self._number(f"SELECT count(*) FROM read_parquet([{listed}]) WHERE {condition}")

    def mark_for_removal(self, traces: Collection[str], spans: Collection[str], sessions: Collection[str]) -> None:
        """Create the tables `removed_traces`, `removed_spans` and `removed_sessions` for conditions."""
        for name, ids in (("removed_traces", traces), ("removed_spans", spans), ("removed_sessions", sessions)):
            self._connection.execute(
                f"CREATE OR REPLACE TABLE {name} AS SELECT unnest($ids::VARCHAR[]) AS id", {"ids": list(ids)}
            )

    def put_prices(self, columns: str, rows: Sequence[Sequence[object]]) -> None:
        """Create the table `new_prices` for conditions and values.

        Args:
            columns: Its columns with their types.
            rows: Its rows.
        """
        self._connection.execute(f"CREATE OR REPLACE TABLE new_prices ({columns})")
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"INSERT INTO new_prices VALUES ({marks})", [list(row) for row in rows])

    def sums(self, files: Sequence[Path], expressions: Sequence[str], condition: str) -> tuple[Any, ...]:
        """Return aggregates over the rows that match an SQL condition.

        Raises:
            StoreError: DuckDB cannot read them.
        """
        listed = ", ".join(quoted(pattern(file)) for file in files)
        row = self._row(f"SELECT {', '.join(expressions)} FROM read_parquet([{listed}]) WHERE {condition}")
        return row or ()

    def count_unreadable(self, stream: RecordStream, segments: Sequence[Path]) -> int:
        """Return the number of unreadable lines in segments.

        Raises:
            StoreError: DuckDB cannot read the files.
        """
        return self._number(
            f"SELECT count(*) FROM ({lines_sql(stream, segments)}) "
            f"WHERE {stream.required} IS NULL AND {SEAL.name} IS NULL"
        )

    def _copy(self, select: str, out: Path, origin: FileProvenance) -> int:
        # DuckDB keeps the mode of an existing file.
        os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return self._number(
            f"COPY ({select}) TO {quoted(str(out))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {_LEVEL}, "
            f"ROW_GROUP_SIZE {_GROUP_ROWS}, ROW_GROUP_SIZE_BYTES {_GROUP_BYTES}, USE_TMP_FILE false, "
            f"KV_METADATA {{{KEY}: {quoted(origin.encode())}}})"
        )

    def _number(self, sql: str) -> int:
        row = self._row(sql)
        return int(row[0]) if row else 0

    def _row(self, sql: str) -> tuple[Any, ...] | None:
        try:
            return self._connection.execute(sql).fetchone()
        except duckdb.Error as error:
            raise StoreError(f"compaction failed; no data is lost: {error}") from error


def _memory() -> int:
    """Return DuckDB's memory limit in bytes: at most a quarter of the container's."""
    limits = [_MEMORY]
    for name in _CGROUPS:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            limits.append(int(text) // 4)
    limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
    return max(min(limits), _LEAST)
