"""Write `traces.duckdb`: a small database with only the views, for DuckDB's shell and other tools.

Each change of the manifest rewrites it. Between changes it sees appended lines and new segments: it reads all segments
in their folders, except those already in Parquet files.
"""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import tempfile
from pathlib import Path

from llmops_sdk._util._private_files import create_file, replace_file
from llmops_sdk.errors import StoreError
from llmops_sdk.store.datasets._versions import FOLDER
from llmops_sdk.store.duck._dataset_tables import live_dataset_tables
from llmops_sdk.store.duck._sql import duckdb, open_database, pattern, quoted, read_lines, rows_sql, unreadable_count
from llmops_sdk.store.files._layout import list_segments
from llmops_sdk.store.files._manifest import EMPTY_SEGMENT, VIEWS_FILE, Manifest
from llmops_sdk.store.files._spill import spill_folder
from llmops_sdk.store.schema._details import DETAILS, merged_spans
from llmops_sdk.store.schema._views import RECORD_STREAMS, SEAL, VIEWS, RecordStream

__all__ = ["VIEWS_FILE", "write_views"]


def write_views(store: Path, manifest: Manifest) -> None:
    """Replace the file of views. The caller must hold the store's lock.

    Args:
        store: The store's folder; its folders of segments exist.
        manifest: The current manifest.
    """
    try:
        # In a private folder, since DuckDB makes its files readable for all. In a name with a "?", DuckDB takes
        # the rest for options.
        inside = None if "?" in str(store) else spill_folder(store)
        with tempfile.TemporaryDirectory(prefix="llmops-", dir=inside) as folder:
            made = Path(folder) / VIEWS_FILE
            _make(made, store, manifest)
            replace_file(store / VIEWS_FILE, made.read_bytes())
    except duckdb.Error as error:
        raise StoreError(
            f"{store / VIEWS_FILE} could not be written ({str(error).splitlines()[0]}); no span is lost. "
            "Run `llmops compact` to write it again",
            path=str(store / VIEWS_FILE),
        ) from error


def _make(file: Path, store: Path, manifest: Manifest) -> None:
    with open_database(str(file)) as connection:
        connection.execute("CREATE SCHEMA store")
        for stream in RECORD_STREAMS.values():
            create_file(store / stream.segment_folder / EMPTY_SEGMENT, b"")
            files = [file for file in manifest.files if file.stream == stream.name]
            connection.execute(f"CREATE VIEW store.{stream.name}_lines AS {_live_lines(stream, store, manifest)}")
            rows = rows_sql(stream, store, files)
            if stream.name == "spans" and _has_details(store, manifest):
                connection.execute(f"CREATE VIEW store.spans_stored AS {rows}")
                rows = merged_spans("store.spans_stored", "store.details")
            connection.execute(f"CREATE VIEW store.{stream.name} AS {rows}")
        counted = unreadable_count(manifest.unreadable, lambda stream: _sealed_lines(stream, store, manifest))
        connection.execute(f"CREATE VIEW store.unreadable AS {counted}")
        for name, rows in live_dataset_tables(store, quoted(pattern(store / FOLDER))).items():
            connection.execute(f"CREATE VIEW store.{name} AS {rows}")
        for view in VIEWS:
            connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")


def _has_details(store: Path, manifest: Manifest) -> bool:
    names = [file.stream for file in manifest.files]
    return DETAILS.name in names or any(one.stream is DETAILS for one in list_segments(store, manifest.covered))


def _sealed_lines(stream: RecordStream, store: Path, manifest: Manifest) -> str:
    # Of a segment without a seal, the last line may be half written.
    lines = _lines_by_segment(stream, store, manifest)
    return f"SELECT * FROM ({lines}) WHERE segment IN (SELECT segment FROM ({lines}) WHERE {SEAL.name} IS NOT NULL)"


def _live_lines(stream: RecordStream, store: Path, manifest: Manifest) -> str:
    return f"SELECT * EXCLUDE (segment) FROM ({_lines_by_segment(stream, store, manifest)})"


def _lines_by_segment(stream: RecordStream, store: Path, manifest: Manifest) -> str:
    read = read_lines(stream, [f"{pattern(store / stream.segment_folder)}/*.ndjson"], ", filename = 'segment'")
    covered = [str(store / name) for name in manifest.covered if name.startswith(f"{stream.segment_folder}/")]
    where = f" WHERE segment NOT IN ({', '.join(map(quoted, covered))})" if covered else ""
    return f"SELECT * FROM {read}{where}"
