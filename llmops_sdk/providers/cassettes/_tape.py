"""A cassette's file: a recording a line, in JSON, that diffs well; several processes may read and add."""

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

__all__ = ["Recording", "Tape"]

Recording = dict[str, Any]
"""A line: `digest`, `request`, and what came: `response`, `chunks`, `vectors`, `error`."""

_PATIENCE = 30.0


class Tape:
    """The recordings of one file, read anew when it has changed.

    Args:
        path: The file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._recordings: list[Recording] = []

    def recordings(self) -> list[Recording]:
        """Every recording, in the order in which they were made.

        Raises:
            CassetteError: The file cannot be read, or a line of it is none.
        """
        with self._lock:
            try:
                found = self.path.stat()
                state = (found.st_mtime_ns, found.st_size, found.st_ino)
                if state != self._state:
                    self._recordings, self._state = self._read(), state
            except FileNotFoundError:
                self._recordings, self._state = [], None
            except OSError as error:
                raise self._failed("read", error) from error
            return self._recordings

    def _read(self) -> list[Recording]:
        made: list[Recording] = []
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            if not line.strip():
                continue
            try:
                recording = json.loads(line)
                recording["digest"][:0]  # an object of ours has a text there
            except (ValueError, TypeError, LookupError) as error:
                raise CassetteError(
                    f"line {number} of the cassette {self.path} is no recording ({error}): take it out, or take the "
                    "file from version control again",
                    path=str(self.path),
                ) from error
            made.append(recording)
        return made

    def add(self, line: bytes, *, instead_of: str | None = None) -> None:
        """Add a recording, on the disk when this returns.

        Args:
            line: It, as JSON without a line break.
            instead_of: A digest whose recordings go first.

        Raises:
            CassetteError: The file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, _alone(self.path.parent):
                kept = b""
                if self.path.exists():
                    kept = self.path.read_bytes()
                    if kept and not kept.endswith(b"\n"):
                        kept += b"\n"
                if instead_of is not None:
                    mark = json.dumps(instead_of)
                    kept = b"".join(
                        each
                        for each in kept.splitlines(keepends=True)
                        if not each.startswith(f'{{"digest":{mark}'.encode())
                    )
                temporary = self.path.with_name(f".{self.path.name}.{uuid4().hex}")
                try:
                    temporary.write_bytes(kept + line + b"\n")
                    temporary.replace(self.path)
                finally:
                    temporary.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed("written", error) from error

    def _failed(self, what: str, error: OSError) -> CassetteError:
        return CassetteError(
            f"the cassette {self.path} cannot be {what}: {error.strerror or error}", path=str(self.path)
        )


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """While no other process adds to a cassette of a folder; waits for it."""
    try:
        import fcntl
    except ImportError:  # Windows: one process at a time
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        deadline = SYSTEM_CLOCK.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if SYSTEM_CLOCK.monotonic() > deadline:
                    raise TimeoutError(f"another process has been writing for {_PATIENCE:g} s") from None
                SYSTEM_CLOCK.sleep(0.005)
        yield
    finally:
        os.close(descriptor)
