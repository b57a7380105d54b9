"""`traces.duckdb`: a small database that holds nothing but the views, for DuckDB's own shell and other tools.

It is made anew with each change of the manifest. Between two changes it sees what is appended, and new segments too: it
reads whatever lies in their folders, but for the segments that the files hold already.
"""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from uuid import uuid4

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._sql import duckdb, pattern, quoted, read_lines, rows_sql, unreadable_sql
from llmops_sdk.store.files._layout import create_file
from llmops_sdk.store.files._manifest import EMPTY_SEGMENT, VIEWS_FILE, Manifest
from llmops_sdk.store.schema._views import RECORD_STREAMS, VIEWS, RecordStream

__all__ = ["VIEWS_FILE", "write_views"]


def write_views(store: Path, manifest: Manifest) -> None:
    """Put the views over the store's files into the place of those before; for who holds the store's lock.

    Args:
        store: The store's folder, which has every folder of segments.
        manifest: What the files are.
    """
    temporary = store / f".{VIEWS_FILE}.{uuid4().hex}"
    try:
        if "?" in str(store):
            # DuckDB takes what follows in the name of a database for options.
            with tempfile.TemporaryDirectory(prefix="llmops-") as folder:
                made = Path(folder) / VIEWS_FILE
                _make(made, store, manifest)
                shutil.copyfile(made, temporary)
        else:
            _make(temporary, store, manifest)
        temporary.chmod(0o600)
        temporary.replace(store / VIEWS_FILE)
    except duckdb.Error as error:
        raise StoreError(
            f"{store / VIEWS_FILE} could not be made ({str(error).splitlines()[0]}); no span is lost, and "
            "`llmops compact` makes it again",
            path=str(store / VIEWS_FILE),
        ) from error
    finally:
        for left in store.glob(f"{temporary.name}*"):
            left.unlink(missing_ok=True)


def _make(file: Path, store: Path, manifest: Manifest) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA store")
        for stream in RECORD_STREAMS.values():
            create_file(store / stream.segment_folder / EMPTY_SEGMENT, b"")
            files = [file for file in manifest.files if file.stream == stream.name]
            connection.execute(f"CREATE VIEW store.{stream.name}_lines AS {_live_lines(stream, store, manifest)}")
            connection.execute(f"CREATE VIEW store.{stream.name} AS {rows_sql(stream, store, files)}")
        connection.execute(f"CREATE VIEW store.unreadable AS {unreadable_sql(manifest.unreadable)}")
        for view in VIEWS:
            connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")


def _live_lines(stream: RecordStream, store: Path, manifest: Manifest) -> str:
    read = read_lines(stream, [f"{pattern(store / stream.segment_folder)}/*.ndjson"], ", filename = 'segment'")
    covered = [str(store / name) for name in manifest.covered if name.startswith(f"{stream.segment_folder}/")]
    where = f" WHERE segment NOT IN ({', '.join(map(quoted, covered))})" if covered else ""
    return f"SELECT * EXCLUDE (segment) FROM {read}{where}"
