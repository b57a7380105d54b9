"""Wait for the turn of a call among those of other processes: what is stored, a lead, or a call of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from llmops_sdk._util._clock import Clock
from llmops_sdk.caching.backends._store import Bid, CacheStore, Turn, new_token
from llmops_sdk.caching.exact._codec import Entry
from llmops_sdk.caching.exact._flight import FlightTimeoutError

__all__ = ["CallTurn"]

_FIRST_WAIT = 0.005
_LONGEST_WAIT = 0.1
_GROWTH = 1.6
_ALONE: Turn[Entry] = Turn(unshared=True)


class CallTurn:
    """One call's place among the identical calls of all processes; leaving the `with` ends its lead.

    Args:
        store: The store that the processes share.
        key: The key of the call.
        read: Returns the entry in bytes, or None.
        owner: The thread or task of the call.
        clock: The time.
        flight: Distinguishes the flight from others of the key.
    """

    def __init__(
        self,
        store: CacheStore,
        key: str,
        read: Callable[[bytes], Entry | None],
        owner: object,
        clock: Clock,
        flight: str = "",
    ) -> None:
        self._store = store
        self._key = key
        self._flight = key + flight
        self._read = read
        self._owner = owner
        self._clock = clock
        self._token = new_token()
        self._may_lead = False
        self.waited = False
        self._note = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._may_lead:
            self._store.release(self._flight, self._token, "" if error is not None else self._note)

    @property
    def lead(self) -> tuple[str, str]:
        """Return the flight's key and the token, for `CacheStore.put`."""
        return self._flight, self._token

    def note_end(self, *, stored: bool) -> None:
        """Note whether the answer is stored: if so, the store has ended the lead; if not, the followers have none."""
        self._may_lead, self._note = not stored, "unshared"

    def take(self, remaining: Callable[[], float | None], patience: float | None = None) -> Turn[Entry]:
        """Return the turn of the call, after a wait for the leader in another process.

        Args:
            remaining: Returns the seconds that the call still has, or None.
            patience: Seconds after which the call is made anyway. Such a call does not wait for one of this process.

        Raises:
            FlightTimeoutError: The leader's call did not end in time.
        """
        self._may_lead = True
        bid = self._bid()
        turn = self._store.lead(bid)
        mark = turn.mark
        for seconds in self._waits(turn, remaining, patience):
            # A call that blocks an event loop must not wait for a task of that loop.
            if _runs_loop():
                return _ALONE
            self._clock.sleep(seconds)
            turn = self._store.follow(bid, mark)
            if turn.leads:
                break
        return turn if turn.leads else _ALONE

    async def take_async(self, remaining: Callable[[], float | None], patience: float | None = None) -> Turn[Entry]:
        """Return the turn of the call, async; see `take`."""
        self._may_lead = True
        bid = self._bid()
        turn = await self._store.alead(bid)
        mark = turn.mark
        for seconds in self._waits(turn, remaining, patience):
            await self._clock.asleep(seconds)
            turn = await self._store.afollow(bid, mark)
            if turn.leads:
                break
        return turn if turn.leads else _ALONE

    def _bid(self) -> Bid[Entry]:
        return Bid(self._key, self._flight, self._read, self._token, self._owner)

    def _waits(
        self, turn: Turn[Any], remaining: Callable[[], float | None], patience: float | None
    ) -> Generator[float]:
        """Yield the seconds to wait before each look, while the call has to wait for another process or thread."""
        # A caller inside its own call would wait for itself. A stream's end may depend on this very thread.
        is_own = turn.owner is not None and (patience is not None or turn.owner == self._owner)
        if turn.leads or is_own:
            return
        self.waited = True
        seconds, until = _FIRST_WAIT, None if patience is None else self._clock.monotonic() + patience
        while True:
            left = remaining()
            if left is not None and left <= 0:
                raise FlightTimeoutError
            if until is not None:
                patient = until - self._clock.monotonic()
                if patient <= 0:
                    return
                left = patient if left is None else min(left, patient)
            yield seconds if left is None else min(seconds, left)
            seconds = min(seconds * _GROWTH, _LONGEST_WAIT)


def _runs_loop() -> bool:
    """Return whether this thread runs an event loop."""
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        return True
    return False
