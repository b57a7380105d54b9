"""Locks on files: how one process knows that another still writes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.errors import StoreError

__all__ = ["exclusive_lock", "max_open_files", "try_lock", "unlock"]

_LOCK = "compact.lock"
_STEP = 0.02  # seconds

if sys.platform == "win32":

    def try_lock(descriptor: int) -> bool:  # noqa: ARG001 - the signature of the other
        """Not on this platform: without a lock that ends with its process, a live segment could be removed."""
        raise StoreError(
            "the local store needs flock, which Windows does not have: run under WSL, or set "
            "LLMOPS_STORE__ENABLED=false and send the spans to an OTLP backend"
        )

    def unlock(descriptor: int) -> None:
        """Nothing, since nothing is ever locked."""

    def max_open_files() -> int:
        """What the C library allows by default."""
        return 512

else:
    import fcntl
    import resource

    def try_lock(descriptor: int) -> bool:
        """Take the exclusive lock of an open file without waiting; whether it was free.

        The lock belongs to the open file: it ends when the last descriptor of it is closed, kill -9 included, and a
        forked child that closes its copy does not end the parent's.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give the lock back also where a child that was forked meanwhile has a copy of the descriptor."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def max_open_files() -> int:
        """How many files this process may have open: 256 by default on macOS."""
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return sys.maxsize if soft == resource.RLIM_INFINITY else soft


@contextmanager
def exclusive_lock(store: Path, wait: float = 0.0) -> Generator[bool]:
    """Be the one who changes the manifest and removes files; whether nobody else is.

    Args:
        store: The store's folder.
        wait: Seconds to wait for who is.

    Raises:
        StoreError: The folder cannot be written.
    """
    try:
        descriptor = os.open(store / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
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
