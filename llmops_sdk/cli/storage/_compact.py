"""`llmops compact` and `llmops snapshot`: the store as Parquet files, and as one database."""

from __future__ import annotations

import sys
from pathlib import Path

from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

__all__ = ["run_compact", "run_snapshot"]


def run_compact(*, store: Path | None) -> None:
    """Compact the store, and say on stderr what became smaller.

    Raises:
        StoreError: There is no store, or it cannot be read or written.
    """
    folder = existing_store(store)
    from llmops_sdk.store import compact

    with progress_bar("compacted", "bytes") as progress:
        done = compact(path=folder, progress=progress)
    if done.busy:
        print("another process is compacting this store already", file=sys.stderr)
    elif not done.segments:
        print(f"nothing to compact: {done.files} Parquet files, and what live processes write", file=sys.stderr)
    else:
        print(
            f"{done.rows:,} rows of {done.segments:,} files: {done.bytes_before:,} bytes became {done.bytes_after:,}; "
            f"{done.files} Parquet files",
            file=sys.stderr,
        )
    if done.skipped:
        print(f"{done.skipped} files could not be converted and are read as they are", file=sys.stderr)


def run_snapshot(file: Path, *, force: bool, store: Path | None) -> None:
    """Write the database, and say on stderr what it has.

    Raises:
        StoreError: There is no store, or the file cannot be written, or it is there.
    """
    folder = existing_store(store)
    from llmops_sdk.store import snapshot

    with progress_bar("written", "tables") as progress:
        done = snapshot(file, force=force, path=folder, progress=progress)
    print(f"{done.rows:,} rows in {done.file} ({done.bytes:,} bytes)", file=sys.stderr)
