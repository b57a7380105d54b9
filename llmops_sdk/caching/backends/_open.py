"""Open stores without the import of their libraries before the first use."""

from __future__ import annotations

from pathlib import Path

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.caching.backends._protocol import CacheBackend
from llmops_sdk.caching.backends._store import CacheStore
from llmops_sdk.config import SharedSettings
from llmops_sdk.shared._server import SharedServer

__all__ = ["SEMANTIC", "disk_store", "open_shared", "open_store"]

SEMANTIC = "semantic"
"""The folder of the semantic tier in that of a cache."""


def open_store(
    tier: str, folder: Path, shared: SharedSettings | None, *, max_bytes: int, clock: Clock = SYSTEM_CLOCK
) -> CacheStore:
    """Return the store of a tier: on the shared server if one is set, otherwise in a folder of this machine.

    Args:
        tier: "exact" or "functions".
        folder: The folder of the cache, which need not exist; the entries are in a folder of the tier's name inside it.
        shared: The server that processes and machines share, or None.
        max_bytes: Above this size the least recently used entries are evicted.
        clock: The time.

    Raises:
        MissingDependencyError: The library for the server is not installed.
    """
    if shared is None or shared.url is None:
        return disk_store(folder / tier, max_bytes=max_bytes, clock=clock)
    return CacheStore(lambda: open_shared(shared, tier, max_bytes=max_bytes), clock=clock)


def open_shared(
    settings: SharedSettings, tier: str, *, max_bytes: int | None = None, what: str = "the cache"
) -> CacheBackend:
    """Return the store of a tier on the server of the settings. It connects at its first use.

    Args:
        settings: The settings, with a URL.
        tier: "exact" or "functions".
        max_bytes: The limit of the cache, where the server has none itself; None keeps what is there.
        what: What lies on the server, for messages.

    Raises:
        MissingDependencyError: The library for this server is not installed.
    """
    server = SharedServer(settings, what)
    # Imported here: each needs a library of its own.
    if settings.is_redis:
        from llmops_sdk.caching.backends._redis import RedisBackend

        return RedisBackend(server, tier, max_bytes=max_bytes)
    from llmops_sdk.caching.backends._postgres import PostgresBackend

    return PostgresBackend(server, tier, max_bytes=max_bytes)


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
