"""`traces.duckdb`: a small database that holds nothing but the views, for DuckDB's own shell and other tools.

It is made anew with each change of the manifest. Between two changes it sees what is appended, and new segments too: it
reads whatever lies in their folders, but for the segments that the files hold already.
"""
# ruff: noqa: S608 - statements are put together from the schema and from quoted names of files

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from llmops_sdk.store._duck import duckdb, pattern, quoted, read_lines, rows_sql, unreadable_sql
from llmops_sdk.store._layout import put_file
from llmops_sdk.store._manifest import Manifest
from llmops_sdk.store.schema import STREAMS, VIEWS, Stream

__all__ = ["VIEWS_FILE", "write_views"]

VIEWS_FILE = "traces.duckdb"
_EMPTY = "none.ndjson"
"""So that there is a file where no segment is, since DuckDB refuses a pattern that finds none."""


def write_views(store: Path, manifest: Manifest) -> None:
    """Put the views over the store's files into the place of those before; for who holds the store's lock.

    Args:
        store: The store's folder, which has every folder of segments.
        manifest: What the files are.
    """
    temporary = store / f".{VIEWS_FILE}.{uuid4().hex}"
    try:
        with duckdb.connect(str(temporary)) as connection:
            connection.execute("CREATE SCHEMA store")
            for stream in STREAMS:
                put_file(store / stream.folder / _EMPTY, b"")
                files = [file for file in manifest.files if file.stream == stream.name]
                connection.execute(f"CREATE VIEW store.{stream.name}_lines AS {_live_lines(stream, store, manifest)}")
                connection.execute(f"CREATE VIEW store.{stream.name} AS {rows_sql(stream, store, files)}")
            connection.execute(f"CREATE VIEW store.unreadable AS {unreadable_sql(manifest.unreadable)}")
            for view in VIEWS:
                connection.execute(f"CREATE VIEW {view.name} AS {view.sql}")
        temporary.chmod(0o600)
        temporary.replace(store / VIEWS_FILE)
    finally:
        for left in store.glob(f"{temporary.name}*"):
            left.unlink(missing_ok=True)


def _live_lines(stream: Stream, store: Path, manifest: Manifest) -> str:
    read = read_lines(stream, [f"{pattern(store / stream.folder)}/*.ndjson"], ", filename = 'segment'")
    covered = [str(store / name) for name in manifest.covered if name.startswith(f"{stream.folder}/")]
    where = f" WHERE segment NOT IN ({', '.join(map(quoted, covered))})" if covered else ""
    return f"SELECT * EXCLUDE (segment) FROM {read}{where}"
