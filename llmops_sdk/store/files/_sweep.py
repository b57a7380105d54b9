"""Removing what no reader reads any more, and what killed processes left."""

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
"""Seconds for which what is read no more stays, for readers without a lease: other tools, a store they cannot write."""
_ABANDONED = 3_600.0
_FOLDER = "import"
_LOCK = "import.lock"


def sweep(store: Path, manifest: Manifest, *, grace: float = GRACE) -> Manifest:
    """Remove what the manifest says to be gone and no living reader may open, and half-written files.

    Args:
        store: The store's folder, whose lock the caller holds.
        manifest: As it is.
        grace: Seconds that must have passed in any case.
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
    # The distance, so that a clock that was set back keeps nothing for years.
    return abs(time.time() - entry.time) >= grace


def _remove_abandoned(store: Path, manifest: Manifest) -> None:
    """Files of compactors that were killed: the caller is the only one that may make any now."""
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
        # Not that of a process that makes the store at this moment, without the lock; it may be gone again.
        with contextlib.suppress(FileNotFoundError):
            if abs(time.time() - file.stat().st_mtime) > _ABANDONED:
                file.unlink()


def sweep_imports(store: Path) -> None:
    """Remove what a killed import left, unless one is under way."""
    if not (store / _FOLDER).is_dir():
        return
    with os.fdopen(os.open(store / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        if try_lock(lock.fileno()):
            shutil.rmtree(store / _FOLDER, ignore_errors=True)
