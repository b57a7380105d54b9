"""The exact tier: look an answer up, or ask once for all callers with the same question, and store it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._public import public
from llmops_sdk.caching.backends._store import CacheStore
from llmops_sdk.caching.exact._codec import Entry, read_entry, write_entry
from llmops_sdk.caching.exact._flight import Flight, Flights, Outcome
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_CACHE_LOOKUP

__all__ = ["CachePolicy", "CacheStats", "ExactCache", "record_bypass"]

_T = TypeVar("_T")


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache has done in this process, and what it holds.

    Attributes:
        hits: Answers served from the disk.
        shared: Answers taken over from another caller's call.
        misses: Calls that were made.
        stored: Answers stored.
        entries: Answers on the disk, including expired ones that are not yet removed.
        bytes: Size on the disk.
    """

    hits: int
    shared: int
    misses: int
    stored: int
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CachePolicy(Generic[_T]):
    """How a value is stored and served.

    Attributes:
        key: The digest that identifies it.
        total: Seconds that the whole call may take, or None.
        refused: Returns the reason not to store a value, or None.
        write: Returns a value as JSON-like data.
        read: Returns the value to serve from such data, or None when the data does not fit.
        saved: Returns the USD that serving a value saves, or None.
    """

    key: str
    total: float | None
    refused: Callable[[_T], str | None]
    write: Callable[[_T], Any]
    read: Callable[[Any], _T | None]
    saved: Callable[[_T], float | None]


_ERROR_REASONS: dict[type[BaseException], str] = {
    GeneratorExit: "closed",
    KeyboardInterrupt: "cancelled",
    asyncio.CancelledError: "cancelled",
}


def record_bypass(reason: str) -> None:
    """Record that a call went around the cache, and why."""
    guarded("record cache lookup", None, _record_event, hit=False, decision="bypassed", reason=reason)


def _record_event(**fields: object) -> None:
    known = {key: value for key, value in fields.items() if value is not None}
    current_span().add_event(EVENT_CACHE_LOOKUP, {"tier": "exact", **known})


class _Lookup(Generic[_T]):
    """One caller's lookup: the decisions that sync and async share, recorded on the current span at its end."""

    def __init__(self, cache: ExactCache, policy: CachePolicy[_T]) -> None:
        self.policy = policy
        self._cache = cache
        self._deadline = None if policy.total is None else cache.clock.monotonic() + policy.total
        self._hit = False
        self._decision = "not_stored"
        self._reason: str | None = None
        self._age_s: float | None = None
        self._saved_cost: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not self._hit:
            self._decision, self._reason = "not_stored", _ERROR_REASONS.get(type(error), "error")
        guarded(
            "record cache lookup",
            None,
            _record_event,
            hit=self._hit,
            age_s=self._age_s,
            decision=self._decision,
            reason=self._reason,
            saved_cost=self._saved_cost,
        )

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, or None without one."""
        return None if self._deadline is None else self._deadline - self._cache.clock.monotonic()

    def serve(self, found: Outcome | None, decision: str, flight: Flight | None = None) -> _T | None:
        """Return the value of an entry and note the hit, also for those who wait; None when no entry fits."""
        if not isinstance(found, Entry) or (value := self.policy.read(found.payload)) is None:
            return None
        self._hit, self._decision, self._reason = True, decision, None
        self._age_s = max(0.0, self._cache.clock.time() - found.stored_at)
        self._saved_cost = self.policy.saved(value)
        self._cache.count("hits" if decision == "served" else "shared")
        if flight is not None:
            flight.outcome = found
        return value

    def entry_for(self, value: _T, flight: Flight | None = None) -> Entry | None:
        """Return the entry to store for a new value; None, with the reason noted, when it must not be stored."""
        self._cache.count("misses")
        self._reason = self.policy.refused(value)
        entry = None if self._reason else self._cache.entry(self.policy.write(value))
        if flight is not None:
            flight.outcome = entry or "unshared"
        return entry

    def note_stored(self, stored: bool) -> None:
        """Note whether the entry is on the disk."""
        self._decision, self._reason = ("stored", None) if stored else ("not_stored", "disk")
        if stored:
            self._cache.count("stored")


class ExactCache:
    """Entries in a folder, valid for `ttl` seconds (None: no limit), with one call at a time for each key."""

    def __init__(self, folder: Path, *, ttl: float | None, max_bytes: int, clock: Clock) -> None:
        # Imported here: only users of the cache need diskcache and sqlite3.
        from llmops_sdk.caching.backends._disk import DiskBackend

        self.clock = clock
        self._store = CacheStore(lambda: DiskBackend(folder, max_bytes=max_bytes), clock=clock)
        self._ttl = ttl
        # Two sets: a call that blocks an event loop's thread must not wait for a task of that loop.
        self._threads, self._tasks = Flights(), Flights()
        self._counts: Counter[str] = Counter()
        self._counts_lock = threading.Lock()

    def count(self, what: str) -> None:
        """Count one of the fields of `stats`."""
        with self._counts_lock:
            self._counts[what] += 1

    def entry(self, payload: Any) -> Entry:
        """Return a new entry, valid from now."""
        now = float(self.clock.time())
        return Entry(payload, now, None if self._ttl is None else now + self._ttl)

    def lookup(self, policy: CachePolicy[_T]) -> _Lookup[_T]:
        """Return a new lookup, a context manager."""
        return _Lookup(self, policy)

    def find(self, key: str) -> Entry | None:
        """Return the valid entry of a key; remove one that is not valid."""
        return self._store.get(key, self._read)

    async def afind(self, key: str) -> Entry | None:
        """Return the valid entry of a key, async; remove one that is not valid."""
        return await self._store.aget(key, self._read)

    def _read(self, data: bytes) -> Entry | None:
        entry = read_entry(data)
        if entry is None:
            return None
        # Both limits apply: the one stored with the entry, and the one configured now. Reading extends neither.
        ends = (entry.expires_at, None if self._ttl is None else entry.stored_at + self._ttl)
        return entry if all(end is None or self.clock.time() < end for end in ends) else None

    def store(self, lookup: _Lookup[_T], value: _T, flight: Flight | None = None) -> _T:
        """Store a new value where the policy allows it, and return it."""
        entry = lookup.entry_for(value, flight)
        if entry is not None:
            data = write_entry(entry)
            lookup.note_stored(data is not None and self._store.put(lookup.policy.key, data, self._ttl))
        return value

    async def astore(self, lookup: _Lookup[_T], value: _T, flight: Flight | None = None) -> _T:
        """Store a new value where the policy allows it, and return it, async."""
        entry = lookup.entry_for(value, flight)
        if entry is not None:
            data = write_entry(entry)
            lookup.note_stored(data is not None and await self._store.aput(lookup.policy.key, data, self._ttl))
        return value

    def fetch(self, policy: CachePolicy[_T], ask: Callable[[float | None], _T]) -> _T:
        """Return the stored value, the one that another caller is about to get, or a new one.

        Args:
            policy: The key, and how the value is stored and served.
            ask: Makes a new value within the seconds that it is given.

        Raises:
            FlightTimeoutError: Another caller's call did not end within the time of this one.
        """
        caller = threading.get_ident()
        with self.lookup(policy) as lookup:
            while True:
                flight, leads = self._threads.join(policy.key, caller)
                if leads:
                    with flight:
                        if (value := lookup.serve(self.find(policy.key), "served", flight)) is not None:
                            return value
                        return self.store(lookup, ask(lookup.remaining()), flight)
                # A caller inside its own call would wait for itself.
                outcome = "unshared" if flight.owner == caller else flight.wait(lookup.remaining())
                if (value := lookup.serve(outcome, "shared")) is not None:
                    return value
                if outcome != "failed":
                    return self.store(lookup, ask(lookup.remaining()))

    async def afetch(self, policy: CachePolicy[_T], ask: Callable[[float | None], Awaitable[_T]]) -> _T:
        """Return the stored value, another task's or a new one, as `fetch` does."""
        caller = asyncio.current_task()
        with self.lookup(policy) as lookup:
            while True:
                flight, leads = self._tasks.join(policy.key, caller)
                if leads:
                    with flight:
                        if (value := lookup.serve(await self.afind(policy.key), "served", flight)) is not None:
                            return value
                        return await self.astore(lookup, await ask(lookup.remaining()), flight)
                outcome = "unshared" if flight.owner == caller else await flight.wait_async(lookup.remaining())
                if (value := lookup.serve(outcome, "shared")) is not None:
                    return value
                if outcome != "failed":
                    return await self.astore(lookup, await ask(lookup.remaining()))

    def clear(self) -> int:
        """Remove every entry, and return how many there were."""
        return self._store.clear()

    def stats(self) -> CacheStats:
        """Return what the cache has done in this process, and what it holds."""
        entries, size = self._store.size()
        with self._counts_lock:
            counts = {name: self._counts[name] for name in ("hits", "shared", "misses", "stored")}
        return CacheStats(**counts, entries=entries, bytes=size)

    def close(self) -> None:
        """Close the database."""
        self._store.close()
