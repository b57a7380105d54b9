"""Bytes by key and flights on a worker's threads, with a memory of the latest entries in front."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.caching.backends._memory import MemoryTier
from llmops_sdk.caching.backends._protocol import CacheBackend
from llmops_sdk.caching.backends._worker import Session, Worker

__all__ = ["LEADS_ALONE", "Bid", "CacheStore", "Turn", "new_token"]

_T = TypeVar("_T")

_numbers = itertools.count()
_memory = MemoryTier()


@dataclass(frozen=True, slots=True)
class Bid(Generic[_T]):
    """A call that asks for its turn among identical ones.

    Attributes:
        key: The key.
        flight: The key of the flight.
        read: Returns the value in bytes, or None.
        token: A new token.
        owner: Who asks: a thread or a task.
    """

    key: str
    flight: str
    read: Callable[[bytes], _T | None]
    token: str
    owner: object


@dataclass(frozen=True, slots=True)
class Turn(Generic[_T]):
    """What a caller has to do about a key.

    Attributes:
        found: What is stored, or None.
        leads: Whether the caller makes the call; otherwise somebody else does, and the caller waits.
        mark: The flight's mark (`CacheBackend.mark`).
        unshared: Whether the flight that the caller waited for has ended with an answer for its leader alone.
        owner: The leader's `Bid.owner` if it is in this process, or None.
    """

    found: _T | None = None
    leads: bool = True
    mark: str = ""
    unshared: bool = False
    owner: object = None


LEADS_ALONE: Turn[Any] = Turn()
"""The turn without a store: each caller makes its own call."""

# The leaders of this process by the store's place and the key, with their tokens: nobody waits for its own thread.
_leaders: dict[tuple[str, str], tuple[str, object]] = {}

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leaders.clear)


def new_token() -> str:
    """Return a token for `lead`, which nobody else has."""
    return f"{os.getpid()}-{next(_numbers)}-{os.urandom(8).hex()}"


class CacheStore(Worker[CacheBackend, Session[CacheBackend]]):
    """Bytes by key in a store that may fail, hang or be used by others at the same time.

    Args:
        make: Makes the store's object for this process.
        clock: The time, for the back-off after a failure and the age of what is in memory.
    """

    def __init__(self, make: Callable[[], CacheBackend], *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(lambda: Session(make()), clock=clock)

    def recall(self, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
        """Return what `read` makes of the bytes of a key if they are in memory, at once, or None."""
        backend = self.backend
        place = (backend.place, key)
        data = _memory.get(place, backend.generation(), self._clock.monotonic())
        if data is None:
            return None
        found = read(data)
        if found is None:
            _memory.forget(place)
        return found

    def get(self, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
        """Return what `read` makes of the bytes of a key, or None; remove bytes of which it makes None."""
        return self.run("read", None, self._get, key, read)

    async def aget(self, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
        """Return what `read` makes of the bytes of a key, as `get` does, async."""
        return await self.arun("read", None, self._get, key, read)

    def put(
        self,
        key: str,
        value: bytes,
        ttl: float | None,
        tags: Sequence[str] = (),
        led: tuple[str, str] | None = None,
    ) -> bool:
        """Store bytes, and return whether they are stored.

        Args:
            key: The key.
            value: The bytes.
            ttl: Seconds after which they may go, or None.
            tags: The tags.
            led: The flight's key and the token of a lead that ends when the bytes are stored.
        """
        return self.run("write", False, self._put, key, value, ttl, tags, led)

    async def aput(
        self,
        key: str,
        value: bytes,
        ttl: float | None,
        tags: Sequence[str] = (),
        led: tuple[str, str] | None = None,
    ) -> bool:
        """Store bytes, as `put` does, async."""
        return await self.arun("write", False, self._put, key, value, ttl, tags, led)

    def lead(self, bid: Bid[_T]) -> Turn[_T]:
        """Return what is stored, or lead the flight of a key, or say that somebody else does.

        Call `release` with the token in the end, whatever this returned or raised.
        """
        return self.run("flight", LEADS_ALONE, self._lead, bid)

    async def alead(self, bid: Bid[_T]) -> Turn[_T]:
        """Return what is stored, or lead the flight of a key, or say that somebody else does; see `lead`."""
        return await self.arun("flight", LEADS_ALONE, self._lead, bid)

    def follow(self, bid: Bid[_T], mark: str) -> Turn[_T]:
        """Return what a flight has left, or lead the next one; otherwise the caller waits some more.

        Args:
            bid: That of `lead`.
            mark: The mark of the turn that told to wait.
        """
        return self.run("flight", LEADS_ALONE, self._follow, bid, mark)

    async def afollow(self, bid: Bid[_T], mark: str) -> Turn[_T]:
        """Return what a flight has left, or lead the next one, async; see `follow`."""
        return await self.arun("flight", LEADS_ALONE, self._follow, bid, mark)

    def claim(self, flight: str, token: str) -> bool:
        """Lead a flight if nobody does, whatever is stored, and return whether the caller does.

        Args:
            flight: The key of the flight.
            token: A new token, for `release`.
        """
        return self.run("flight", False, self._acquire, flight, token)

    async def aclaim(self, flight: str, token: str) -> bool:
        """Lead a flight if nobody does, async; see `claim`."""
        return await self.arun("flight", False, self._acquire, flight, token)

    def release(self, key: str, token: str, note: str = "") -> None:
        """End the lead of a token without waiting for the store; see `CacheBackend.release`."""
        # Without the process, as in a forked child or at the end, the leader's locks are gone too.
        self.start("flight", self._release, key, token, note)

    def invalidate(self, *, key: str | None = None, tag: str | None = None) -> int:
        """Remove the entries of a key (or of the beginning of keys) or of a tag; return how many there were.

        Raises:
            StoreError: The store fails or takes too long.
        """
        _memory.clear(self.backend.place)
        return self.demand(self._invalidate, key, tag)

    def clear(self) -> int:
        """Remove every entry, and return how many there were; raise as `invalidate` does."""
        _memory.clear(self.backend.place)
        return self.demand(self._clear)

    def size(self) -> tuple[int, int]:
        """Return the number of entries, and the bytes that they take."""
        return self.run("size", (0, 0), self._size)

    def close(self) -> None:
        """Close the connections and end the threads; the next use opens both again."""
        _memory.clear(self.backend.place)
        super().close()

    # What runs on the worker threads.

    def _get(self, backend: CacheBackend, key: str, read: Callable[[bytes], _T | None]) -> _T | None:
        generation = backend.generation()  # before the read: a removal in between makes the memory of it invalid
        data = backend.get(key)
        if data is None:
            return None
        found = read(data)
        if found is None:
            backend.discard(key)
        else:
            _memory.put((backend.place, key), data, generation, self._clock.monotonic())
        return found

    def _put(
        self,
        backend: CacheBackend,
        key: str,
        value: bytes,
        ttl: float | None,
        tags: Sequence[str],
        led: tuple[str, str] | None,
    ) -> bool:
        _memory.forget((backend.place, key))
        generation = backend.generation()
        stored = backend.set(key, value, ttl, tags)
        if stored:
            _memory.put((backend.place, key), value, generation, self._clock.monotonic())
            if led is not None:
                self._release(backend, *led, "")
        return stored

    def _lead(self, backend: CacheBackend, bid: Bid[_T]) -> Turn[_T]:
        if (found := self._get(backend, bid.key, bid.read)) is not None:
            return Turn(found)
        place = (backend.place, bid.flight)
        if not self._acquire(backend, bid.flight, bid.token):
            return Turn(leads=False, mark=backend.mark(bid.flight), owner=_leaders.get(place, ("", None))[1])
        _leaders[place] = bid.token, bid.owner
        # A leader may have stored its answer after the look above.
        return Turn(self._get(backend, bid.key, bid.read))

    def _follow(self, backend: CacheBackend, bid: Bid[_T], mark: str) -> Turn[_T]:
        seen = backend.mark(bid.flight)
        return Turn(unshared=True) if seen and seen != mark else self._lead(backend, bid)

    def _acquire(self, backend: CacheBackend, flight: str, token: str) -> bool:
        return backend.acquire(flight, token)

    def _release(self, backend: CacheBackend, flight: str, token: str, note: str) -> None:
        place = (backend.place, flight)
        if _leaders.get(place, ("", None))[0] == token:
            del _leaders[place]
        backend.release(flight, token, note)

    @staticmethod
    def _invalidate(backend: CacheBackend, key: str | None, tag: str | None) -> int:
        count = 0 if key is None else backend.delete(key)
        count += 0 if tag is None else backend.delete_tag(tag)
        backend.invalidated()
        return count

    @staticmethod
    def _clear(backend: CacheBackend) -> int:
        count = backend.clear()
        backend.invalidated()
        return count

    @staticmethod
    def _size(backend: CacheBackend) -> tuple[int, int]:
        return backend.size()
