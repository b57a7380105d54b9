"""State on a server that may be away: meanwhile each process keeps to its part of the limits.

A process knows how many processes use the server, and divides every limit by that number. What it spends meanwhile, and
the calls that are under way when the server returns, are added to the shared state then.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._server import BackendError
from llmops_sdk.shared._state import Bucket, Claim, Grant, SharedState, Slots, Tally, TallyGrant

__all__ = ["Addition", "AwayState", "ServerState"]

_log = logging.getLogger("llmops_sdk")

_T = TypeVar("_T")

_BACK_OFF = 5.0
"""Seconds without a try after the server has failed."""
_ANNOUNCED = 30.0
"""Seconds that a process counts as a peer after it has announced itself."""
_ANNOUNCE_EVERY = 5.0
_MOST_KEYS = 10_000
"""The most sums that are remembered for the time that the server is away."""


class Addition(NamedTuple):
    """What a sum on the server gets when the server is back.

    Attributes:
        amount: What was spent here meanwhile; below zero for a correction.
        seconds: The seconds that a new sum is needed for; 0 makes none.
        floor: What the sum was at the last contact: a server that has lost it begins there.
    """

    amount: float
    seconds: float
    floor: float = 0.0


class ServerState(SharedState, Protocol):
    """A `SharedState` on a server, with what is needed when it returns."""

    def peers(self, name: str, seconds: float) -> tuple[int, str]:
        """Announce this process for some seconds; return how many processes there are, and the state's name.

        A server that has lost its state has another name.
        """
        ...

    def adopt(self, key: str, holders: Sequence[str], seconds: float) -> None:
        """Add the holders of slots, also above the limit."""
        ...

    def add(self, sums: Mapping[str, Addition]) -> None:
        """Add amounts to sums."""
        ...


class _Known(NamedTuple):
    """A sum as the server last said it, and when nobody needs it any more, on the monotonic clock."""

    total: float
    until: float


class AwayState:
    """A `SharedState` on a server, which this process replaces while the server is away.

    Args:
        server: The state on the server.
        clock: The time.
        on_change: Called with "away" or "back" when that changes.

    Attributes:
        peer_count: How many processes used the server when it was last asked, this one included.
    """

    def __init__(
        self, server: ServerState, clock: Clock = SYSTEM_CLOCK, on_change: Callable[[str], None] | None = None
    ) -> None:
        self._server = server
        self._clock = clock
        self._on_change = on_change
        self._name = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._lock = threading.Lock()
        self._local: LocalState | None = None
        """The state while the server is away; None while it is there."""
        self._retry_at = 0.0
        self._announce_at = 0.0
        self._state_name = ""
        self._slots: dict[str, tuple[float, set[str]]] = {}
        """The lease and the holders of the slots that this process has."""
        self._tallies: dict[str, Tally] = {}
        """The sums that this process has kept while the server is away, as they began."""
        self._known: dict[str, _Known] = {}
        self._owed: dict[str, float] = {}
        """Corrections of other sums that the server does not know yet."""
        self.peer_count = 1

    @property
    def blocking(self) -> bool:
        """Return True: calls wait for the server, while it is there."""
        return True

    @property
    def place(self) -> str:
        """Return where the server is, without a secret."""
        return self._server.place

    @property
    def is_away(self) -> bool:
        """Return whether this process replaces the server now."""
        return self._local is not None

    def claim(self, holder: str, claims: Sequence[Claim]) -> Grant:
        """Take every claim for this holder, or none."""
        grant = self._use(
            lambda: self._server.claim(holder, claims), lambda local: local.claim(holder, [*map(self._part, claims)])
        )
        if grant.refused is None:
            with self._lock:
                for one in claims:
                    if isinstance(one, Slots):
                        self._slots.setdefault(one.key, (one.seconds, set()))[1].add(holder)
        return grant

    def renew(self, holder: str, claims: Sequence[Slots]) -> None:
        """Keep the slots of a holder for another lease."""
        self._use(lambda: self._server.renew(holder, claims), lambda local: local.renew(holder, claims))

    def release(self, holder: str, claims: Sequence[Claim], *, refund: Sequence[Bucket] = ()) -> None:
        """Give the slots of a holder back, and correct buckets."""
        with self._lock:
            for one in claims:
                if isinstance(one, Slots) and one.key in self._slots:
                    holders = self._slots[one.key][1]
                    holders.discard(holder)
                    if not holders:
                        del self._slots[one.key]
        self._use(
            lambda: self._server.release(holder, claims, refund=refund),
            lambda local: local.release(holder, claims, refund=[*map(self._bucket_part, refund)]),
        )

    def drain(self, key: str, amount: float, seconds: float) -> None:
        """Let at most `amount` be in a bucket for the next seconds."""
        self._use(
            lambda: self._server.drain(key, amount, seconds),
            lambda local: local.drain(key, amount / self.peer_count, seconds),
        )

    def pause(self, key: str, seconds: float) -> None:
        """Note that nothing may pass for some seconds."""
        self._use(lambda: self._server.pause(key, seconds), lambda local: local.pause(key, seconds))

    def paused(self, key: str) -> float:
        """Return the seconds until the pause ends; 0.0 if there is none."""
        return self._use(lambda: self._server.paused(key), lambda local: local.paused(key))

    def reserve(self, tallies: Sequence[Tally]) -> TallyGrant:
        """Reserve every amount, or none."""

        def there() -> TallyGrant:
            grant = self._server.reserve(tallies)
            now = self._clock.monotonic()
            with self._lock:
                for one, total in zip(tallies, grant.sums, strict=True):
                    self._known.pop(one.key, None)
                    self._known[one.key] = _Known(total, now + one.seconds)
                while len(self._known) > _MOST_KEYS:
                    self._known.pop(next(iter(self._known)))
            return grant

        return self._use(there, lambda local: local.reserve(self._tally_parts(tallies)))

    def settle(self, tallies: Sequence[Tally], actual: Sequence[float]) -> None:
        """Replace reserved amounts by the actual ones."""

        def here(local: LocalState) -> None:
            local.settle(tallies, actual)
            with self._lock:
                for one, amount in zip(tallies, actual, strict=True):
                    if one.key not in self._tallies and (one.key in self._owed or len(self._owed) < _MOST_KEYS):
                        self._owed[one.key] = self._owed.get(one.key, 0.0) + amount - one.amount

        self._use(lambda: self._server.settle(tallies, actual), here)

    def close(self) -> None:
        """Release the connections to the server."""
        self._server.close()

    # --- the server, or this process ----------------------------------------------------------------------------------

    def _use(self, there: Callable[[], _T], here: Callable[[LocalState], _T]) -> _T:
        local = self._local
        if local is not None and not self._may_retry():
            return here(local)
        try:
            if local is not None:
                self._return(local)
            self._announce()
            return there()
        except BackendError as error:
            return here(self._go_away(error))

    def _may_retry(self) -> bool:
        """Return whether this thread may try the server again; the others go on here meanwhile."""
        with self._lock:
            now = self._clock.monotonic()
            if now < self._retry_at:
                return False
            self._retry_at = now + _BACK_OFF
            return True

    def _announce(self) -> None:
        now = self._clock.monotonic()
        if now < self._announce_at:
            return
        self._announce_at = now + _ANNOUNCE_EVERY
        peers, name = self._server.peers(self._name, _ANNOUNCED)
        self.peer_count = max(peers, 1)
        lost, self._state_name = self._state_name not in {"", name}, name
        if lost:
            with self._lock:
                known = {key: Addition(0.0, one.until - now, one.total) for key, one in self._known.items()}
            self._give_back(known)

    def _give_back(self, sums: Mapping[str, Addition]) -> None:
        """Bring the server to where it would be: the sums, and the calls that are under way."""
        self._server.add({key: one for key, one in sums.items() if one.amount or one.seconds > 0})
        with self._lock:
            slots = [(key, list(holders), seconds) for key, (seconds, holders) in self._slots.items()]
        for key, holders, seconds in slots:
            self._server.adopt(key, holders, seconds)

    def _go_away(self, error: BackendError) -> LocalState:
        with self._lock:
            self._retry_at = self._clock.monotonic() + _BACK_OFF
            local = self._local
            if local is not None:
                return local
            local = LocalState(self._clock)
            for key, (_, holders) in self._slots.items():
                local.adopt(key, holders)
            self._local = local
        _log.warning(
            "llmops: %s; until it is back, this process keeps to its part of the limits and budgets: one of %d",
            error,
            self.peer_count,
        )
        self._changed("away")
        return local

    def _return(self, local: LocalState) -> None:
        """Add to the shared state what happened without it. Raises `BackendError` when the server is still away."""
        self._announce_at = 0.0
        self._announce()
        with self._lock:
            spent = local.sums(self._tallies)
            sums = {
                key: Addition(spent[key] - one.start + self._owed.pop(key, 0.0), one.seconds, one.start)
                for key, one in self._tallies.items()
                if key in spent
            }
            sums |= {key: Addition(change, 0.0) for key, change in self._owed.items()}
            # Whatever changes from here on goes to the server.
            self._local, self._tallies, self._owed = None, {}, {}
        try:
            self._give_back(sums)
        except BackendError:
            with self._lock:
                for key, one in sums.items():
                    self._owed[key] = self._owed.get(key, 0.0) + one.amount
            raise
        _log.warning("llmops: %s is back; limits and budgets are shared again", self._server.place)
        self._changed("back")

    def _changed(self, to: str) -> None:
        if self._on_change is not None:
            self._on_change(to)

    # --- the part of this process -------------------------------------------------------------------------------------

    def _part(self, claim: Claim) -> Claim:
        if isinstance(claim, Slots):
            return claim._replace(limit=max(claim.limit // self.peer_count, 1))
        return self._bucket_part(claim)

    def _bucket_part(self, bucket: Bucket) -> Bucket:
        return bucket._replace(rate=bucket.rate / self.peer_count, capacity=bucket.capacity / self.peer_count)

    def _tally_parts(self, tallies: Sequence[Tally]) -> list[Tally]:
        parts: list[Tally] = []
        with self._lock:
            for one in tallies:
                first = self._tallies.get(one.key)
                if first is None:
                    known = self._known.get(one.key)
                    first = one._replace(start=one.start if known is None else known.total)
                    if len(self._tallies) < _MOST_KEYS:
                        self._tallies[one.key] = first
                limit = one.limit
                if limit is not None:
                    # Each process may spend its part of what was left.
                    limit = first.start + max(limit - first.start, 0.0) / self.peer_count
                parts.append(one._replace(start=first.start, limit=limit))
        return parts
