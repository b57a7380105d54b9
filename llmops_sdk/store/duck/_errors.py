"""Recognize DuckDB's errors for a file of the store that is missing or damaged."""

from __future__ import annotations

import re
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["damaged_file", "is_missing_file"]

_FILE = re.compile(r"/(\w+)/([^/\"']+\.(?:parquet|ndjson))[\"']")


def is_missing_file(error: duckdb.Error) -> bool:
    """Return whether DuckDB failed because a file no longer exists."""
    if isinstance(error, duckdb.PermissionException):
        # DuckDB takes a missing file for a folder, which it may not list either.
        return any(f".{suffix}/**/" in str(error) for suffix in ("ndjson", "jsonl", "json"))
    words = ("No files found", "No such file", "Cannot open file")
    return isinstance(error, duckdb.IOException) and any(word in str(error) for word in words)


def damaged_file(error: duckdb.Error, folder: Path) -> StoreError | None:
    """Return an error that says how to repair a damaged file of the store, or None for other errors.

    Args:
        error: DuckDB's error.
        folder: The store's folder.
    """
    text = str(error).partition("\n")[0].strip()
    found = _FILE.search(text) if isinstance(error, (duckdb.IOException, duckdb.InvalidInputException)) else None
    if found is None:
        return None
    matches = [
        stream for stream in RECORD_STREAMS.values() if found[1] in {stream.segment_folder, stream.parquet_folder}
    ]
    if not matches:
        return None
    file = folder / found[1] / found[2]
    if file.suffix == ".parquet":
        do = "restore it from a copy, or move it away and delete MANIFEST.json, which is rebuilt from the other files"
    else:
        do = "move it away"
    return StoreError(f"{file} is missing or cannot be read: {do}. DuckDB says: {text}", path=str(file))
