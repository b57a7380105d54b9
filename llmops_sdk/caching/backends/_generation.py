"""A file whose state tells every process that entries were removed."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Generation"]

_FILE = "generation"
_MOST_BYTES = 1_000_000


class Generation:
    """The generation of a folder: it changes when any process calls `change`, and when the file is replaced.

    Each change makes the file one byte longer. Times alone do not do: the kernel's step may be some milliseconds.
    """

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / _FILE)

    def current(self) -> tuple[int, int, int] | None:
        """Return the generation, or None without a file; this takes about a microsecond."""
        try:
            state = os.stat(self._path)  # noqa: PTH116 - on the path of every hit
        except OSError:
            return None
        return state.st_ino, state.st_size, state.st_mtime_ns

    def make(self) -> None:
        """Make the file if it is missing."""
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def change(self) -> None:
        """Change the generation; do nothing where the folder is missing."""
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except FileNotFoundError:
            return
        try:
            if os.fstat(descriptor).st_size >= _MOST_BYTES:
                Path(self._path).unlink(missing_ok=True)
                self.make()
            os.write(descriptor, b".")
        finally:
            os.close(descriptor)
