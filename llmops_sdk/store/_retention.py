"""What keeps a store bounded: the oldest sealed segments and blobs go, and that they went is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store._blob_files import Blob, blobs_of, remove_abandoned, remove_blob
from llmops_sdk.store._layout import segments_of
from llmops_sdk.store._locks import try_lock

__all__ = ["Dropped", "drop_old"]


_MAX_BLOBS = 65_536  # files, so that looking at all of them stays quick


@dataclass(frozen=True, slots=True)
class Dropped:
    """A segment or a blob that was removed."""

    what: str
    """"segment" or "blob"."""
    reason: str
    """"retention", "max_bytes" or "max_files"."""
    count: int
    """Lines of a segment; 1 for a blob."""
    bytes: int


def drop_old(store: Path, *, max_bytes: int, older_than: float | None, max_blobs: int = _MAX_BLOBS) -> list[Dropped]:
    """Remove sealed segments and blobs: those last used before `older_than`, then the oldest until the rest fits.

    A segment whose writer lives is never removed, however old or large: its lock is held. A blob is as old as the
    latest span that refers to it, so that one goes not before the other.

    Args:
        store: The store's folder.
        max_bytes: How many bytes all segments and blobs may have together.
        older_than: Seconds since the epoch, or None for no bound on age.
        max_blobs: How many blobs there may be.
    """
    try:
        segments = segments_of(store)
    except StoreError:
        # A newer version writes here too; what it keeps is for it to decide.
        return []
    remove_abandoned(store)
    blobs = blobs_of(store)
    aged: list[tuple[float, int, Path | Blob]] = [(blob.used, blob.size, blob) for blob in blobs]
    for segment in segments:
        try:
            state = segment.path.stat()
        except FileNotFoundError:
            continue
        aged.append((state.st_mtime, state.st_size, segment.path))
    aged.sort(key=itemgetter(0))
    total = sum(size for _, size, _ in aged)
    too_many = len(blobs) - max_blobs
    dropped: list[Dropped] = []
    for used, size, what in aged:
        expired = older_than is not None and used < older_than
        crowded = too_many > 0 and isinstance(what, Blob)
        if not expired and not crowded and total <= max_bytes:
            if too_many <= 0:
                break
            continue
        count = _remove_blob(what) if isinstance(what, Blob) else _remove_if_sealed(what)
        if count is not None:
            total -= size
            too_many -= isinstance(what, Blob)
            reason = "retention" if expired else "max_bytes" if total + size > max_bytes else "max_files"
            dropped.append(Dropped("blob" if isinstance(what, Blob) else "segment", reason, count, size))
    return dropped


def _remove_blob(blob: Blob) -> int | None:
    return 1 if remove_blob(blob) else None


def _remove_if_sealed(path: Path) -> int | None:
    """How many lines went with the file, or None when it is live, or another process was faster."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not try_lock(descriptor) or os.fstat(descriptor).st_nlink == 0:
            return None
        lines = sum(1 for line in file if not line.startswith((b'{"seal":', b"\0")))
        path.unlink(missing_ok=True)
        return lines
