"""Rebuild a lost manifest from the provenance in the Parquet files."""
# ruff: noqa: S608 - the statement has nothing but the quoted name of a file in it

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._provenance import KEY
from llmops_sdk.store.duck._sql import duckdb, open_database, pattern, quoted
from llmops_sdk.store.files._layout import create_store, list_data_files
from llmops_sdk.store.files._leases import latest_reader
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, RetiredFile, commit, read_manifest

__all__ = ["rebuild_manifest"]

_WAIT = 60.0


def rebuild_manifest(store: Path) -> Manifest:
    """Write a new manifest for a store that has Parquet files but no manifest.

    Args:
        store: The store's folder.

    Raises:
        StoreError: A file is foreign or unreadable, or the folder cannot be written.
    """
    with exclusive_lock(store, _WAIT) as acquired:
        there = read_manifest(store)
        if there is not None:
            return there
        if not acquired:
            raise StoreError(f"{store} is being changed by another process: try again later", path=str(store))
        origins = {f"{file.parent.name}/{file.name}": _provenance(file) for file in list_data_files(store)}
        replaced = {name for origin in origins.values() for name in origin["replaces"]}
        # Later than the generation of any living reader, so that no file it reads is removed.
        generation = max((origin["generation"] for origin in origins.values()), default=0)
        generation = max(generation, latest_reader(store)) + 1
        now = RetiredFile(generation, time.time())
        files = tuple(
            DataFile(
                name=name,
                stream=origin["stream"],
                version=origin["version"],
                level=origin["level"],
                rows=origin["rows"],
                bytes=(store / name).stat().st_size,
                written=origin["written"],
                thinned=origin["thinned"],
            )
            for name, origin in sorted(origins.items())
            if name not in replaced
        )
        held = {name: now for origin in origins.values() for name in origin["holds"] if (store / name).exists()}
        trash = dict.fromkeys(replaced & origins.keys(), now)
        return commit(store, Manifest(generation=generation, files=files, covered=held, trash=trash))


def _provenance(file: Path) -> dict[str, Any]:
    name = quoted(pattern(file))
    try:
        with open_database(":memory:") as connection:
            said = dict(connection.execute(f"SELECT key, value FROM parquet_kv_metadata({name})").fetchall())
            rows = connection.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({name})").fetchone()
        return {**orjson.loads(said[KEY.encode()]), "rows": int(rows[0]) if rows else 0}
    except (duckdb.Error, KeyError, ValueError) as error:
        raise StoreError(
            f"MANIFEST.json of {file.parents[1]} is missing and cannot be rebuilt: {file.name} is not a Parquet "
            f"file of a store ({error}); move that file away and try again",
            path=str(file),
        ) from error


def ensure_manifest(store: Path) -> Manifest:
    """Return the store's manifest; create it when missing. The caller must not hold the store's lock.

    Args:
        store: The store's folder.

    Raises:
        StoreError: The store cannot be read or written, or a newer version of the SDK wrote it.
    """
    manifest = create_store(store)
    if read_manifest(store) is not None:
        return manifest
    return rebuild_manifest(store)
