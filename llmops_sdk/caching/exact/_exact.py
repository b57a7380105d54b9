"""The exact tier: look an answer up, or ask once for all callers with the same question, and store it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from llmops_sdk._util._clock import Clock
from llmops_sdk.caching.backends._store import CacheStore
from llmops_sdk.caching.exact._codec import MOST_SKEW, Entry, read_entry, write_entry
from llmops_sdk.caching.exact._errors import error_payload
from llmops_sdk.caching.exact._flight import Flight, Flights
from llmops_sdk.caching.exact._lookup import CachePolicy, Lookup
from llmops_sdk.caching.exact._refresh import NO_SCOPE, Refreshes, RefreshScope
from llmops_sdk.caching.exact._stats import CacheStats, Counts
from llmops_sdk.caching.exact._turns import CallTurn
from llmops_sdk.errors import BadRequestError

__all__ = ["ExactCache"]

_T = TypeVar("_T")


class ExactCache:
    """Entries in a store, with one call at a time for each key.

    Args:
        store: Where the entries are.
        ttl: Seconds that a value is valid, or None for no limit.
        clock: The time.
        stale_ttl: Seconds after that in which a value is still served while a new one is asked for.
        negative_ttl: Seconds that an error is served which would come again; None stores no errors.
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        ttl: float | None,
        clock: Clock,
        stale_ttl: float = 0.0,
        negative_ttl: float | None = None,
    ) -> None:
        self.clock = clock
        self.counts = Counts()
        self.store = store
        self._ttl = ttl
        self._stale_ttl = stale_ttl
        self._negative_ttl = negative_ttl
        # Two sets: a call that blocks an event loop's thread must not wait for a task of that loop.
        self._threads, self._tasks = Flights(), Flights()
        self.refreshes: Refreshes[Any] = Refreshes(store, self.counts, self.lookup, self._is_fresh)

    def entry(self, payload: Any, took_ms: float | None = None) -> Entry:
        """Return a new entry, valid from now."""
        now = float(self.clock.time())
        return Entry(payload, now, None if self._ttl is None else now + self._ttl, took_ms)

    def lookup(self, policy: CachePolicy[_T]) -> Lookup[_T]:
        """Return a new lookup, a context manager."""
        return Lookup(policy, self.clock, self.counts, self.is_stale)

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key that may be served; remove one that may not."""
        return self.store.recall(key, self.read) or self.store.get(key, self.read)

    async def afind(self, key: str) -> Entry | None:
        """Return the entry of a key that may be served, async; remove one that may not."""
        return self.store.recall(key, self.read) or await self.store.aget(key, self.read)

    def read(self, data: bytes) -> Entry | None:
        """Return the entry in bytes, or None when it may not be served any more."""
        entry = read_entry(data)
        if entry is None:
            return None
        late = 0.0 if entry.is_error else self._stale_ttl
        return None if self._seconds_late(entry) >= late else entry

    def is_stale(self, entry: Entry) -> bool:
        """Return whether an entry is past its time to live."""
        return self._seconds_late(entry) >= 0

    def _is_fresh(self, data: bytes) -> bool:
        entry = read_entry(data)
        return entry is not None and not self.is_stale(entry)

    def _seconds_late(self, entry: Entry) -> float:
        """Return for how long an entry has been past its time to live; below zero while it is not."""
        # Both limits apply: the one stored with the entry, and the one configured now. Reading extends neither.
        now, ttl = self.clock.time(), self._negative_ttl or 0.0 if entry.is_error else self._ttl
        if ttl is not None and entry.stored_at > now + MOST_SKEW:
            return float("inf")  # the clock went back: nobody knows how old it is
        late = float("-inf") if entry.expires_at is None else now - entry.expires_at
        return late if ttl is None else max(late, now - entry.stored_at - ttl)

    def _prepared(self, lookup: Lookup[_T], value: _T, flight: Flight | None) -> bytes | None:
        """Note a new value, and return its bytes; None when it may not be stored."""
        if not lookup.note_answer(value):
            if flight is not None:
                flight.outcome = "unshared"
            return None
        rules = lookup.policy.rules
        entry = self.entry(rules.write(value), rules.took_ms(value))
        if flight is not None:
            flight.outcome = entry
        data = write_entry(entry)
        if data is None:
            lookup.note_stored(False)
        return data

    def _expires_in(self) -> float | None:
        return None if self._ttl is None else self._ttl + self._stale_ttl

    def keep(self, lookup: Lookup[_T], value: _T, flight: Flight | None = None, turn: CallTurn | None = None) -> _T:
        """Store a new value where the policy allows it, and return it."""
        data = self._prepared(lookup, value, flight)
        policy, led = lookup.policy, turn.lead if turn else None
        stored = data is not None and self.store.put(policy.key, data, self._expires_in(), policy.tags, led)
        return self._noted(lookup, value, stored if data is not None else None, turn)

    async def akeep(
        self, lookup: Lookup[_T], value: _T, flight: Flight | None = None, turn: CallTurn | None = None
    ) -> _T:
        """Store a new value where the policy allows it, and return it, async."""
        data = self._prepared(lookup, value, flight)
        policy, led = lookup.policy, turn.lead if turn else None
        stored = data is not None and await self.store.aput(policy.key, data, self._expires_in(), policy.tags, led)
        return self._noted(lookup, value, stored if data is not None else None, turn)

    @staticmethod
    def _noted(lookup: Lookup[_T], value: _T, stored: bool | None, turn: CallTurn | None) -> _T:
        if stored is not None:
            lookup.note_stored(stored)
        if turn is not None:
            turn.note_end(stored=bool(stored))
        return value

    def _error_entry(self, error: BaseException) -> Entry | None:
        """Return the entry of an error that would come again, or None."""
        payload = None if self._negative_ttl is None else error_payload(error)
        if payload is None or self._negative_ttl is None:
            return None
        now = float(self.clock.time())
        return Entry(payload, now, now + self._negative_ttl, is_error=True)

    def keep_error(self, lookup: Lookup[Any], error: BaseException, flight: Flight | None = None) -> None:
        """Store an error that would come again, where the settings say so."""
        entry = self._error_entry(error)
        data = None if entry is None else write_entry(entry)
        if entry is None or data is None:
            return
        if flight is not None:
            flight.outcome = entry
        lookup.note_stored_error(self.store.put(lookup.policy.key, data, self._negative_ttl, lookup.policy.tags))

    async def akeep_error(self, lookup: Lookup[Any], error: BaseException, flight: Flight | None = None) -> None:
        """Store an error that would come again, async."""
        entry = self._error_entry(error)
        data = None if entry is None else write_entry(entry)
        if entry is None or data is None:
            return
        if flight is not None:
            flight.outcome = entry
        stored = await self.store.aput(lookup.policy.key, data, self._negative_ttl, lookup.policy.tags)
        lookup.note_stored_error(stored)

    def fetch(self, policy: CachePolicy[_T], ask: Callable[[float | None], _T], scope: RefreshScope = NO_SCOPE) -> _T:
        """Return the stored value, the one that another caller is about to get, or a new one.

        Args:
            policy: The key, and how the value is stored and served.
            ask: Makes a new value within the seconds that it is given.
            scope: What surrounds the call that refreshes a stale value in the background.

        Raises:
            FlightTimeoutError: Another caller's call did not end within the time of this one.
        """
        with self.lookup(policy) as lookup:
            if (value := lookup.serve(self.store.recall(policy.key, self.read), "served")) is not None:
                self.refresh_if_stale(lookup, ask, scope)
                return value
            caller = threading.get_ident()
            while True:
                flight, leads = self._threads.join(policy.key, caller)
                if leads:
                    with flight, CallTurn(self.store, policy.key, self.read, caller, self.clock) as turn:
                        return self._lead(lookup, ask, scope, flight, turn)
                # A caller inside its own call would wait for itself.
                outcome = "unshared" if flight.owner == caller else flight.wait(lookup.remaining())
                if (value := lookup.serve(outcome, "shared")) is not None:
                    return value
                if outcome != "failed":
                    return self.keep(lookup, ask(lookup.remaining()))

    def _lead(
        self,
        lookup: Lookup[_T],
        ask: Callable[[float | None], _T],
        scope: RefreshScope,
        flight: Flight,
        turn: CallTurn,
    ) -> _T:
        """Return the value for all callers of this process that ask the same."""
        taken = turn.take(lookup.remaining)
        if taken.found is not None:
            flight.outcome = taken.found
            if (value := lookup.serve(taken.found, "shared" if turn.waited else "served")) is not None:
                self.refresh_if_stale(lookup, ask, scope)
                return value
        if taken.unshared:
            flight.end("unshared")
        try:
            value = ask(lookup.remaining())
        except BadRequestError as error:
            self.keep_error(lookup, error, flight)
            raise
        return self.keep(lookup, value, flight, turn)

    async def afetch(
        self, policy: CachePolicy[_T], ask: Callable[[float | None], Awaitable[_T]], scope: RefreshScope = NO_SCOPE
    ) -> _T:
        """Return the stored value, another task's or a new one, as `fetch` does."""
        with self.lookup(policy) as lookup:
            if (value := lookup.serve(self.store.recall(policy.key, self.read), "served")) is not None:
                self.arefresh_if_stale(lookup, ask, scope)
                return value
            caller = asyncio.current_task()
            while True:
                flight, leads = self._tasks.join(policy.key, caller)
                if leads:
                    with flight, CallTurn(self.store, policy.key, self.read, caller, self.clock) as turn:
                        return await self._alead(lookup, ask, scope, flight, turn)
                outcome = "unshared" if flight.owner == caller else await flight.wait_async(lookup.remaining())
                if (value := lookup.serve(outcome, "shared")) is not None:
                    return value
                if outcome != "failed":
                    return await self.akeep(lookup, await ask(lookup.remaining()))

    async def _alead(
        self,
        lookup: Lookup[_T],
        ask: Callable[[float | None], Awaitable[_T]],
        scope: RefreshScope,
        flight: Flight,
        turn: CallTurn,
    ) -> _T:
        taken = await turn.take_async(lookup.remaining)
        if taken.found is not None:
            flight.outcome = taken.found
            if (value := lookup.serve(taken.found, "shared" if turn.waited else "served")) is not None:
                self.arefresh_if_stale(lookup, ask, scope)
                return value
        if taken.unshared:
            flight.end("unshared")
        try:
            value = await ask(lookup.remaining())
        except BadRequestError as error:
            await self.akeep_error(lookup, error, flight)
            raise
        return await self.akeep(lookup, value, flight, turn)

    def refresh_if_stale(self, lookup: Lookup[_T], ask: Callable[[float | None], _T], scope: RefreshScope) -> None:
        """Ask for a new value in the background if the one just served is stale."""
        if lookup.stale:
            self.refreshes.start(lookup.policy, ask, self.keep, scope)

    def arefresh_if_stale(
        self, lookup: Lookup[_T], ask: Callable[[float | None], Awaitable[_T]], scope: RefreshScope
    ) -> None:
        """Ask for a new value in a task if the one just served is stale."""
        if lookup.stale:
            self.refreshes.start_task(lookup.policy, ask, self.akeep, scope)

    def clear(self) -> int:
        """Remove every entry, and return how many there were."""
        return self.store.clear()

    def stats(self) -> CacheStats:
        """Return what the cache has done in this process, and what it holds."""
        return self.counts.stats(*self.store.size())

    def close(self) -> None:
        """Close the store."""
        self.store.close()
