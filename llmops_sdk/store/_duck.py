"""DuckDB, the one module that imports it: a connection with the views in place."""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb

from llmops_sdk.store._layout import Segment
from llmops_sdk.store.schema import SEAL, STREAMS, VIEWS, Stream, View

__all__ = ["duckdb", "open_connection", "quoted", "without_zones"]

_MAX_OBJECT = 32 * 1024 * 1024


def quoted(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def open_connection(
    segments: Sequence[Segment],
    *,
    views: Collection[View] = VIEWS,
    trusted: bool,
    frames: bool,
    output: Path | None = None,
) -> duckdb.DuckDBPyConnection:
    """An in-memory database with the views over `segments`.

    Args:
        segments: The files to read.
        views: Which views to make. Each costs some 10 ms, since DuckDB looks into the files of a view that it makes.
        trusted: False confines it: of all files it reads only the segments, it writes none, has no network, loads no
            extension, and none of that can be changed back.
        frames: Whether SQL may name the caller's data frames.
        output: The one file that it may write besides. Rows then come in no order, so that none are held back.
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
        },
    )
    try:
        _put_views(connection, segments, views)
        if not trusted:
            _confine(connection, segments, output)
    except duckdb.Error:
        connection.close()
        raise
    return connection


def _put_views(connection: duckdb.DuckDBPyConnection, segments: Sequence[Segment], views: Collection[View]) -> None:
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA store")
    for stream in STREAMS:
        connection.execute(_lines_sql(stream, [s.path for s in segments if s.stream is stream]))
        connection.execute(
            f"CREATE VIEW store.{stream.name} AS SELECT * EXCLUDE ({SEAL.name}) FROM store.{stream.name}_lines "
            f"WHERE {stream.required} IS NOT NULL"
        )
    unreadable = " UNION ALL ".join(
        f"SELECT 1 AS line FROM store.{s.name}_lines WHERE {s.required} IS NULL AND {SEAL.name} IS NULL"
        for s in STREAMS
    )
    connection.execute(f"CREATE VIEW store.unreadable AS {unreadable}")
    for view in views:
        connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")


def _confine(connection: duckdb.DuckDBPyConnection, segments: Sequence[Segment], output: Path | None) -> None:
    # The check is on the pattern and on the file that it names.
    allowed = {spelling for s in segments for spelling in (str(s.path), _pattern(s.path))}
    if output is not None:
        allowed.add(str(output))
    paths = ", ".join(quoted(path) for path in sorted(allowed))
    connection.execute(f"SET allowed_paths = [{paths}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def without_zones(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Make every time in the table naive and UTC: with a zone, fetching it would need another library."""
    found = connection.execute(
        "SELECT column_name FROM duckdb_columns() "
        "WHERE schema_name || '.' || table_name = $1 AND data_type = 'TIMESTAMP WITH TIME ZONE'",
        [table],
    ).fetchall()
    for (name,) in found:
        column = '"' + str(name).replace('"', '""') + '"'
        connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE TIMESTAMP")


def _lines_sql(stream: Stream, paths: Sequence[Path]) -> str:
    keys = (*stream.keys, SEAL)
    if not paths:
        nothing = ", ".join(f"NULL::{key.type} AS {key.name}" for key in keys)
        return f"CREATE VIEW store.{stream.name}_lines AS SELECT {nothing} WHERE false"
    # A list of names, no glob: an empty glob is an error.
    files = ", ".join(quoted(_pattern(path)) for path in paths)
    columns = ", ".join(f"{key.name}: '{key.type}'" for key in keys)
    return (
        f"CREATE VIEW store.{stream.name}_lines AS SELECT * FROM read_json([{files}], columns = {{{columns}}}, "
        f"format = 'newline_delimited', ignore_errors = true, maximum_object_size = {_MAX_OBJECT})"
    )


def _pattern(path: Path) -> str:
    # DuckDB takes every name for a pattern.
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
