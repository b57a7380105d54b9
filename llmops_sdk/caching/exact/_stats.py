"""What a cache has done."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from llmops_sdk._util._public import public

__all__ = ["CacheStats", "Counts"]


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache has done in this process, and what it holds.

    Attributes:
        hits: Answers served from the store, stale ones included.
        shared: Answers taken over from another caller's call.
        misses: Calls that were made.
        stored: Answers stored.
        entries: Answers in the store, including expired ones that are not yet removed.
        bytes: Size of the store.
        stale: Answers served after their time to live, while a new one was asked for.
        refreshes: Calls made in the background for those.
        refresh_errors: How many of these calls failed.
    """

    hits: int
    shared: int
    misses: int
    stored: int
    entries: int
    bytes: int
    stale: int = 0
    refreshes: int = 0
    refresh_errors: int = 0


_COUNTED = ("hits", "shared", "misses", "stored", "stale", "refreshes", "refresh_errors")


class Counts:
    """Counters of threads."""

    def __init__(self) -> None:
        # Reentrant: a finalizer may close a stream, which counts, while this thread counts.
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()

    def add(self, what: str) -> None:
        """Count one of the fields of `CacheStats`."""
        with self._lock:
            self._counts[what] += 1

    def stats(self, entries: int, size: int) -> CacheStats:
        """Return the counts, with what the store holds."""
        with self._lock:
            return CacheStats(**{name: self._counts[name] for name in _COUNTED}, entries=entries, bytes=size)
