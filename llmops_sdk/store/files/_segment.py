"""Write a process's segments: create and lock a file, append whole lines, seal it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import orjson

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._layout import Segment, create_store
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.schema._views import SCHEMA_VERSION, SEAL, RecordStream

__all__ = ["SEAL_PREFIX", "SegmentWatcher", "SegmentWriter", "is_released", "released_segments", "seal_size"]

SEAL_PREFIX = b'{"' + SEAL.name.encode() + b'":'
"""The beginning of a segment's last line."""

_HOST = re.sub(r"[^A-Za-z0-9_]+", "_", socket.gethostname())[:40] or "host"


class SegmentWatcher(Protocol):
    """Receives the events of a writer's segments, in the writer's thread; an outbox is one."""

    def opened(self, segment: Path) -> None:
        """Handle a new segment, locked and empty."""
        ...

    def written(self, size: int) -> None:
        """Handle a write; the segment now has `size` bytes."""
        ...

    def sealed(self, segment: str, size: int) -> None:
        """Handle the end of a segment; no line follows its `size` bytes."""
        ...


class SegmentWriter:
    """Appends lines to a segment; starts a new one when the old one is large, old, deleted or torn.

    Args:
        store: The store's folder.
        stream: The stream to write.
        max_bytes: Size at which `due` returns True.
        max_seconds: Age at which it does.
        fsync: Whether to force each write to the disk.
        clock: Measures the age.
        watchers: Receive the segments' events.
    """

    def __init__(
        self,
        store: Path,
        stream: RecordStream,
        *,
        max_bytes: int,
        max_seconds: float,
        fsync: bool,
        clock: Clock,
        watchers: Sequence[SegmentWatcher] = (),
    ) -> None:
        self._store = store
        self._stream = stream
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._fsync = fsync
        self._clock = clock
        self._watchers = watchers
        self._name = ""
        self._descriptor = -1
        self._number = 0
        self._size = 0
        self._lines = 0
        self._opened = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether the next write appends to an existing segment."""
        return self._descriptor >= 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines: all of them, or none when it raises.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink == 0:
            # The file was deleted; lines written to it would vanish with the descriptor.
            self._end()
        if self._descriptor < 0:
            self._open()
        data = b"".join(lines)
        try:
            _write_all(self._descriptor, data)
            if self._fsync:
                os.fsync(self._descriptor)
        except OSError as error:
            self._discard_partial_batch()
            raise self._error(error) from error
        self._size += len(data)
        self._lines += len(lines)
        self._notify(lambda watcher: watcher.written(self._size))

    def due(self) -> bool:
        """Return whether the segment is large or old enough to rotate."""
        return self.is_open and (
            self._size >= self._max_bytes or self._clock.monotonic() - self._opened >= self._max_seconds
        )

    def seal(self) -> None:
        """Write the seal and close the segment, if one is open.

        Raises:
            StoreError: The seal could not be written; the segment is closed anyway.
        """
        if self._descriptor < 0:
            return
        try:
            _write_all(self._descriptor, orjson.dumps({SEAL.name: self._lines}, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            self._discard_partial_batch()
            raise self._error(error) from error
        self._end()

    def close_in_child(self) -> None:
        """Close the inherited descriptor in a forked child; the parent keeps its file and lock."""
        self._release()

    def _open(self) -> None:
        create_store(self._store)
        # Between creating and locking the file, a process that drops old segments may delete it; then try a new name.
        for _ in range(8):
            self._number += 1
            name = f"{_HOST}-{os.getpid()}-{uuid4().hex}-{self._number}.v{SCHEMA_VERSION}.ndjson"
            try:
                descriptor = os.open(
                    self._store / self._stream.segment_folder / name,
                    os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL,
                    0o600,
                )
            except OSError as error:
                raise self._error(error) from error
            try:
                locked = try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0
            except OSError as error:
                os.close(descriptor)
                raise self._error(error) from error
            if locked:
                self._descriptor, self._size, self._lines = descriptor, 0, 0
                self._opened = self._clock.monotonic()
                self._name = name
                self._notify(lambda watcher: watcher.opened(self._store / self._stream.segment_folder / self._name))
                return
            os.close(descriptor)
        raise StoreError(f"cannot lock a segment in {self._store}; is it on a network file system?")

    def _discard_partial_batch(self) -> None:
        # Cut the partial batch off, and never append to this file again: the cut may fail too.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
        self._end()

    def _end(self) -> None:
        self._release()
        self._notify(lambda watcher: watcher.sealed(self._name, self._size))

    def _notify(self, event: Callable[[SegmentWatcher], None]) -> None:
        for watcher in self._watchers:
            # The lines are in the file; a watcher's failure must not lose them.
            guarded("keeping segments for export", None, event, watcher)

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _error(self, error: OSError) -> StoreError:
        folder = self._store / self._stream.segment_folder
        return StoreError(
            f"the store {folder} cannot be written: {error.strerror}; free space, make it writable, lower [store] "
            "max_bytes, or set [store] path (or LLMOPS_STORE__PATH) to another folder",
            path=str(folder),
        )


def seal_size(descriptor: int) -> int:
    """Return the bytes of a segment's seal with its line break, or 0 when the segment has none."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 64, max(size - 64, 0))
    last = tail[:-1].rpartition(b"\n")[2]
    return len(last) + 1 if tail.endswith(b"\n") and last.startswith(SEAL_PREFIX) else 0


def is_released(descriptor: int) -> bool:
    """Return whether a segment's writer has let go of it: it is sealed, or nobody holds its lock.

    Args:
        descriptor: The open file. This takes its lock if it is free, which ends with the descriptor.
    """
    # A forked child of the writer may still hold the lock of a sealed segment.
    return seal_size(descriptor) > 0 or try_lock(descriptor)


def released_segments(segments: Iterable[Segment]) -> list[Segment]:
    """Return the segments that their writers have let go, and those that are gone: opening them fails.

    Args:
        segments: Segments that are not empty, so that a living writer has locked them.
    """
    found: list[Segment] = []
    for segment in segments:
        try:
            descriptor = open_file(segment.path, os.O_RDONLY)
        except OSError:
            found.append(segment)
            continue
        try:
            if is_released(descriptor):
                found.append(segment)
        finally:
            os.close(descriptor)
    return found


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
