"""Store content that is too large for a line in files named by their SHA-256."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from llmops_sdk._util._private_files import create_file
from llmops_sdk.store.files._names import BLOB
from llmops_sdk.tracing.capture import _blobs

__all__ = ["Blob", "BlobFiles", "list_blobs", "remove_abandoned", "remove_blob"]

_ABANDONED = 3_600.0  # seconds after which a half-written file is removed
_HALF = re.compile(rf"\.{BLOB.pattern}\.[0-9a-f]{{32}}")


class Blob(NamedTuple):
    """A blob file; `used` is the time of the latest reference to it, in seconds since the epoch."""

    path: Path
    used: float
    size: int


class BlobFiles:
    """Writes the blobs that spans refer to.

    Args:
        store: The store's folder.
        fsync: Whether to force each file to the disk.
    """

    def __init__(self, store: Path, *, fsync: bool) -> None:
        self._folder = store / _blobs.FOLDER
        self._fsync = fsync

    def write_for(self, line: bytes, losses: Counter[tuple[str, str]], lost_bytes: Counter[tuple[str, str]]) -> None:
        """Write the blobs that a span's line refers to; mark an existing blob as used.

        Args:
            line: The span's line.
            losses: Counts blobs that could not be written; the span itself is still written.
            lost_bytes: Counts their bytes.
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
            os.utime(file, follow_symlinks=False)
        except FileNotFoundError:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            create_file(file, content, fsync=self._fsync)


def list_blobs(store: Path) -> list[Blob]:
    """Return every blob of the store."""
    return [
        Blob(Path(entry.path), state.st_mtime, state.st_size)
        for entry, state in _entries(store)
        if BLOB.fullmatch(entry.name)
    ]


def remove_abandoned(store: Path) -> None:
    """Remove files that killed processes left half-written."""
    for entry, state in _entries(store):
        if _HALF.fullmatch(entry.name) and state.st_mtime < time.time() - _ABANDONED:
            Path(entry.path).unlink(missing_ok=True)


def _entries(store: Path) -> list[tuple[os.DirEntry[str], os.stat_result]]:
    found: list[tuple[os.DirEntry[str], os.stat_result]] = []
    try:
        entries = list(os.scandir(store / _blobs.FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return found
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if entry.is_file(follow_symlinks=False):
                found.append((entry, entry.stat(follow_symlinks=False)))
    return found


def remove_blob(blob: Blob) -> bool:
    """Remove a blob unless a span has referred to it since; return whether this call removed it."""
    try:
        if blob.path.lstat().st_mtime != blob.used:
            return False
        blob.path.unlink()
    except FileNotFoundError:
        return False
    return True
