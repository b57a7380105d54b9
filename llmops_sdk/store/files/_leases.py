"""Reader leases: a reader locks a file named by its generation, which keeps every file it may open on disk."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from uuid import uuid4

from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._locks import try_lock

__all__ = ["ReaderLease", "latest_reader", "oldest_reader"]

FOLDER = "readers"
_TRIES = 8
_LEASE = re.compile(r"([0-9]{1,16})-[0-9a-f]{32}")
_LONGEST = 86_400.0
"""Seconds after which a forgotten connection no longer keeps files."""


class ReaderLease:
    """Keeps every file that one generation of the manifest names, until it is released.

    Args:
        store: The store's folder. A store that cannot be written has no leases; its files stay for the grace period.
        generation: The manifest's generation.
    """

    def __init__(self, store: Path, generation: int) -> None:
        self._file = store / FOLDER / str(generation)
        self._descriptor = -1
        self._owner = os.getpid()
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            for _ in range(_TRIES):
                self._file = self._file.with_name(f"{generation}-{uuid4().hex}")
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                if try_lock(self._descriptor) and os.fstat(self._descriptor).st_nlink:
                    break
                # Between open and lock, a sweep took the file for a dead reader's.
                os.close(self._descriptor)
                self._descriptor = -1

    def release(self) -> None:
        """Release the lease."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            # A forked child has a copy of the descriptor; the file belongs to the parent.
            if self._owner == os.getpid():
                self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
        self._descriptor = -1


def oldest_reader(store: Path) -> int | None:
    """Return the generation of the oldest living reader, or None; remove the leases of dead readers.

    Args:
        store: The store's folder.
    """
    generations: list[int] = []
    try:
        entries = list(os.scandir(store / FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return None
    for entry in entries:
        number = _generation(entry.name)
        if number is None:
            continue
        try:
            descriptor = open_file(Path(entry.path), os.O_RDWR)
        except OSError:
            continue  # gone, or no lease
        try:
            expired = abs(time.time() - os.fstat(descriptor).st_mtime) > _LONGEST
            if expired or try_lock(descriptor):
                Path(entry.path).unlink(missing_ok=True)
            else:
                generations.append(number)
        finally:
            os.close(descriptor)
    return min(generations, default=None)


def latest_reader(store: Path) -> int:
    """Return the highest generation of any lease, of living or dead readers; 0 without leases.

    Args:
        store: The store's folder.
    """
    try:
        numbers = [_generation(entry.name) for entry in os.scandir(store / FOLDER)]
    except OSError:
        return 0
    return max((number for number in numbers if number is not None), default=0)


def _generation(name: str) -> int | None:
    match = _LEASE.fullmatch(name)
    return int(match[1]) if match else None
