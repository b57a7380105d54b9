"""The locks of what may run only once on a store: online evaluation, which pays for scores, and the watcher."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from llmops_sdk.store.files._locks import exclusive_lock

__all__ = ["online_lock", "watch_lock"]


def online_lock(store: Path) -> AbstractContextManager[bool]:
    """Hold the lock; yield whether it was free.

    Args:
        store: The store's folder, which exists.

    Raises:
        StoreError: The folder cannot be written.
    """
    return exclusive_lock(store, name="online.lock")


def watch_lock(store: Path) -> AbstractContextManager[bool]:
    """Hold the lock of the watcher; yield whether it was free: two would tell of each alert twice.

    Args:
        store: The store's folder, which exists.

    Raises:
        StoreError: The folder cannot be written.
    """
    return exclusive_lock(store, name="watch.lock")
