"""Open stores without the import of their libraries before the first use."""

from __future__ import annotations

from pathlib import Path

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.caching.backends._protocol import CacheBackend
from llmops_sdk.caching.backends._store import CacheStore

__all__ = ["SEMANTIC", "disk_store"]

SEMANTIC = "semantic"
"""The folder of the semantic tier in that of a cache."""


def disk_store(folder: Path, *, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> CacheStore:
    """Return the store in a folder of this machine.

    Args:
        folder: The folder, which need not exist.
        max_bytes: Above this size the least recently used entries are evicted.
        clock: The time.
    """

    def make() -> CacheBackend:
        # Imported here: only users of the cache need diskcache and sqlite3.
        from llmops_sdk.caching.backends._disk import DiskBackend

        return DiskBackend(folder, max_bytes=max_bytes)

    return CacheStore(make, clock=clock)
