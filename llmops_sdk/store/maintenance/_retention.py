"""What keeps a store bounded: the oldest segments, Parquet files and blobs go, and that they went is told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._blob_files import Blob, list_blobs, remove_abandoned, remove_blob
from llmops_sdk.store.files._layout import Segment, list_segments
from llmops_sdk.store.files._locks import exclusive_lock, try_lock, unlock
from llmops_sdk.store.files._manifest import DataFile, Manifest, commit, read_manifest
from llmops_sdk.store.files._overwrite import PRUNED
from llmops_sdk.store.files._sweep import sweep

__all__ = ["Dropped", "drop_old"]


_MAX_BLOBS = 65_536  # files, so that looking at all of them stays quick


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file that was removed."""

    what: str
    """"segment" for lines, compacted or not, or "blob"."""
    reason: str
    """"retention", "max_bytes" or "max_files"."""
    count: int
    """Lines of a segment; 1 for a blob."""
    bytes: int


_Removable: TypeAlias = Segment | Blob | DataFile


@dataclass(frozen=True, slots=True)
class _Candidate:
    used: float
    size: int
    what: _Removable


def drop_old(store: Path, *, max_bytes: int, older_than: float | None, max_blobs: int = _MAX_BLOBS) -> list[Dropped]:
    """Remove segments, Parquet files and blobs: those last used before `older_than`, then the oldest until all fits.

    A segment whose writer lives is never removed, however old or large: its lock is held. A blob is as old as the
    latest span that refers to it, so that one goes not before the other. Parquet files stay while another process
    changes the store, which is looked at again with the next segment.

    Args:
        store: The store's folder.
        max_bytes: How many bytes all of them may have together.
        older_than: Seconds since the epoch, or None for no bound on age.
        max_blobs: How many blobs there may be.
    """
    try:
        manifest = read_manifest(store) or Manifest()
        segments = list_segments(store, manifest.covered)
    except StoreError:
        # A newer version writes here too; what it keeps is for it to decide.
        return []
    remove_abandoned(store)
    blobs = list_blobs(store)
    chosen = _select_for_removal(
        _candidates(segments, manifest.files, blobs),
        max_bytes=max_bytes,
        older_than=older_than,
        too_many=len(blobs) - max_blobs,
    )
    dropped: list[Dropped] = []
    files: list[tuple[DataFile, str]] = []
    for aged, reason in chosen:
        if isinstance(aged.what, DataFile):
            files.append((aged.what, reason))
            continue
        count = _remove_blob(aged.what) if isinstance(aged.what, Blob) else _remove_if_sealed(store, aged.what)
        if count is not None:
            dropped.append(Dropped("blob" if isinstance(aged.what, Blob) else "segment", reason, count, aged.size))
    if files or manifest.covered or manifest.trash:
        dropped += _drop_data_files(store, files)
    return dropped


def _candidates(segments: Iterable[Segment], files: Iterable[DataFile], blobs: Iterable[Blob]) -> list[_Candidate]:
    aged = [_Candidate(blob.used, blob.size, blob) for blob in blobs]
    aged += [_Candidate(file.written, file.bytes, file) for file in files]
    for segment in segments:
        with suppress(FileNotFoundError):
            state = segment.path.stat()
            aged.append(_Candidate(state.st_mtime, state.st_size, segment))
    return sorted(aged, key=attrgetter("used"))


def _select_for_removal(
    aged: Sequence[_Candidate], *, max_bytes: int, older_than: float | None, too_many: int
) -> Iterator[tuple[_Candidate, str]]:
    """What is to go, the oldest first, and why; it counts as gone, also where it turns out to be in use."""
    total = sum(one.size for one in aged)
    for one in aged:
        if older_than is not None and one.used < older_than:
            reason = "retention"
        elif total > max_bytes:
            reason = "max_bytes"
        elif too_many > 0 and isinstance(one.what, Blob):
            reason = "max_files"
        elif too_many > 0:
            continue
        else:
            break
        # A live segment is left where it is, so its size stays.
        if not isinstance(one.what, Segment) or _is_free(one.what):
            total -= one.size
            too_many -= isinstance(one.what, Blob)
            yield one, reason


def _drop_data_files(store: Path, files: Sequence[tuple[DataFile, str]]) -> list[Dropped]:
    """Take Parquet files out of the manifest, and remove what nobody reads any more."""
    try:
        with exclusive_lock(store) as acquired:
            manifest = read_manifest(store) if acquired else None
            if manifest is None:
                return []
            # Another may have been faster since the list was made.
            there = [(file, reason) for file, reason in files if file in manifest.files]
            if there:
                manifest = commit(store, manifest.next(time=time.time(), remove=[file for file, _ in there]))
            sweep(store, manifest)
            return [Dropped("segment", reason, file.rows, file.bytes) for file, reason in there]
    except (OSError, StoreError):
        return []  # it cannot be written now: the next segment comes by here again


def _remove_blob(blob: Blob) -> int | None:
    return 1 if remove_blob(blob) else None


def _is_free(segment: Segment) -> bool:
    try:
        descriptor = os.open(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        free = try_lock(descriptor)
        if free:
            unlock(descriptor)
        return free
    finally:
        os.close(descriptor)


def _remove_if_sealed(store: Path, segment: Segment) -> int | None:
    """How many lines went with the file, or None when it is live, or another process was faster."""
    try:
        descriptor = os.open(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not try_lock(descriptor) or os.fstat(descriptor).st_nlink == 0:
            return None
        # Compacted since it was listed: its lines are in a file now, which is the one to be dropped.
        if segment.name in (read_manifest(store) or Manifest()).covered:
            return None
        lines = sum(1 for line in file if not line.startswith((b'{"seal":', PRUNED, b"\0")))
        segment.path.unlink(missing_ok=True)
        return lines
