"""The lock of online evaluation: two processes that score one store would pay for each score twice."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import open_file
from llmops_sdk.store.files._locks import try_lock, unlock

__all__ = ["online_lock"]

_LOCK = "online.lock"


@contextmanager
def online_lock(store: Path) -> Generator[bool]:
    """Hold the lock; yield whether it was free. It ends with its process, also by kill -9.

    Args:
        store: The store's folder, which exists.

    Raises:
        StoreError: The folder cannot be written.
    """
    try:
        descriptor = open_file(store / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StoreError(
            f"the store {store} cannot be changed: {error.strerror}; make it writable for this user", path=str(store)
        ) from error
    taken = False
    try:
        taken = try_lock(descriptor)
        yield taken
    finally:
        if taken:
            unlock(descriptor)
        os.close(descriptor)
