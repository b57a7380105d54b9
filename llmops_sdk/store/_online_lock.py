"""The lock of online evaluation: two processes that score one store would pay for each score twice."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from llmops_sdk.store.files._locks import exclusive_lock

__all__ = ["online_lock"]


def online_lock(store: Path) -> AbstractContextManager[bool]:
    """Hold the lock; yield whether it was free.

    Args:
        store: The store's folder, which exists.

    Raises:
        StoreError: The folder cannot be written.
    """
    return exclusive_lock(store, name="online.lock")
