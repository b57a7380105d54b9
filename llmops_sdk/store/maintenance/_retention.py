"""Keep a store within its limits: drop the oldest segments, Parquet files and blobs, and report them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._blob_files import Blob, list_blobs, remove_abandoned, remove_blob
from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._layout import Segment, list_segments
from llmops_sdk.store.files._locks import exclusive_lock, is_unlocked, try_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, commit, read_manifest
from llmops_sdk.store.files._overwrite import PRUNED
from llmops_sdk.store.files._sweep import sweep

__all__ = ["Dropped", "drop_old", "moment_ns"]


_MAX_BLOBS = 65_536  # files: listing them all stays quick


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped file."""

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
    """Drop files last used before `older_than`, then the oldest until the rest fits; return the dropped ones.

    It never drops a segment with a living writer, which holds the segment's lock. A blob is as old as the latest span
    that refers to it, so it outlives that span. Parquet files stay while another process changes the store; the next
    segment triggers another try.

    Args:
        store: The store's folder.
        max_bytes: Limit for the bytes of all files.
        older_than: Seconds since the epoch, or None for no limit on age.
        max_blobs: Limit for the number of blobs.
    """
    try:
        manifest = read_manifest(store) or Manifest()
        segments = list_segments(store, manifest.covered)
    except StoreError:
        # A newer version of the SDK writes here too and decides for itself.
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
        if isinstance(aged.what, Blob):
            count = 1 if remove_blob(aged.what) else None
        else:
            count = _remove_if_sealed(store, aged.what)
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
    """Yield the files to drop and the reasons, oldest first; a file in use counts as dropped, too."""
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
        # A live segment stays, so its size still counts.
        if not isinstance(one.what, Segment) or is_unlocked(one.what.path):
            total -= one.size
            too_many -= isinstance(one.what, Blob)
            yield one, reason


def _drop_data_files(store: Path, files: Sequence[tuple[DataFile, str]]) -> list[Dropped]:
    """Remove Parquet files from the manifest, and delete retired files."""
    try:
        with exclusive_lock(store) as acquired:
            manifest = read_manifest(store) if acquired else None
            if manifest is None:
                return []
            # Another process may have dropped some since they were listed.
            there = [(file, reason) for file, reason in files if file in manifest.files]
            if there:
                manifest = commit(store, manifest.next(time=time.time(), remove=[file for file, _ in there]))
            sweep(store, manifest)
            return [Dropped("segment", reason, file.rows, file.bytes) for file, reason in there]
    except (OSError, StoreError):
        return []  # not writable now: the next segment triggers another try


def _remove_if_sealed(store: Path, segment: Segment) -> int | None:
    """Delete a segment without a living writer; return its lines, or None when it was left or already gone."""
    try:
        descriptor = open_file(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not try_lock(descriptor) or os.fstat(descriptor).st_nlink == 0:
            return None
        # Compacted since it was listed: its lines are in a Parquet file now.
        if segment.name in (read_manifest(store) or Manifest()).covered:
            return None
        lines = sum(1 for line in file if not line.startswith((b'{"seal":', PRUNED, b"\0")))
        segment.path.unlink(missing_ok=True)
        return lines


def moment_ns(moment: timedelta | datetime) -> int:
    """Return an age or a time in nanoseconds since the epoch; a time without a zone is in UTC."""
    if isinstance(moment, timedelta):
        return time.time_ns() - int(moment.total_seconds() * 1e9)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1e9)
