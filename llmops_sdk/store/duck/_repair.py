"""Put damaged or missing Parquet files out of the way, so that one of them does not stop every query."""
# ruff: noqa: S608 - the statement has nothing but the quoted name of a file in it

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._sql import duckdb, open_database, pattern, quoted
from llmops_sdk.store.files._damaged import leave_out, set_aside, warn
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, commit, read_manifest
from llmops_sdk.store.lines._count_loss import count_loss

__all__ = ["avoid_damaged_files", "remove_damaged_files"]

_NAME = re.compile(r"L[0-9]+-[0-9]+-[0-9a-f]{32}\.parquet")
_WAIT = 2.0
_MEMORY = "512MB"
_NOT_DAMAGE = ("Permission denied", "Too many open files", "No space left", "Cannot allocate memory")


def avoid_damaged_files(store: Path, error: Exception) -> bool:
    """Move damaged files out of the way after a failure, or remember them; return whether there were any.

    Args:
        store: The store's folder.
        error: DuckDB's error, which may come from the SQL of a user.
    """
    manifest = read_manifest(store)
    suspects = [] if manifest is None else _suspects(manifest, error)
    if manifest is None or not suspects:
        return False
    try:
        with exclusive_lock(store, _WAIT) as acquired:
            if acquired:
                latest = read_manifest(store) or manifest
                return remove_damaged_files(store, latest, suspects) is not latest
    except (OSError, StoreError):
        pass  # a store that cannot be written, such as a backup
    found = {file: why for file in suspects if (why := _damage(store / file.name)) is not None}
    for file, why in found.items():
        warn(store / file.name, f"{why}; this process leaves it out", file.rows)
    leave_out([store / file.name for file in found])
    return bool(found)


def remove_damaged_files(store: Path, manifest: Manifest, suspects: Sequence[DataFile] | None = None) -> Manifest:
    """Move damaged files into the folder `damaged`, and count them as lost; return the manifest without them.

    Args:
        store: The store's folder; the caller holds its lock.
        manifest: The current manifest; it is returned unchanged if no file is damaged.
        suspects: The files to check; None for all.
    """
    listed = {file.name for file in manifest.files}
    checked = manifest.files if suspects is None else suspects
    damaged = {file: why for file in checked if file.name in listed and (why := _damage(store / file.name)) is not None}
    if not damaged:
        return manifest
    for file, why in damaged.items():
        if not set_aside(store, file.name, why, rows=file.rows):
            warn(store / file.name, why, file.rows)
    left = tuple(file for file in manifest.files if file not in damaged)
    changed = commit(store, replace(manifest, generation=manifest.generation + 1, files=left))
    for file in damaged:
        count_loss(store, "segment", "damaged", file.rows, file.bytes)
    return changed


def _suspects(manifest: Manifest, error: Exception) -> list[DataFile]:
    text = str(error)
    if not isinstance(error, duckdb.Error) or isinstance(error, duckdb.OutOfMemoryException):
        return []
    if any(word in text for word in _NOT_DAMAGE):
        return []
    names = set(_NAME.findall(text))
    named = [file for file in manifest.files if file.name.rpartition("/")[2] in names]
    # DuckDB reports damage in a footer as an error of no kind, without a name.
    return named or (list(manifest.files) if type(error) is duckdb.Error else [])


def _damage(file: Path) -> str | None:
    """Return what is wrong with a file, or None if every value of it can be read."""
    if not file.exists():
        return "it is missing"
    try:
        with open_database(":memory:", {"memory_limit": _MEMORY, "threads": 1, "temp_directory": ""}) as connection:
            connection.execute(f"SELECT bit_xor(hash(row)) FROM read_parquet({quoted(pattern(file))}) row").fetchall()
    except duckdb.OutOfMemoryException:
        return None
    except duckdb.Error as error:
        text = str(error).strip().partition("\n")[0]
        return None if any(word in text for word in _NOT_DAMAGE) else text
    return None
