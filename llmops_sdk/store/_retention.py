"""What keeps a store bounded: the oldest sealed segments go, and that they went is told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store._layout import segments_of
from llmops_sdk.store._locks import try_lock

__all__ = ["Dropped", "drop_old"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A segment that was removed."""

    reason: str
    """"retention" or "max_bytes"."""
    lines: int
    bytes: int


def drop_old(store: Path, *, max_bytes: int, older_than: float | None) -> list[Dropped]:
    """Remove sealed segments: those last written before `older_than`, then the oldest until the rest fits.

    A segment whose writer lives is never removed, however old or large: its lock is held.

    Args:
        store: The store's folder.
        max_bytes: How many bytes all segments may have together.
        older_than: Seconds since the epoch, or None for no bound on age.
    """
    try:
        segments = segments_of(store)
    except StoreError:
        # A newer version writes here too; what it keeps is for it to decide.
        return []
    aged: list[tuple[float, int, Path]] = []
    for segment in segments:
        try:
            state = segment.path.stat()
        except FileNotFoundError:
            continue
        aged.append((state.st_mtime, state.st_size, segment.path))
    aged.sort()
    total = sum(size for _, size, _ in aged)
    dropped: list[Dropped] = []
    for modified, size, path in aged:
        expired = older_than is not None and modified < older_than
        if not expired and total <= max_bytes:
            break
        lines = _remove_if_sealed(path)
        if lines is not None:
            total -= size
            dropped.append(Dropped("retention" if expired else "max_bytes", lines, size))
    return dropped


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
