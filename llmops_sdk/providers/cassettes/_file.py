"""A cassette's file: one recording per line, as JSON that diffs well. Several processes may read and add."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.errors import CassetteError

__all__ = ["CassetteFile", "Recording"]

Recording = dict[str, Any]
"""One line: `digest`, `request`, `seconds`, and the outcome: `response`, `chunks`, `embeddings` or `error`."""

_LOCK_SECONDS = 30.0


class CassetteFile:
    """The recordings of one file, read again when the file changes.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._version: tuple[int, int, int] | None = None
        self._recordings: list[Recording] = []

    def recordings(self) -> list[Recording]:
        """Return all recordings, oldest first.

        Raises:
            CassetteError: The file cannot be read, or a line is not a recording.
        """
        with self._lock:
            try:
                found = self.path.stat()
                version = (found.st_mtime_ns, found.st_size, found.st_ino)
                if version != self._version:
                    self._recordings, self._version = self._read(), version
            except FileNotFoundError:
                self._recordings, self._version = [], None
            except OSError as error:
                raise self._error("read", error) from error
            return self._recordings

    def _read(self) -> list[Recording]:
        recordings: list[Recording] = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            if not line.strip():
                continue
            try:
                recording = json.loads(line)
                recording["digest"][:0]  # fails unless the line is an object with a text there
            except (ValueError, TypeError, LookupError) as error:
                raise CassetteError(
                    f"line {number} of the cassette {self.path} is not a recording ({error}): delete the line, or "
                    "restore the file from version control",
                    path=str(self.path),
                ) from error
            recordings.append(recording)
        return recordings

    def add(self, line: bytes, *, replacing: str | None = None) -> None:
        """Write a recording to the file.

        Args:
            line: The recording as JSON, without a line break.
            replacing: A digest whose recordings are removed first.

        Raises:
            CassetteError: The file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, _lock_folder(self.path.parent):
                lines = self.path.read_bytes().splitlines() if self.path.exists() else []
                if replacing is not None:
                    start = f'{{"digest":{json.dumps(replacing)}'.encode()
                    lines = [one for one in lines if not one.startswith(start)]
                temporary = self.path.with_name(f".{self.path.name}.{uuid4().hex}")
                try:
                    temporary.write_bytes(b"".join(one + b"\n" for one in (*lines, line)))
                    temporary.replace(self.path)
                finally:
                    temporary.unlink(missing_ok=True)
        except OSError as error:
            raise self._error("written", error) from error

    def _error(self, done: str, error: OSError) -> CassetteError:
        message = f"the cassette {self.path} cannot be {done}: {error.strerror or error}"
        return CassetteError(message, path=str(self.path))


@contextmanager
def _lock_folder(folder: Path) -> Generator[None]:
    """Keep other processes from adding to the cassettes of a folder; wait for them first."""
    try:
        import fcntl
    except ImportError:  # Windows: one process at a time
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = SYSTEM_CLOCK.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if SYSTEM_CLOCK.monotonic() > deadline:
                    raise TimeoutError(f"another process has been writing for {_LOCK_SECONDS:g} s") from None
                SYSTEM_CLOCK.sleep(0.005)
        yield
    finally:
        os.close(descriptor)
