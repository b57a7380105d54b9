"""The content that is too large for a line: a file for each, named by its SHA-256."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from llmops_sdk.store.files._layout import create_file
from llmops_sdk.tracing.capture import _blobs

__all__ = ["Blob", "BlobFiles", "list_blobs", "remove_abandoned", "remove_blob"]

_ABANDONED = 3_600.0  # seconds after which what a killed process was writing is removed


class Blob(NamedTuple):
    """A file of the folder; `used` is when a span last came to refer to it, in seconds since the epoch."""

    path: Path
    used: float
    size: int


class BlobFiles:
    """Writes the content that spans refer to.

    Args:
        store: The store's folder.
        fsync: Whether each file is forced to the disk.
    """

    def __init__(self, store: Path, *, fsync: bool) -> None:
        self._folder = store / _blobs.FOLDER
        self._fsync = fsync

    def write_for(self, line: bytes, losses: Counter[tuple[str, str]], lost_bytes: Counter[tuple[str, str]]) -> None:
        """Write what a span's line refers to; content that is there already is only marked as used.

        Args:
            line: The span as it will be written.
            losses: Where content that could not be written is counted; the span is kept all the same.
            lost_bytes: And how much it was.
        """
        if not _blobs.has_ready():
            return
        for name in dict.fromkeys(_blobs.REFERENCE.findall(line)):
            content = _blobs.take(name.decode())
            if content is None:
                continue
            try:
                self._write(self._folder / name.decode(), content)
            except OSError:
                losses["blob", "not_written"] += 1
                lost_bytes["blob", "not_written"] += len(content)

    def _write(self, file: Path, content: bytes) -> None:
        try:
            os.utime(file)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(file, content, fsync=self._fsync)


def list_blobs(store: Path) -> list[Blob]:
    """Every blob of the store."""
    return [
        Blob(Path(entry.path), state.st_mtime, state.st_size)
        for entry, state in _entries(store)
        if not entry.name.startswith(".")
    ]


def remove_abandoned(store: Path) -> None:
    """Remove what killed processes left half written."""
    for entry, state in _entries(store):
        if entry.name.startswith(".") and state.st_mtime < time.time() - _ABANDONED:
            Path(entry.path).unlink(missing_ok=True)


def _entries(store: Path) -> list[tuple[os.DirEntry[str], os.stat_result]]:
    found: list[tuple[os.DirEntry[str], os.stat_result]] = []
    try:
        entries = list(os.scandir(store / _blobs.FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return found
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            found.append((entry, entry.stat(follow_symlinks=False)))
    return found


def remove_blob(blob: Blob) -> bool:
    """Remove it, unless a span has come to refer to it meanwhile; whether it is gone by this."""
    try:
        if blob.path.stat().st_mtime != blob.used:
            return False
        blob.path.unlink()
    except FileNotFoundError:
        return False
    return True
