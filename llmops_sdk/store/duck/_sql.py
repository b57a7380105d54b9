"""DuckDB, the one module that imports it: a connection with the views in place."""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import duckdb

from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.files._manifest import DataFile
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL, VIEWS, RecordStream, View

__all__ = [
    "duckdb",
    "line_columns",
    "lines_sql",
    "open_connection",
    "pattern",
    "put_tables",
    "quoted",
    "read_lines",
    "rows_sql",
    "unreadable_sql",
    "without_zones",
]

_MAX_OBJECT = 32 * 1024 * 1024


def quoted(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def open_connection(
    sources: Sources,
    *,
    views: Collection[View] = VIEWS,
    tables: bool = True,
    trusted: bool,
    frames: bool,
    output: Path | None = None,
    warm: bool = False,
) -> duckdb.DuckDBPyConnection:
    """An in-memory database with the views over a store's files.

    Args:
        sources: The files to read.
        views: Which views to make.
        tables: False makes only those tables of the schema `store` that the views read.
        trusted: False confines it: of all files it reads only those, it writes none, has no network, loads no
            extension, and none of that can be changed back.
        frames: Whether SQL may name the caller's data frames.
        output: The one file that it may write besides. Rows then come in no order, so that none are held back.
        warm: Whether it stays open while nobody asks: then it keeps nothing of the files in memory.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "true" if frames else "false",
            "preserve_insertion_order": "true" if output is None else "false",
            "temp_directory": str(Path(tempfile.gettempdir()) / f"llmops-{os.getpid()}"),
            # What an idle one holds goes back to the system within seconds.
            **({"enable_external_file_cache": "false", "allocator_background_threads": "true"} if warm else {}),
        },
    )
    try:
        _put_views(connection, sources, views, tables=tables)
        if not trusted:
            _confine(connection, sources, output)
    except duckdb.Error:
        connection.close()
        raise
    return connection


def _put_views(
    connection: duckdb.DuckDBPyConnection, sources: Sources, views: Collection[View], *, tables: bool
) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    # Each costs milliseconds, since DuckDB looks into the files of a view that it makes.
    read = " ".join(view.sql for view in views)
    everything = tables or "store.unreadable" in read
    put_tables(connection, sources, [s for s in RECORD_STREAMS.values() if everything or f"store.{s.name}" in read])
    if everything:
        connection.execute(f"CREATE VIEW store.unreadable AS {unreadable_sql(sources.unreadable)}")
    for view in views:
        connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")


def put_tables(
    connection: duckdb.DuckDBPyConnection, sources: Sources, streams: Iterable[RecordStream] | None = None
) -> None:
    """Make the schema `store` with every row of some streams; of all by default."""
    connection.execute("CREATE SCHEMA store")
    for stream in RECORD_STREAMS.values() if streams is None else streams:
        paths = [segment.path for segment in sources.segments if segment.stream is stream]
        files = [file for file in sources.files if file.stream == stream.name]
        connection.execute(f"CREATE VIEW store.{stream.name}_lines AS {lines_sql(stream, paths)}")
        connection.execute(f"CREATE VIEW store.{stream.name} AS {rows_sql(stream, sources.folder, files)}")


def rows_sql(stream: RecordStream, folder: Path, files: Sequence[DataFile], *, lines: str | None = None) -> str:
    """Every row of a stream: the lines of its segments that can be read, and the rows of its Parquet files.

    Args:
        stream: Whose rows they are.
        folder: The store's.
        files: The Parquet files.
        lines: The view over the lines; by default that in `store`.
    """
    read = lines or f"store.{stream.name}_lines"
    parts = [f"SELECT {line_columns(stream)} FROM {read} WHERE {stream.required} IS NOT NULL"]
    # Each version by itself: to unite files by their columns' names takes up to twice the time.
    for version in sorted({file.version for file in files}):
        listed = ", ".join(quoted(pattern(folder / file.name)) for file in files if file.version == version)
        names = [k.name if k.since <= version else f"NULL::{k.type} AS {k.name}" for k in stream.columns]
        parts.append(f"SELECT {', '.join(names + [n for n, _ in stream.computed])} FROM read_parquet([{listed}])")
    return " UNION ALL ".join(parts)


def line_columns(stream: RecordStream) -> str:
    """What a row has of a line: the keys, and what is computed from them."""
    return ", ".join([key.name for key in stream.columns] + [f"{sql} AS {name}" for name, sql in stream.computed])


def unreadable_sql(before: int, *, lines: str = "store.{}_lines") -> str:
    """How many lines cannot be read, or could not be when they were compacted: `before` of them."""
    counts = " + ".join(
        f"(SELECT count(*) FROM {lines.format(s.name)} WHERE {s.required} IS NULL AND {SEAL.name} IS NULL)"
        for s in RECORD_STREAMS.values()
    )
    return f"SELECT {before} + {counts} AS lines"


def _confine(connection: duckdb.DuckDBPyConnection, sources: Sources, output: Path | None) -> None:
    paths = [segment.path for segment in sources.segments] + [sources.folder / file.name for file in sources.files]
    # The check is on the pattern and on the file that it names.
    allowed = {spelling for path in paths for spelling in (str(path), pattern(path))}
    if output is not None:
        allowed.add(str(output))
    listed = ", ".join(quoted(path) for path in sorted(allowed))
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def without_zones(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Make every time in the table naive and UTC: with a zone, fetching it would need another library."""
    # Of this table alone: to list the columns of all tables, DuckDB would look into the files of every view.
    for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
        if kind == "TIMESTAMP WITH TIME ZONE":
            column = '"' + str(name).replace('"', '""') + '"'
            connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE TIMESTAMP")


def lines_sql(stream: RecordStream, paths: Sequence[Path]) -> str:
    """Every line of some segments, those that are none of ours as NULLs."""
    if not paths:
        keys = (*stream.columns, SEAL)
        return f"SELECT {', '.join(f'NULL::{key.type} AS {key.name}' for key in keys)} WHERE false"
    # A list of names, no glob: an empty glob is an error.
    return f"SELECT * FROM {read_lines(stream, [pattern(path) for path in paths])}"


def read_lines(stream: RecordStream, patterns: Sequence[str], options: str = "") -> str:
    """DuckDB's call that reads lines of a stream.

    Args:
        stream: Whose lines they are.
        patterns: The files.
        options: Further arguments, each with a comma before it.
    """
    files = ", ".join(quoted(one) for one in patterns)
    columns = ", ".join(f"{key.name}: '{key.type}'" for key in (*stream.columns, SEAL))
    return (
        f"read_json([{files}], columns = {{{columns}}}, format = 'newline_delimited', ignore_errors = true, "
        f"maximum_object_size = {_MAX_OBJECT}{options})"
    )


def pattern(path: Path) -> str:
    """A path as DuckDB is to take it, who takes every name for a pattern."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
