"""`llmops compact` and `llmops snapshot`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk.cli._options import Force, Store
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

__all__ = ["compact", "snapshot"]


def compact(store: Store = None) -> None:
    """Compact write-ahead files to Parquet now.

    A background process of each application does the same.
    """
    folder = existing_store(store)
    from llmops_sdk.store import compact as compact_store

    with progress_bar("compacted", "bytes") as progress:
        done = compact_store(path=folder, progress=progress)
    if done.busy:
        print("another process is already compacting this store", file=sys.stderr)
    elif not done.segments:
        print(f"nothing to compact: {done.files} Parquet files, and files that live processes write", file=sys.stderr)
    else:
        print(
            f"{done.rows:,} rows of {done.segments:,} files: {done.bytes_before:,} bytes became {done.bytes_after:,}; "
            f"{done.files} Parquet files",
            file=sys.stderr,
        )
    if done.skipped:
        print(f"{done.skipped} files could not be converted; queries read them unconverted", file=sys.stderr)


def snapshot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The DuckDB database to write, e.g. traces.duckdb.")],
    force: Force = False,
    store: Store = None,
) -> None:
    """Write the whole store to one DuckDB database."""
    folder = existing_store(store)
    from llmops_sdk.store import snapshot as write_snapshot

    with progress_bar("written", "tables") as progress:
        done = write_snapshot(file, force=force, path=folder, progress=progress)
    print(f"{done.rows:,} rows in {done.file} ({done.bytes:,} bytes)", file=sys.stderr)
