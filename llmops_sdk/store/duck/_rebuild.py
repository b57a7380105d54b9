"""Take Parquet files into the manifest that it does not name: all of them when it is lost, some in a copy of a store.

A copy of a store in use may have an older manifest than its files. The metadata of each file says which segments and
files it stands for, so no row is lost or read twice.
"""
# ruff: noqa: S608 - the statement has nothing but the quoted name of a file in it

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.duck._provenance import KEY, FileProvenance, decode
from llmops_sdk.store.duck._sql import duckdb, open_database, pattern, quoted
from llmops_sdk.store.files._damaged import set_aside
from llmops_sdk.store.files._layout import create_store, unknown_files
from llmops_sdk.store.files._leases import latest_reader
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, RetiredFile, commit, read_manifest

__all__ = ["adopt_files", "adopt_for_reading", "ensure_manifest", "read_provenance", "rebuild_manifest"]

_WAIT = 60.0


def rebuild_manifest(store: Path) -> Manifest:
    """Write a new manifest for a store that has Parquet files but no manifest.

    Args:
        store: The store's folder.

    Raises:
        StoreError: The folder cannot be written.
    """
    with exclusive_lock(store, _WAIT) as acquired:
        there = read_manifest(store)
        if there is not None:
            return there
        if not acquired:
            raise StoreError(f"{store} is being changed by another process: try again later", path=str(store))
        return commit(store, _with_unknown_files(store, Manifest(), aside=True))


def adopt_files(store: Path, manifest: Manifest) -> Manifest:
    """Take unknown Parquet files into the manifest; return the manifest. The caller must hold the store's lock.

    Args:
        store: The store's folder.
        manifest: The current manifest.
    """
    if not unknown_files(store, manifest):
        return manifest
    return commit(store, _with_unknown_files(store, manifest, aside=True))


def adopt_for_reading(store: Path, manifest: Manifest) -> Manifest:
    """Take unknown Parquet files into the manifest, on disk if this process can; return the manifest.

    Args:
        store: The store's folder.
        manifest: The manifest that was read.
    """
    if not unknown_files(store, manifest):
        return manifest
    try:
        with exclusive_lock(store) as acquired:
            # Another process changes the store: the file is its newest, and the old manifest is complete without it.
            latest = read_manifest(store)
            return adopt_files(store, latest or manifest) if acquired else latest or manifest
    except (OSError, StoreError):
        # A store that cannot be written, such as a backup.
        return _with_unknown_files(store, manifest, aside=False)


def _with_unknown_files(store: Path, manifest: Manifest, *, aside: bool) -> Manifest:
    origins: dict[str, tuple[FileProvenance, int]] = {}
    with open_database(":memory:") as connection:
        for name in unknown_files(store, manifest):
            try:
                origins[name] = read_provenance(connection, store / name)
            except FileNotFoundError:
                continue
            except ValueError as error:
                if aside:
                    set_aside(store, name, str(error), rows=None)
        for file in manifest.files:
            # Of a known file that is damaged or missing, nothing can be learned; readers report it.
            with contextlib.suppress(ValueError, FileNotFoundError):
                origins[file.name] = read_provenance(connection, store / file.name)
    replaced = {name for origin, _ in origins.values() for name in origin.replaces}
    # Later than the generation of any living reader, so that no file it reads is removed.
    generation = max((origin.generation for origin, _ in origins.values()), default=0)
    generation = max(generation, manifest.generation, latest_reader(store)) + 1
    now = RetiredFile(generation, time.time())
    listed = {file.name for file in manifest.files}
    added = [
        _data_file(store, name, *origins[name])
        for name in sorted(origins)
        if name not in listed and name not in replaced
    ]
    held = _existing(store, (name for origin, _ in origins.values() for name in origin.holds))
    return replace(
        manifest,
        generation=generation,
        files=(*(file for file in manifest.files if file.name not in replaced), *added),
        covered={**dict.fromkeys(held, now), **manifest.covered},
        trash={**dict.fromkeys(_existing(store, replaced), now), **manifest.trash},
    )


def _existing(store: Path, names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if (store / name).exists()]


def _data_file(store: Path, name: str, origin: FileProvenance, rows: int) -> DataFile:
    return DataFile(
        name=name,
        stream=origin.stream,
        version=origin.version,
        level=origin.level,
        rows=rows,
        bytes=(store / name).stat().st_size,
        written=origin.written,
        thinned=origin.thinned,
    )


def read_provenance(connection: duckdb.DuckDBPyConnection, file: Path) -> tuple[FileProvenance, int]:
    """Return the provenance in a Parquet file, and the number of its rows.

    Args:
        connection: A connection that may read files.
        file: The file.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is no Parquet file of a store.
    """
    file.stat()
    name = quoted(pattern(file))
    try:
        said = dict(connection.execute(f"SELECT key, value FROM parquet_kv_metadata({name})").fetchall())
        rows = connection.execute(f"SELECT sum(num_rows) FROM parquet_file_metadata({name})").fetchone()
        return decode(said[KEY.encode()]), int(rows[0]) if rows else 0
    except (duckdb.Error, KeyError) as error:
        raise ValueError(f"not a Parquet file of a store ({str(error).splitlines()[0]})") from error


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
