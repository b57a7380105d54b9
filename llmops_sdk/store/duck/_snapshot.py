"""Write a store's rows and views into a native DuckDB database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._dataset_tables import dataset_paths, dataset_tables
from llmops_sdk.store.duck._errors import damaged_file, is_missing_file
from llmops_sdk.store.duck._sql import (
    duckdb,
    lines_sql,
    open_database,
    pattern,
    quoted,
    rows_sql,
    unreadable_sql,
)
from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.schema._details import merged_spans
from llmops_sdk.store.schema._views import RECORD_STREAMS, VIEWS

__all__ = ["write_snapshot"]


def write_snapshot(file: Path, sources: Sources, progress: Callable[[int, int], None] | None) -> int:
    """Write the database; return the number of rows in its tables.

    Args:
        file: A new file.
        sources: The files to read.
        progress: Called after each table.

    Raises:
        StoreError: DuckDB cannot write it.
    """
    rows = 0
    try:
        with open_database(str(file), {"preserve_insertion_order": "false"}) as connection:
            connection.execute("CREATE SCHEMA store")
            for number, stream in enumerate(RECORD_STREAMS.values()):
                paths = [segment.path for segment in sources.segments if segment.stream is stream]
                files = [one for one in sources.files if one.stream == stream.name]
                connection.execute(f"CREATE TEMP VIEW {stream.name}_lines AS {lines_sql(stream, paths)}")
                found = rows_sql(stream, sources.folder, files, lines=f"{stream.name}_lines")
                if stream.name == "spans":
                    found = merged_spans(f"({found})", "store.details")  # its table is there already
                made = connection.execute(f"CREATE TABLE store.{stream.name} AS {found}").fetchone()
                rows += int(made[0]) if made else 0
                if progress is not None:
                    progress(number + 1, len(RECORD_STREAMS))
            paths = [quoted(pattern(path)) for path in dataset_paths(sources.folder)]
            for name, found in dataset_tables(paths).items():
                connection.execute(f"CREATE TABLE store.{name} AS {found}")
            counted = connection.execute(unreadable_sql(sources)).fetchone()
            connection.execute(f"CREATE VIEW store.unreadable AS SELECT {int(counted[0]) if counted else 0} AS lines")
            for view in VIEWS:
                connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
    except duckdb.Error as error:
        if is_missing_file(error) or damaged_file(error, sources.folder) is not None or type(error) is duckdb.Error:
            raise  # a file of the store was removed or is damaged: the caller lists the files again
        raise StoreError(f"{file} cannot be written: {error}", path=str(file)) from error
    return rows
