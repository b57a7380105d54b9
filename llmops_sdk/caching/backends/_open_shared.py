"""Open the store of a tier on the server of `[shared]`."""

from __future__ import annotations

from time import perf_counter

from llmops_sdk.caching.backends._protocol import CacheBackend
from llmops_sdk.caching.backends._shared import SharedServer
from llmops_sdk.config import SharedSettings

__all__ = ["check_server", "open_shared"]


def open_shared(settings: SharedSettings, tier: str, *, max_bytes: int | None = None) -> CacheBackend:
    """Return the store of a tier on the server of the settings. It connects at its first use.

    Args:
        settings: The settings, with a URL.
        tier: "exact" or "functions".
        max_bytes: The limit of the cache, where the server has none itself; None keeps what is there.

    Raises:
        MissingDependencyError: The library for this server is not installed.
    """
    server = SharedServer(settings)
    # Imported here: each needs a library of its own.
    if settings.is_redis:
        from llmops_sdk.caching.backends._redis import RedisBackend

        return RedisBackend(server, tier, max_bytes=max_bytes)
    from llmops_sdk.caching.backends._postgres import PostgresBackend

    return PostgresBackend(server, tier, max_bytes=max_bytes)


def check_server(settings: SharedSettings) -> str:
    """Return where the server is and how long it took to answer, in words.

    Args:
        settings: The settings, with a URL.

    Raises:
        MissingDependencyError: The library for this server is not installed.
        BackendError: The server does not answer, or refuses.
    """
    backend = open_shared(settings, "exact")
    try:
        backend.mark("")  # connects
        began = perf_counter()
        backend.mark("")
        took = perf_counter() - began
    finally:
        backend.close()
    return f"{SharedServer(settings).place} answers in {took * 1e3:.1f} ms"
