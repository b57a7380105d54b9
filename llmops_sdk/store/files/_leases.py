"""Who reads: a reader holds a lock on a file named by its generation, so that no file goes that it may still open."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from uuid import uuid4

from llmops_sdk.store.files._locks import try_lock

__all__ = ["ReaderLease", "latest_reader", "oldest_reader"]

FOLDER = "readers"
_TRIES = 8
_LONGEST = 86_400.0
"""Seconds: a connection that somebody forgot must not keep files for ever."""


class ReaderLease:
    """While it is held, every file that the manifest of `generation` names stays.

    Args:
        store: The store's folder. Where it cannot be written there is no lease: files then go after their grace.
        generation: The manifest's.
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
                # Between the two somebody took it for that of a dead reader.
                os.close(self._descriptor)
                self._descriptor = -1

    def release(self) -> None:
        """End it."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            # A forked child has a copy of the descriptor; the file is its parent's.
            if self._owner == os.getpid():
                self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
        self._descriptor = -1


def oldest_reader(store: Path) -> int | None:
    """The generation of the oldest living reader, or None when there is none; what the dead left is removed.

    Args:
        store: The store's folder.
    """
    generations: list[int] = []
    try:
        entries = list(os.scandir(store / FOLDER))
    except FileNotFoundError:
        return None
    for entry in entries:
        number = entry.name.partition("-")[0]
        if not number.isdecimal():
            continue
        try:
            descriptor = os.open(entry.path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            expired = abs(time.time() - os.fstat(descriptor).st_mtime) > _LONGEST
            if expired or try_lock(descriptor):
                Path(entry.path).unlink(missing_ok=True)
            else:
                generations.append(int(number))
        finally:
            os.close(descriptor)
    return min(generations, default=None)


def latest_reader(store: Path) -> int:
    """The highest generation that a reader, dead or living, has left its name for; 0 where there is none.

    Args:
        store: The store's folder.
    """
    try:
        numbers = [entry.name.partition("-")[0] for entry in os.scandir(store / FOLDER)]
    except OSError:
        return 0
    return max((int(number) for number in numbers if number.isdecimal()), default=0)
