"""The entries that this process has read or written lately, so that a hit needs no thread and no disk."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

__all__ = ["MemoryTier"]

_MOST_BYTES = 16 * 1024 * 1024
_MOST_ENTRIES = 4_096
_MOST_OF_ONE = 256 * 1024
_SECONDS = 60.0
"""After this time an entry is read from the store again, which notes its use there and finds a newer value."""


class _Kept(NamedTuple):
    data: bytes
    generation: Hashable
    until: float


class MemoryTier:
    """The most recently used entries, as bytes: who gets one decodes it anew, so that nobody shares an object.

    An entry counts only while the store's generation is the one before it was read. A key is a store's place and the
    key in that store: all stores of a process share one bound.
    """

    def __init__(self) -> None:
        self.reset()
        _tiers.add(self)

    def reset(self) -> None:
        """Drop everything, and the lock: in a forked child another thread of the parent may hold it for good."""
        # Reentrant: the garbage collector may run a finalizer that uses the cache at any moment.
        self._lock = threading.RLock()
        self._entries: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str], generation: Hashable, now: float) -> bytes | None:
        """Return the bytes of a key, or None.

        Args:
            key: The store's place, and the key.
            generation: The store's generation now.
            now: Seconds of a clock that never goes back.
        """
        kept = self._entries.get(key)
        if kept is None:
            return None
        # A test's clock may show less than the one before.
        if kept.generation != generation or not kept.until - _SECONDS <= now < kept.until:
            self.forget(key)
            return None
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
        return kept.data

    def put(self, key: tuple[str, str], data: bytes, generation: Hashable, now: float) -> None:
        """Keep the bytes of a key that were read or written after `generation` was asked for."""
        with self._lock:
            self.forget(key)
            if generation is None or len(data) > _MOST_OF_ONE:
                return
            self._entries[key] = _Kept(data, generation, now + _SECONDS)
            self._bytes += len(data)
            while self._bytes > _MOST_BYTES or len(self._entries) > _MOST_ENTRIES:
                _, oldest = self._entries.popitem(last=False)
                self._bytes -= len(oldest.data)

    def forget(self, key: tuple[str, str]) -> None:
        """Drop the bytes of a key."""
        with self._lock:
            kept = self._entries.pop(key, None)
            if kept is not None:
                self._bytes -= len(kept.data)

    def clear(self, place: str) -> None:
        """Drop everything of one store."""
        with self._lock:
            for key in [key for key in self._entries if key[0] == place]:
                self.forget(key)


_tiers: weakref.WeakSet[MemoryTier] = weakref.WeakSet()


def _after_fork() -> None:
    for tier in list(_tiers):
        tier.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
