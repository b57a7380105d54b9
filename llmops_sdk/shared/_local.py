"""The state of limits and budgets in this process: dictionaries behind one lock."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.shared._state import Bucket, Claim, Grant, Slots, Tally, TallyGrant

__all__ = ["LocalState"]

_MOST_KEYS = 65_536
"""The most sums, pauses or buckets; then those that nobody needs any more go, and after them the least recently used:
a budget of all calls must outlive any number of users."""
_SWEEPS = 16
"""How often the sums that nobody needs any more are removed while all keys are replaced once: each time costs a look at
every sum, so a new key must not cause one."""


@dataclass(slots=True)
class _Level:
    """What is in a bucket, and when that was so."""

    amount: float
    at: float
    drained_until: float = -math.inf


@dataclass(slots=True)
class _Sum:
    """What is spent and reserved, and until when the sum is needed."""

    amount: float
    until: float


@dataclass(slots=True)
class LocalState:
    """A `SharedState` for one process. Its holders live as long as the process does, so no lease runs out.

    Args:
        clock: The time.

    Example:
        >>> from llmops_sdk.shared._local import LocalState
        >>> from llmops_sdk.shared._state import Slots
        >>> state, slots = LocalState(), Slots("model", limit=1)
        >>> state.claim("a", [slots]).refused, state.claim("b", [slots]).refused
        (None, 'model')
        >>> state.release("a", [slots])
        >>> state.claim("b", [slots]).refused is None
        True
    """

    clock: Clock = SYSTEM_CLOCK
    _holders: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    _levels: OrderedDict[str, _Level] = field(default_factory=OrderedDict[str, _Level])
    _pauses: dict[str, float] = field(default_factory=dict[str, float])
    _sums: OrderedDict[str, _Sum] = field(default_factory=OrderedDict[str, _Sum])
    _new_sums: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def blocking(self) -> bool:
        """Return False: nothing here waits."""
        return False

    @property
    def place(self) -> str:
        """Return where the state is."""
        return "this process"

    def claim(self, holder: str, claims: Sequence[Claim]) -> Grant:
        """Take every claim for this holder, or none."""
        now = self.clock.monotonic()
        with self._lock:
            for claim in claims:
                if isinstance(claim, Slots):
                    holders = self._holders.get(claim.key)
                    if holders is not None and len(holders) >= claim.limit and holder not in holders:
                        return Grant(claim.key)
                    continue
                level, capacity = self._filled(claim, now), claim.capacity
                missing = min(capacity, claim.amount) - level.amount
                # A rounding error must not make a caller wait for a billionth of a token.
                if missing > capacity * 1e-9:
                    return Grant(claim.key, max(level.drained_until - now, 0.0) + missing / claim.rate)
            for claim in claims:
                key = claim.key
                if isinstance(claim, Bucket):
                    amount, capacity = claim.amount, claim.capacity
                    self._levels[key].amount -= min(capacity, amount)
                elif (holders := self._holders.get(key)) is None:
                    self._holders[key] = {holder}
                else:
                    holders.add(holder)
        return _GRANTED

    def renew(self, holder: str, claims: Sequence[Slots]) -> None:
        """Do nothing: no slot runs out."""

    def adopt(self, key: str, holders: Iterable[str]) -> None:
        """Add the holders of slots, also above the limit."""
        with self._lock:
            self._holders.setdefault(key, set()).update(holders)

    def release(self, holder: str, claims: Sequence[Claim], *, refund: Sequence[Bucket] = ()) -> None:
        """Give the slots of a holder back, and correct buckets."""
        now = self.clock.monotonic()
        with self._lock:
            for claim in claims:
                if isinstance(claim, Slots) and (holders := self._holders.get(claim.key)) is not None:
                    holders.discard(holder)
                    if not holders:
                        del self._holders[claim.key]
            for bucket in refund:
                level = self._filled(bucket, now)
                if now >= level.drained_until or bucket.amount < 0:
                    level.amount = min(level.amount + bucket.amount, bucket.capacity)

    def drain(self, key: str, amount: float, seconds: float) -> None:
        """Let at most `amount` be in a bucket for the next seconds."""
        now = self.clock.monotonic()
        with self._lock:
            level = self._levels.get(key)
            if level is None:
                level = self._levels[key] = _Level(amount, now)
            level.amount = min(level.amount, amount)
            level.at = level.drained_until = now + max(seconds, 0.0)

    def pause(self, key: str, seconds: float) -> None:
        """Note that nothing may pass for some seconds; a longer pause in force stays."""
        now = self.clock.monotonic()
        with self._lock:
            self._pauses[key] = max(self._pauses.get(key, 0.0), now + seconds)
            if len(self._pauses) > _MOST_KEYS:
                self._pauses = {name: until for name, until in self._pauses.items() if until > now}

    def paused(self, key: str) -> float:
        """Return the seconds until the pause ends; 0.0 if there is none."""
        until = self._pauses.get(key)
        if until is None:
            return 0.0
        left = until - self.clock.monotonic()
        if left <= 0.0:
            with self._lock:
                if self._pauses.get(key) == until:
                    del self._pauses[key]
            return 0.0
        return left

    def reserve(self, tallies: Sequence[Tally]) -> TallyGrant:
        """Reserve every amount, or none."""
        now = self.clock.monotonic()
        with self._lock:
            sums: list[_Sum] = []
            refused = None
            for tally in tallies:
                one = self._sum(tally, now)
                if refused is None and tally.limit is not None and one.amount + tally.amount > tally.limit:
                    refused = len(sums)
                sums.append(one)
            if refused is None:
                for one, tally in zip(sums, tallies, strict=True):
                    one.amount += tally.amount
            return TallyGrant(refused, tuple([one.amount for one in sums]))

    def settle(self, tallies: Sequence[Tally], actual: Sequence[float]) -> None:
        """Replace reserved amounts by the actual ones."""
        with self._lock:
            for tally, amount in zip(tallies, actual, strict=True):
                if (one := self._sums.get(tally.key)) is not None:
                    one.amount += amount - tally.amount

    def sums(self, keys: Iterable[str]) -> dict[str, float]:
        """Return what is spent and reserved of these keys, where there is anything."""
        with self._lock:
            return {key: self._sums[key].amount for key in keys if key in self._sums}

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _filled(self, bucket: Bucket, now: float) -> _Level:
        level = self._levels.get(bucket.key)
        if level is None:
            if len(self._levels) >= _MOST_KEYS:
                self._levels.popitem(last=False)
            level = self._levels[bucket.key] = _Level(bucket.capacity, now)
        else:
            self._levels.move_to_end(bucket.key)
        if now > level.at:
            amount = level.amount + (now - level.at) * bucket.rate
            level.amount = min(bucket.capacity, amount)
            level.at = now
        return level

    def _sum(self, tally: Tally, now: float) -> _Sum:
        one = self._sums.get(tally.key)
        if one is None or one.until <= now:
            if one is None and len(self._sums) >= _MOST_KEYS:
                self._make_room(now)
            self._new_sums += 1
            one = self._sums[tally.key] = _Sum(tally.start, now + tally.seconds)
        self._sums.move_to_end(tally.key)
        return one

    def _make_room(self, now: float) -> None:
        """Remove the sums that nobody needs any more, or else the one least recently used."""
        if self._new_sums * _SWEEPS >= _MOST_KEYS:
            self._new_sums = 0
            for key in [key for key, one in self._sums.items() if one.until <= now]:
                del self._sums[key]
        if len(self._sums) >= _MOST_KEYS:
            self._sums.popitem(last=False)


_GRANTED = Grant()
