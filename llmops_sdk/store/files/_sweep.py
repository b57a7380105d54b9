"""Delete retired files that no reader may open, and leftovers of killed processes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from llmops_sdk.store.files._folders import open_file, remove_file
from llmops_sdk.store.files._leases import oldest_reader
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.files._manifest import EMPTY_SEGMENT, MANIFEST, VIEWS_FILE, Manifest, RetiredFile, commit
from llmops_sdk.store.files._names import DATA_FILE
from llmops_sdk.store.files._spill import sweep_spills
from llmops_sdk.store.schema._views import RECORD_STREAMS

__all__ = ["GRACE", "IMPORT_FOLDER", "IMPORT_LOCK", "remove_imports", "remove_leftovers", "sweep", "sweep_imports"]

GRACE = 60.0
"""Seconds for which retired files stay for readers without a lease, such as other tools."""
_ABANDONED = 3_600.0
IMPORT_FOLDER = "import"
IMPORT_LOCK = "import.lock"
_HALF_DATA_FILE = re.compile(rf"\.{DATA_FILE.pattern}")
_HALF_SEGMENT = re.compile(rf"\.{re.escape(EMPTY_SEGMENT)}\.[0-9a-f]{{32}}")
_HALF_FILE = re.compile(rf"\.({re.escape(VIEWS_FILE)}|PRUNE\.json)\.[0-9a-f]{{32}}(\.wal|\.tmp)?")
_HALF_CREATED = re.compile(rf"\.({re.escape(MANIFEST)}|\.gitignore)\.[0-9a-f]{{32}}")
_IMPORT = re.compile(r"[0-9a-f]{32}")


def sweep(store: Path, manifest: Manifest, *, grace: float = GRACE) -> Manifest:
    """Delete retired files that no living reader may open, and half-written files.

    Args:
        store: The store's folder; the caller holds its lock.
        manifest: The current manifest.
        grace: Seconds to keep each file in any case.
    """
    remove_leftovers(store)
    gone = {**manifest.covered, **manifest.trash}
    if not gone:
        return manifest
    oldest = oldest_reader(store)
    removed: set[str] = set()
    for name, entry in gone.items():
        if _is_over(entry, grace) and (oldest is None or entry.generation <= oldest):
            remove_file(store, name)
            removed.add(name)
    return commit(store, manifest.without(frozenset(removed))) if removed else manifest


def _is_over(entry: RetiredFile, grace: float) -> bool:
    # Absolute: a clock that was set back must not keep files for years.
    return abs(time.time() - entry.time) >= grace


def remove_leftovers(store: Path) -> None:
    """Delete half-written and temporary files of killed processes.

    Args:
        store: The store's folder; the caller holds its lock, so no compactor or prune runs.
    """
    sweep_spills(store)
    for stream in RECORD_STREAMS.values():
        _remove_matching(store / stream.parquet_folder, _HALF_DATA_FILE)
        _remove_matching(store / stream.segment_folder, _HALF_SEGMENT)
    _remove_matching(store, _HALF_FILE)
    # A process may be creating the store right now, without the lock.
    _remove_matching(store, _HALF_CREATED, older_than=_ABANDONED)


def _remove_matching(folder: Path, names: re.Pattern[str], *, older_than: float = 0.0) -> None:
    """Delete files by name: the folder may hold files of others."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            if (
                names.fullmatch(entry.name)
                and entry.is_file(follow_symlinks=False)
                and abs(time.time() - entry.stat(follow_symlinks=False).st_mtime) >= older_than
            ):
                Path(entry.path).unlink()


def sweep_imports(store: Path) -> None:
    """Delete the leftovers of a killed import, unless an import is running.

    Args:
        store: The store's folder.
    """
    if not (store / IMPORT_FOLDER).is_dir():
        return
    with os.fdopen(open_file(store / IMPORT_LOCK, os.O_RDWR | os.O_CREAT), "wb") as lock:
        if try_lock(lock.fileno()):
            remove_imports(store)


def remove_imports(store: Path) -> None:
    """Delete the folders of imports. The caller holds the lock of imports.

    Args:
        store: The store's folder.
    """
    folder = store / IMPORT_FOLDER
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if _IMPORT.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
