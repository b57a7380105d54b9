"""Private folders for temporary files inside the store: what does not fit into memory, and databases in the making.

Each process has one, `tmp/PID-TOKEN`, and holds its lock. The next compaction or prune removes those of dead processes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
from pathlib import Path
from uuid import uuid4

from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.files._manifest import MANIFEST

__all__ = ["SPILL_FOLDER", "spill_folder", "sweep_spills"]

SPILL_FOLDER = "tmp"
_NAME = re.compile(r"[0-9]+-[0-9a-f]{32}")
_TRIES = 8

_held: dict[Path, tuple[Path, int]] = {}
"""The folder and its locked descriptor, by store."""


def spill_folder(store: Path) -> Path | None:
    """Return this process's folder for temporary files, or None where there is no store or it cannot be written.

    Args:
        store: The store's folder.
    """
    held = _held.get(store)
    if held is not None and held[0].exists():
        return held[0]
    if not (store / MANIFEST).exists():
        return None
    with contextlib.suppress(OSError):
        (store / SPILL_FOLDER).mkdir(mode=0o700, exist_ok=True)
        for _ in range(_TRIES):
            folder = store / SPILL_FOLDER / f"{os.getpid()}-{uuid4().hex}"
            folder.mkdir(mode=0o700)
            descriptor = os.open(folder, os.O_RDONLY)
            # Between creating and locking it, a sweep may take it for a dead process's.
            if try_lock(descriptor) and folder.exists():
                _held[store] = folder, descriptor
                return folder
            os.close(descriptor)
    return None


def sweep_spills(store: Path) -> None:
    """Remove the temporary files of dead processes.

    Args:
        store: The store's folder.
    """
    try:
        entries = list(os.scandir(store / SPILL_FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if not _NAME.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if try_lock(descriptor):
                    shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _remove_held() -> None:
    for folder, descriptor in _held.values():
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


def _forget_in_child() -> None:
    """Close the parent's folders in a forked child, so that they end with the parent."""
    for _, descriptor in _held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


atexit.register(_remove_held)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
