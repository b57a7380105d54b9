"""The exact tier: look up, or ask once for all who ask the same, and store."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk._util._public import public
from llmops_sdk.caching._codec import Entry, read_entry, write_entry
from llmops_sdk.caching._flight import Flight, Flights, Outcome
from llmops_sdk.tracing import current_span
from llmops_sdk.tracing.records._semconv import EVENT_CACHE_LOOKUP

__all__ = ["CacheStats", "ExactCache", "Lookup", "Plan", "record_bypass"]

_T = TypeVar("_T")


@public("llmops_sdk.caching")
@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache has done in this process, and what it holds.

    Attributes:
        hits: Answers served from the disk.
        shared: Answers taken over from another call that was under way.
        misses: Calls that were made.
        stored: Answers stored.
        entries: Answers on the disk, expired ones that are not yet dropped included.
        bytes: Size on the disk.
    """

    hits: int
    shared: int
    misses: int
    stored: int
    entries: int
    bytes: int


class Plan(Protocol[_T]):
    """How one kind of value is stored and served."""

    @property
    def key(self) -> str:
        """The digest under which it stands."""
        ...

    @property
    def total(self) -> float | None:
        """Seconds that the whole call may take."""
        ...

    def refused(self, value: _T) -> str | None:
        """Why a value is not stored, or None."""
        ...

    def write(self, value: _T) -> Any:
        """The value as JSON-like data."""
        ...

    def read(self, payload: Any) -> _T | None:
        """The value to serve, from such data, or None when it does not fit."""
        ...

    def saved(self, value: _T) -> float | None:
        """USD that serving it saves, or None."""
        ...


class Lookup:
    """One look into the cache, recorded on the current span when it is over.

    Attributes:
        hit: Whether a stored answer was served.
        decision: "served", "shared", "stored", "not_stored" or "bypassed".
        reason: Why, where that is not plain.
        age_s: Seconds since the answer was stored.
        saved_cost: USD.
    """

    __slots__ = ("age_s", "decision", "hit", "reason", "saved_cost")

    def __init__(self, decision: str = "not_stored", reason: str | None = None) -> None:
        self.hit = False
        self.decision = decision
        self.reason = reason
        self.age_s: float | None = None
        self.saved_cost: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and not self.hit:
            self.decision = "not_stored"
            self.reason = _REASONS.get(type(error), "error")
        guarded("record cache lookup", None, self._record)

    def _record(self) -> None:
        fields = {
            "tier": "exact",
            "hit": self.hit,
            "age_s": self.age_s,
            "decision": self.decision,
            "reason": self.reason,
            "saved_cost": self.saved_cost,
        }
        current_span().add_event(EVENT_CACHE_LOOKUP, {key: value for key, value in fields.items() if value is not None})


_REASONS: dict[type[BaseException], str] = {
    GeneratorExit: "closed",
    KeyboardInterrupt: "cancelled",
    asyncio.CancelledError: "cancelled",
}


def record_bypass(reason: str) -> None:
    """Record that the cache was not asked, and why."""
    with Lookup("bypassed", reason):
        pass


@dataclass(slots=True)
class _Turn(Generic[_T]):
    """One caller's way through the cache: what the sync and the async driver share."""

    cache: ExactCache
    plan: Plan[_T]
    lookup: Lookup
    deadline: float | None

    def left(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline is None else self.deadline - self.cache.clock.monotonic()

    def serve(self, entry: Entry | None, decision: str) -> _T | None:
        """The value of an entry, noted as a hit; None when there is none that fits."""
        value = None if entry is None else self.plan.read(entry.payload)
        if entry is None or value is None:
            return None
        lookup = self.lookup
        lookup.hit, lookup.decision, lookup.reason = True, decision, None
        lookup.age_s = max(0.0, self.cache.clock.time() - entry.stored_at)
        lookup.saved_cost = self.plan.saved(value)
        self.cache.count("hits" if decision == "served" else "shared")
        return value

    def entry_for(self, value: _T) -> Entry | None:
        """What to store of a new value, or None with the reason noted."""
        self.cache.count("misses")
        self.lookup.reason = self.plan.refused(value)
        return None if self.lookup.reason else self.cache.entry(self.plan.write(value))

    def note_kept(self, kept: bool) -> None:
        """Note whether the entry is on the disk."""
        self.lookup.decision = "stored" if kept else "not_stored"
        self.lookup.reason = None if kept else "disk"
        if kept:
            self.cache.count("stored")


class ExactCache:
    """Entries on disk, one call at a time for each key.

    Args:
        folder: Where the entries are.
        ttl: Seconds that an entry is valid, None for ever.
        max_bytes: Size from which the least recently used are dropped.
        clock: The time.
    """

    def __init__(self, folder: Path, *, ttl: float | None, max_bytes: int, clock: Clock) -> None:
        # Imported here: diskcache and sqlite3 are for those who turn the cache on.
        from llmops_sdk.caching._disk import DiskStore

        self.clock = clock
        self._disk = DiskStore(folder, max_bytes=max_bytes, clock=clock)
        self._ttl = ttl
        # Two lists: a call that blocks the thread of an event loop must not wait for a task of that loop.
        self._threads, self._tasks = Flights(), Flights()
        self._counts: Counter[str] = Counter()
        self._counts_lock = threading.Lock()

    def count(self, what: str) -> None:
        """Count one of what `stats` gives."""
        with self._counts_lock:
            self._counts[what] += 1

    def entry(self, payload: Any) -> Entry:
        """A new entry, valid from now."""
        now = float(self.clock.time())
        return Entry(payload, now, None if self._ttl is None else now + self._ttl)

    def _valid(self, data: bytes | None) -> Entry | None:
        entry = None if data is None else read_entry(data)
        if entry is None:
            return None
        # Both bounds hold: the one stored with it, and the one configured now. Reading extends neither.
        ends = (entry.expires_at, None if self._ttl is None else entry.stored_at + self._ttl)
        return entry if all(end is None or self.clock.time() < end for end in ends) else None

    def find(self, key: str) -> Entry | None:
        """The valid entry of a key; what stands there and is not valid is dropped."""
        data = self._disk.get(key)
        entry = self._valid(data)
        if data is not None and entry is None:
            self._disk.delete(key)
        return entry

    async def afind(self, key: str) -> Entry | None:
        """The async twin of `find`."""
        data = await self._disk.aget(key)
        entry = self._valid(data)
        if data is not None and entry is None:
            await self._disk.adelete(key)
        return entry

    def keep(self, key: str, entry: Entry) -> bool:
        """Store an entry; whether it is on the disk."""
        data = write_entry(entry)
        return data is not None and self._disk.put(key, data, self._ttl)

    async def akeep(self, key: str, entry: Entry) -> bool:
        """The async twin of `keep`."""
        data = write_entry(entry)
        return data is not None and await self._disk.aput(key, data, self._ttl)

    def turn(self, plan: Plan[_T], lookup: Lookup) -> _Turn[_T]:
        """Begin a caller's way through the cache."""
        return _Turn(self, plan, lookup, None if plan.total is None else self.clock.monotonic() + plan.total)

    def fetch(self, plan: Plan[_T], ask: Callable[[float | None], _T]) -> _T:
        """The stored value, the one that another caller is about to get, or a new one.

        Args:
            plan: The key, and how the value is stored and served.
            ask: Makes a new value within the seconds that it is given.

        Raises:
            FlightTimeoutError: Another caller's call did not end within the time of this one.
        """
        with Lookup() as lookup:
            turn = self.turn(plan, lookup)
            while True:
                flight, leads = self._threads.join(plan.key, threading.get_ident())
                if leads:
                    with flight:
                        entry = self.find(plan.key)
                        if entry is not None and (value := turn.serve(entry, "served")) is not None:
                            flight.outcome = entry
                            return value
                        return self._ask(turn, ask, flight)
                if flight.owner == threading.get_ident():
                    return self._ask(turn, ask, None)  # inside its own call: waiting would be for ever
                outcome = flight.wait(turn.left())
                if (value := turn.serve(_shared(outcome), "shared")) is not None:
                    return value
                if outcome != "failed":
                    return self._ask(turn, ask, None)

    def _ask(self, turn: _Turn[_T], ask: Callable[[float | None], _T], flight: Flight | None) -> _T:
        value = ask(turn.left())
        entry = turn.entry_for(value)
        if entry is not None:
            turn.note_kept(self.keep(turn.plan.key, entry))
        if flight is not None:
            flight.outcome = entry or "unshared"
        return value

    async def afetch(self, plan: Plan[_T], ask: Callable[[float | None], Awaitable[_T]]) -> _T:
        """The async twin of `fetch`."""
        with Lookup() as lookup:
            turn = self.turn(plan, lookup)
            while True:
                flight, leads = self._tasks.join(plan.key, asyncio.current_task())
                if leads:
                    with flight:
                        entry = await self.afind(plan.key)
                        if entry is not None and (value := turn.serve(entry, "served")) is not None:
                            flight.outcome = entry
                            return value
                        return await self._aask(turn, ask, flight)
                if flight.owner == asyncio.current_task():
                    return await self._aask(turn, ask, None)
                outcome = await flight.await_(turn.left())
                if (value := turn.serve(_shared(outcome), "shared")) is not None:
                    return value
                if outcome != "failed":
                    return await self._aask(turn, ask, None)

    async def _aask(self, turn: _Turn[_T], ask: Callable[[float | None], Awaitable[_T]], flight: Flight | None) -> _T:
        value = await ask(turn.left())
        entry = turn.entry_for(value)
        if entry is not None:
            turn.note_kept(await self.akeep(turn.plan.key, entry))
        if flight is not None:
            flight.outcome = entry or "unshared"
        return value

    def clear(self) -> int:
        """Forget every entry; how many there were."""
        return self._disk.clear()

    def stats(self) -> CacheStats:
        """What it has done in this process, and what it holds."""
        entries, size = self._disk.size()
        with self._counts_lock:
            counts = {name: self._counts[name] for name in ("hits", "shared", "misses", "stored")}
        return CacheStats(**counts, entries=entries, bytes=size)

    def close(self) -> None:
        """Close the database."""
        self._disk.close()


def _shared(outcome: Outcome) -> Entry | None:
    return outcome if isinstance(outcome, Entry) else None
