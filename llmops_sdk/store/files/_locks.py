"""File locks, which show one process that another still writes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import open_file

__all__ = ["exclusive_lock", "is_unlocked", "max_open_files", "try_lock", "unlock"]

_LOCK = "compact.lock"
_STEP = 0.02  # seconds

if sys.platform == "win32":

    def try_lock(descriptor: int) -> bool:  # noqa: ARG001 - the signature of the other
        """Raise: without a lock that ends with its process, a live segment could be removed."""
        raise StoreError(
            "the local store needs flock, which Windows does not have: run under WSL, or set "
            "LLMOPS_STORE__ENABLED=false and send the spans to an OTLP backend"
        )

    def unlock(descriptor: int) -> None:
        """Do nothing: no lock is ever taken."""

    def max_open_files() -> int:
        """Return the default limit of the C library."""
        return 512

else:
    import fcntl
    import resource

    def try_lock(descriptor: int) -> bool:
        """Take the exclusive lock of an open file without waiting; return whether it was free.

        The lock belongs to the open file: it ends when the last descriptor is closed, also by kill -9. A forked
        child that closes its copy does not end it.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Release the lock, even if a forked child has a copy of the descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def max_open_files() -> int:
        """Return the number of files that this process may open: 256 by default on macOS."""
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def is_unlocked(path: Path) -> bool:
    """Return whether a file is unlocked or missing."""
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        free = try_lock(descriptor)
        if free:
            unlock(descriptor)
        return free
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_lock(store: Path, wait: float = 0.0, *, name: str = _LOCK) -> Generator[bool]:
    """Hold a lock of the store; yield whether it was acquired. It ends with its process, also by kill -9.

    Args:
        store: The store's folder.
        wait: Seconds to wait for another holder.
        name: The lock's file. The default one is for changing the manifest and removing files.

    Raises:
        StoreError: The folder cannot be written.
    """
    try:
        descriptor = open_file(store / name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StoreError(
            f"the store {store} cannot be changed: {error.strerror}; make it writable for this user", path=str(store)
        ) from error
    taken = False
    try:
        deadline = time.monotonic() + wait
        while not (taken := try_lock(descriptor)) and time.monotonic() < deadline:
            SYSTEM_CLOCK.sleep(_STEP)
        yield taken
    finally:
        if taken:
            unlock(descriptor)
        os.close(descriptor)
