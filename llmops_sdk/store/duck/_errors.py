"""What DuckDB raises when a file of the store is gone or cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._sql import duckdb
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["damaged_file", "is_missing_file"]

_FILE = re.compile(r"/(\w+)/([^/\"']+\.(?:parquet|ndjson))[\"']")


def is_missing_file(error: duckdb.Error) -> bool:
    """Whether a file was gone when it was to be read."""
    if isinstance(error, duckdb.PermissionException):
        # What is no file DuckDB takes for a folder, in which it may not look either.
        return ".ndjson/**/" in str(error)
    words = ("No files found", "No such file", "Cannot open file")
    return isinstance(error, duckdb.IOException) and any(word in str(error) for word in words)


def damaged_file(error: duckdb.Error, folder: Path) -> StoreError | None:
    """What to do about a file of the store that cannot be read; None when that is not what is wrong.

    Args:
        error: What DuckDB raised.
        folder: The store's.
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
        do = "put it back from a copy, or move it away and remove MANIFEST.json, which is made again from the others"
    else:
        do = "move it away"
    return StoreError(f"{file} is missing or cannot be read: {do}. DuckDB says: {text}", path=str(file))
