"""Open DuckDB connections that have the store's views, and build the SQL under the views."""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from llmops_sdk.store.duck._dataset_tables import dataset_paths, dataset_tables, reads_datasets
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.files._manifest import DataFile
from llmops_sdk.store.files._segment import released_segments
from llmops_sdk.store.files._spill import spill_folder
from llmops_sdk.store.schema._details import DETAILS, merged_spans
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL, VIEWS, RecordStream, StoredColumn, View

__all__ = [
    "duckdb",
    "line_columns",
    "lines_sql",
    "open_connection",
    "open_database",
    "pattern",
    "physical_memory",
    "put_tables",
    "quoted",
    "read_lines",
    "rows_sql",
    "unreadable_count",
    "unreadable_sql",
    "without_zones",
]

_MAX_OBJECT = 32 * 1024 * 1024
_MAX_QUERY_MEMORY = 4 * 1024 * 1024 * 1024
_MAX_SPILL = 8 * 1024 * 1024 * 1024
_WARM = {"enable_external_file_cache": "false", "allocator_background_threads": "true"}


def quoted(text: str) -> str:
    """Return a string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def open_database(database: str, config: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database in UTC and without a progress bar; every connection of the package comes from here.

    DuckDB draws its progress bar on stdout, also if stdout is a file: it would stand among the rows of a CSV file.

    Args:
        database: The file, or ":memory:".
        config: Options of DuckDB.
    """
    connection = duckdb.connect(database, config=config or {})
    bar = connection.execute("SET TimeZone = 'UTC'; SELECT current_setting('enable_progress_bar')").fetchone()
    # Only if it is on: in a notebook without ipywidgets it is off, and DuckDB refuses each change of it.
    if bar and bar[0]:
        connection.execute("SET enable_progress_bar = false")
    return connection


def open_connection(
    sources: Sources,
    *,
    views: Collection[View] = VIEWS,
    tables: bool = True,
    trusted: bool,
    frames: bool,
    output: Path | None = None,
    bounded: bool = False,
    warm: bool = False,
    lean: bool = False,
    spill: bool = True,
    memory: int | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database with the views over a store's files.

    Args:
        sources: The files to read.
        views: The views to create.
        tables: False creates only the tables of the schema `store` that the views read.
        trusted: False confines the connection for good: it reads these files only, writes none, has no network and
            loads no extension.
        frames: Whether SQL may name the caller's data frames.
        output: One file that the connection may write. Rows then come in any order, which saves memory.
        bounded: Keep the bounds of a query, and the order of rows, also with an output.
        warm: Whether the connection stays open between queries. It then keeps what the files say of themselves, which
            each statement would read again, and no content of them.
        lean: Whether to read in one thread and cache no file content: each thread holds the texts of a row group.
        spill: Whether to put rows that do not fit into memory on the disk, into the store's private folder.
        memory: Bytes that a bounded query may hold, and twice as many on the disk; None for the usual bounds.
    """
    # SQL that is confined may still write into this folder.
    folder = spill_folder(sources.folder) if spill else None
    connection = open_database(
        ":memory:",
        {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "true" if frames else "false",
            "preserve_insertion_order": "true" if output is None or bounded else "false",
            "temp_directory": str(folder or ""),
            # An idle connection returns its memory to the system within seconds.
            **(_bounds(memory) if not trusted and (output is None or bounded) else {}),
            **(_WARM if warm else {}),
            **({"enable_external_file_cache": "false", "threads": "1"} if lean else {}),
        },
    )
    datasets = dataset_paths(sources.folder) if tables or reads_datasets(views) else None
    try:
        if warm:
            connection.execute("SET parquet_metadata_cache = true")
        _put_views(connection, sources, views, datasets, tables=tables)
        if not trusted:
            _confine(connection, sources, datasets or [], output)
    except duckdb.Error:
        connection.close()
        raise
    return connection


def _bounds(given: int | None) -> dict[str, str]:
    """Return the bounds of a query: DuckDB's own are 80 % of the memory and 90 % of the disk."""
    memory = min(given or _MAX_QUERY_MEMORY, physical_memory() // 2)
    spill = _MAX_SPILL if given is None else 2 * given
    return {"memory_limit": f"{memory // 2**20}MiB", "max_temp_directory_size": f"{spill // 2**20}MiB"}


def physical_memory() -> int:
    """Return the bytes of memory that this process may have: of the machine, or of its control group."""
    try:
        found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        found = _MAX_QUERY_MEMORY
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(file).read_text("ascii").strip()
        except (OSError, ValueError):
            continue
        found = min(found, int(text)) if text.isdecimal() else found
    return found


def _put_views(
    connection: duckdb.DuckDBPyConnection,
    sources: Sources,
    views: Collection[View],
    datasets: Sequence[Path] | None,
    *,
    tables: bool,
) -> None:
    # Each view costs milliseconds: DuckDB opens its files to create it.
    read = " ".join(view.sql for view in views)
    everything = tables or "store.unreadable" in read
    wanted = {s.name for s in RECORD_STREAMS.values() if everything or f"store.{s.name}" in read}
    if "spans" in wanted:
        wanted.add(DETAILS.name)
    put_tables(connection, sources, [s for s in RECORD_STREAMS.values() if s.name in wanted])
    if everything:
        connection.execute(f"CREATE VIEW store.unreadable AS {unreadable_sql(sources)}")
    if datasets is not None:
        for name, rows in dataset_tables([quoted(pattern(path)) for path in datasets]).items():
            connection.execute(f"CREATE VIEW store.{name} AS {rows}")
    for view in views:
        connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")


def put_tables(
    connection: duckdb.DuckDBPyConnection, sources: Sources, streams: Iterable[RecordStream] | None = None
) -> None:
    """Create the schema `store` with all rows of some streams; with the details, spans have what these add."""
    connection.execute("CREATE SCHEMA store")
    merge = False
    for stream in RECORD_STREAMS.values() if streams is None else streams:
        paths = [segment.path for segment in sources.segments if segment.stream is stream]
        files = [file for file in sources.files if file.stream == stream.name]
        connection.execute(f"CREATE VIEW store.{stream.name}_lines AS {lines_sql(stream, paths)}")
        rows = rows_sql(stream, sources.folder, files)
        if stream is DETAILS:
            merge = bool(paths or files)
        if merge and stream.name == "spans":
            connection.execute(f"CREATE VIEW store.spans_stored AS {rows}")
            rows = merged_spans("store.spans_stored", "store.details")
        connection.execute(f"CREATE VIEW store.{stream.name} AS {rows}")


def rows_sql(
    stream: RecordStream,
    folder: Path,
    files: Sequence[DataFile],
    *,
    lines: str | None = None,
    only: Collection[str] | None = None,
) -> str:
    """Return SQL for all rows of a stream: readable lines of its segments, and rows of its Parquet files.

    Args:
        stream: The stream.
        folder: The store's folder.
        files: The Parquet files.
        lines: The view over the lines, or SQL in parentheses; by default the view in `store`.
        only: The columns wanted; None for all.
    """
    read = lines or f"store.{stream.name}_lines"
    parts = [f"SELECT {line_columns(stream, only)} FROM {read} WHERE {stream.required} IS NOT NULL"]
    # One scan per version: matching columns by name across files takes up to twice the time.
    for version in sorted({file.version for file in files}):
        listed = ", ".join(quoted(pattern(folder / file.name)) for file in files if file.version == version)
        names = [
            k.name if k.since <= version else f"NULL::{k.type} AS {k.name}" for k in stream.columns if _in(k.name, only)
        ]
        names += [name for name, _ in stream.computed if _in(name, only)]
        parts.append(f"SELECT {', '.join(names)} FROM read_parquet([{listed}])")
    return " UNION ALL ".join(parts)


def line_columns(stream: RecordStream, only: Collection[str] | None = None) -> str:
    """Return the columns that a row takes from a line: the keys and the computed columns.

    Args:
        stream: The stream.
        only: The columns wanted; None for all.
    """
    keys = [key.name for key in stream.columns if _in(key.name, only)]
    return ", ".join(keys + [f"{sql} AS {name}" for name, sql in stream.computed if _in(name, only)])


def _in(name: str, only: Collection[str] | None) -> bool:
    return only is None or name in only


def unreadable_sql(sources: Sources) -> str:
    """Return SQL for the number of unreadable lines in finished segments, and in those that compaction removed.

    The last line of a living writer's segment may be half written, and readable a moment later.

    Args:
        sources: The files to read.
    """
    finished = {segment.path for segment in released_segments(sources.segments)}

    def lines(stream: RecordStream) -> str:
        return lines_sql(
            stream, [one.path for one in sources.segments if one.stream is stream and one.path in finished]
        )

    return unreadable_count(sources.unreadable, lines)


def unreadable_count(before: int, lines: Callable[[RecordStream], str]) -> str:
    """Return SQL for the number of unreadable lines.

    Args:
        before: Those that compaction found.
        lines: Returns SQL for the lines of a stream to count.
    """
    counts = " + ".join(
        f"(SELECT count(*) FROM ({lines(s)}) WHERE {s.required} IS NULL AND {SEAL.name} IS NULL)"
        for s in RECORD_STREAMS.values()
    )
    return f"SELECT {before} + {counts} AS lines"


def _confine(
    connection: duckdb.DuckDBPyConnection, sources: Sources, datasets: Sequence[Path], output: Path | None
) -> None:
    paths = [segment.path for segment in sources.segments] + [sources.folder / file.name for file in sources.files]
    paths += datasets
    # DuckDB checks the pattern and the file that it matches.
    allowed = {spelling for path in paths for spelling in (str(path), pattern(path))}
    if output is not None:
        allowed.add(str(output))
    listed = ", ".join(quoted(path) for path in sorted(allowed))
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def without_zones(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """Make all times of a table naive and UTC: fetching times with a zone needs another library."""
    # DESCRIBE, not the catalog: for the catalog DuckDB opens the files of every view.
    for name, value_type, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
        if value_type == "TIMESTAMP WITH TIME ZONE":
            column = '"' + str(name).replace('"', '""') + '"'
            connection.execute(f"ALTER TABLE {table} ALTER {column} TYPE TIMESTAMP")


def lines_sql(stream: RecordStream, paths: Sequence[Path], only: Collection[str] | None = None) -> str:
    """Return SQL for all lines of segments; foreign lines are rows of NULLs.

    Args:
        stream: The stream.
        paths: The segments.
        only: The keys wanted; None for all.
    """
    if not paths:
        keys = _keys(stream, only)
        return f"SELECT {', '.join(f'NULL::{key.type} AS {key.name}' for key in keys)} WHERE false"
    # Names, not a glob: an empty glob is an error.
    return f"SELECT * FROM {read_lines(stream, [pattern(path) for path in paths], only=only)}"


def _keys(stream: RecordStream, only: Collection[str] | None) -> list[StoredColumn]:
    return [key for key in (*stream.columns, SEAL) if _in(key.name, only)]


def read_lines(
    stream: RecordStream, patterns: Sequence[str], options: str = "", *, only: Collection[str] | None = None
) -> str:
    """Return the call of `read_json` that reads lines of a stream.

    Args:
        stream: The stream.
        patterns: The files.
        options: Further arguments, each after a comma.
        only: The keys wanted; None for all.
    """
    files = ", ".join(quoted(one) for one in patterns)
    columns = ", ".join(f"{key.name}: '{key.type}'" for key in _keys(stream, only))
    return (
        f"read_json([{files}], columns = {{{columns}}}, format = 'newline_delimited', ignore_errors = true, "
        f"maximum_object_size = {_MAX_OBJECT}{options})"
    )


def pattern(path: Path) -> str:
    """Return a path escaped for DuckDB, which treats file names as glob patterns."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
