"""Delete retired files that no reader may open, and leftovers of killed processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

from llmops_sdk.store.files._leases import oldest_reader
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.files._manifest import EMPTY_SEGMENT, MANIFEST, VIEWS_FILE, Manifest, RetiredFile, commit
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["GRACE", "sweep"]

GRACE = 60.0
"""Seconds for which retired files stay for readers without a lease, such as other tools."""
_ABANDONED = 3_600.0
_FOLDER = "import"
_LOCK = "import.lock"


def sweep(store: Path, manifest: Manifest, *, grace: float = GRACE) -> Manifest:
    """Delete retired files that no living reader may open, and half-written files.

    Args:
        store: The store's folder; the caller holds its lock.
        manifest: The current manifest.
        grace: Seconds to keep each file in any case.
    """
    _remove_abandoned(store, manifest)
    gone = {**manifest.covered, **manifest.trash}
    if not gone:
        return manifest
    oldest = oldest_reader(store)
    removed: set[str] = set()
    for name, entry in gone.items():
        if _is_over(entry, grace) and (oldest is None or entry.generation <= oldest):
            (store / name).unlink(missing_ok=True)
            removed.add(name)
    return commit(store, manifest.without(frozenset(removed))) if removed else manifest


def _is_over(entry: RetiredFile, grace: float) -> bool:
    # Absolute: a clock that was set back must not keep files for years.
    return abs(time.time() - entry.time) >= grace


def _remove_abandoned(store: Path, manifest: Manifest) -> None:
    """Delete files of killed compactors; the caller holds the lock, so no compactor runs."""
    known = {file.name for file in manifest.files} | manifest.trash.keys()
    for stream in RECORD_STREAMS.values():
        folder = store / stream.parquet_folder
        if not folder.is_dir():
            continue
        for file in folder.glob("*.parquet"):
            if f"{stream.parquet_folder}/{file.name}" not in known:
                file.unlink(missing_ok=True)
        for file in folder.glob(".*.parquet"):
            file.unlink(missing_ok=True)
    for stream in RECORD_STREAMS.values():
        for file in (store / stream.segment_folder).glob(f".{EMPTY_SEGMENT}.*"):
            file.unlink(missing_ok=True)
    for file in store.glob(f".{VIEWS_FILE}.*"):
        file.unlink(missing_ok=True)
    for file in (*store.glob(f".{MANIFEST}.*"), *store.glob("..gitignore.*")):
        # A process may be creating the store right now, without the lock.
        with contextlib.suppress(FileNotFoundError):
            if abs(time.time() - file.stat().st_mtime) > _ABANDONED:
                file.unlink()


def sweep_imports(store: Path) -> None:
    """Delete the leftovers of a killed import, unless an import is running."""
    if not (store / _FOLDER).is_dir():
        return
    with os.fdopen(os.open(store / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        if try_lock(lock.fileno()):
            shutil.rmtree(store / _FOLDER, ignore_errors=True)
