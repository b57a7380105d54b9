"""One process's segment of one stream: made new, locked, appended to in whole lines, sealed."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import orjson

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.schema._views import SCHEMA_VERSION, SEAL, RecordStream

__all__ = ["SegmentWatcher", "SegmentWriter"]

_HOST = re.sub(r"[^A-Za-z0-9_]+", "_", socket.gethostname())[:40] or "host"


class SegmentWatcher(Protocol):
    """Told of each segment of a writer, in the writer's thread: an outbox."""

    def opened(self, segment: Path) -> None:
        """It is there, locked and empty."""
        ...

    def written(self, size: int) -> None:
        """It has so many bytes now."""
        ...

    def sealed(self, segment: str, size: int) -> None:
        """No line comes after these bytes."""
        ...


class SegmentWriter:
    """Appends to a segment of its own, and begins a new one when that is large, old, gone or torn.

    Args:
        store: The store's folder.
        stream: Which stream.
        max_bytes: Size at which the next write begins a new segment.
        max_seconds: Age at which it does.
        fsync: Whether each write is forced to the disk.
        clock: Tells the age.
        watchers: Told of each segment.
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
        """Whether there is a segment that the next write may append to."""
        return self._descriptor >= 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Write whole lines; all of them are in the file afterwards, or, when it raises, none.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink == 0:
            # Somebody removed the file: what is written to it would be gone with its descriptor.
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
        """Whether the segment is large or old enough for a new one to begin."""
        return self.is_open and (
            self._size >= self._max_bytes or self._clock.monotonic() - self._opened >= self._max_seconds
        )

    def seal(self) -> None:
        """Write the last line and let go of the segment; without one, nothing.

        Raises:
            StoreError: The line could not be written; the segment is let go all the same.
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
        """In a forked child: close the inherited descriptor; the parent's file and its lock stay the parent's."""
        self._release()

    def _open(self) -> None:
        create_store(self._store)
        # A name of one's own, and a lock before the first line. Between the two another process that drops old
        # segments could take it; then there is a next name.
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
        raise StoreError(f"no segment could be locked in {self._store}: is it on a network file system?")

    def _discard_partial_batch(self) -> None:
        # What was written of a batch is cut off, so that a batch is there whole or not at all; and nothing is appended
        # to this file again, since the cut may fail too.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
        self._end()

    def _end(self) -> None:
        self._release()
        self._notify(lambda watcher: watcher.sealed(self._name, self._size))

    def _notify(self, event: Callable[[SegmentWatcher], None]) -> None:
        for watcher in self._watchers:
            # The lines are in the file: what a watcher cannot do takes none of them away.
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


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
