"""Single flight across the processes of one machine: one locked file for each key under way.

The kernel releases the lock when the leader's process dies, also by SIGKILL. A file is removed by its leader, so a
process that has opened it and then gets the lock must check that the name still leads to it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["DiskFlights"]

_FOLDER = "flights"
_MARK_BYTES = 16
_TRIES = 100
"""How often a leader that removes its file may come between the opening of that file and its lock."""
_SWEEP_EVERY = 256
_SWEEP_MOST = 4_096

# The locks of this process. A forked child inherits the descriptors: they would keep the locks after the parent's
# death.
_held: dict[str, int] = {}
_held_lock = threading.Lock()


def _close_inherited() -> None:
    global _held_lock
    _held_lock = threading.Lock()
    for descriptor in _held.values():
        with suppress(OSError):
            os.close(descriptor)  # without LOCK_UN, which would end the parent's lock
    _held.clear()


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:  # noqa: ARG001 - the signature of the other
        """Return True: without locks that end with their process, each process leads."""
        return True

    def _unlock(descriptor: int) -> None:
        """Do nothing."""

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        """Take the lock of an open file without waiting, and return whether it was free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        """Release the lock, even if a forked child has a copy of the descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    os.register_at_fork(after_in_child=_close_inherited)


class DiskFlights:
    """The flights of a cache's folder.

    Args:
        folder: The folder of the cache, which exists when a flight begins.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER
        self._marked = 0
        self._made = False

    def acquire(self, key: str, token: str) -> bool:
        """Lead the flight of a key, if nobody does; see `CacheBackend.acquire`."""
        if not self._made:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._made = True
            self._sweep()
        path = self._path(key)
        for _ in range(_TRIES):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # somebody has removed the folder
                self._folder.mkdir(mode=0o700, exist_ok=True)
                continue
            if not _try_lock(descriptor):
                os.close(descriptor)
                return False
            if _is_at(path, descriptor):
                with _held_lock:
                    _held[token] = descriptor
                return True
            os.close(descriptor)
        return False

    def release(self, key: str, token: str, note: str) -> None:
        """End the lead of a token; see `CacheBackend.release`."""
        with _held_lock:
            descriptor = _held.pop(token, None)
        if descriptor is None:
            return
        try:
            if note:
                os.pwrite(descriptor, os.urandom(_MARK_BYTES // 2).hex().encode("ascii"), 0)
                self._marked += 1
            elif not os.fstat(descriptor).st_size:
                with suppress(FileNotFoundError):
                    os.unlink(self._path(key))  # noqa: PTH108 - see `_path`
        finally:
            _unlock(descriptor)
            os.close(descriptor)
        if self._marked >= _SWEEP_EVERY:
            self._marked = 0
            self._sweep()

    def mark(self, key: str) -> str:
        """Return what changes when a flight ends "unshared"; see `CacheBackend.mark`."""
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        try:
            return os.read(descriptor, _MARK_BYTES).decode("ascii", "replace")
        finally:
            os.close(descriptor)

    def _path(self, key: str) -> str:
        # Texts, not paths: a path takes as long to make as its file takes to open.
        return f"{self._folder}/{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"

    def _sweep(self) -> None:
        """Remove the files that nobody holds: marked ones stay at the end of a flight."""
        with os.scandir(self._folder) as found:
            for _, entry in zip(range(_SWEEP_MOST), found, strict=False):
                with suppress(OSError):
                    descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        if _try_lock(descriptor) and _is_at(entry.path, descriptor):
                            Path(entry.path).unlink()
                    finally:
                        os.close(descriptor)


def _is_at(path: str, descriptor: int) -> bool:
    """Return whether a name still leads to an open file."""
    try:
        there, here = os.stat(path, follow_symlinks=False), os.fstat(descriptor)  # noqa: PTH116 - on a hot path
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
