"""One caller's lookup: the decisions that sync and async share, recorded as one event at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.caching.exact._codec import Entry
from llmops_sdk.caching.exact._errors import stored_error
from llmops_sdk.caching.exact._flight import Outcome
from llmops_sdk.caching.exact._stats import Counts
from llmops_sdk.tracing import Span, current_span
from llmops_sdk.tracing.records._semconv import EVENT_CACHE_LOOKUP

__all__ = ["CachePolicy", "Lookup", "ValueRules", "record_bypass"]

_T = TypeVar("_T")

_KEY_DIGITS = 16
"""How much of the key a lookup records: enough to tell the entries of a cache apart."""


@dataclass(frozen=True, slots=True)
class ValueRules(Generic[_T]):
    """How values of one kind are stored and served.

    Attributes:
        refused: Returns the reason not to store a value, or None.
        write: Returns a value as JSON-like data.
        read: Returns the value to serve from such data, or None when the data does not fit.
        saved: Returns the USD that serving a value saves, or None.
        took_ms: Returns how long a new value took in milliseconds, or None when nobody measured it.
    """

    refused: Callable[[_T], str | None]
    write: Callable[[_T], Any]
    read: Callable[[Any], _T | None]
    saved: Callable[[_T], float | None]
    took_ms: Callable[[_T], float | None]


@dataclass(frozen=True, slots=True)
class CachePolicy(Generic[_T]):
    """What one call asks the cache for.

    Attributes:
        key: The digest that identifies the value.
        total: Seconds that the whole call may take, or None.
        rules: How the value is stored and served.
        tags: The tags of a new entry.
    """

    key: str
    total: float | None
    rules: ValueRules[_T]
    tags: tuple[str, ...] = ()


_ERROR_REASONS: dict[type[BaseException], str] = {
    GeneratorExit: "closed",
    KeyboardInterrupt: "cancelled",
    asyncio.CancelledError: "cancelled",
}


def record_bypass(reason: str) -> None:
    """Record that a call went around the cache, and why."""
    guarded("record cache lookup", None, _record, {"hit": False, "decision": "bypassed", "reason": reason})


def _record(fields: dict[str, Any]) -> None:
    span = current_span()
    attributes = {"tier": "exact", **fields}
    if type(span) is Span:
        span.add_plain_event(EVENT_CACHE_LOOKUP, attributes)
    else:
        span.add_event(EVENT_CACHE_LOOKUP, attributes)


class Lookup(Generic[_T]):
    """One caller's lookup; as a context manager it records itself on the current span at its end.

    Args:
        policy: What the call asks for.
        clock: The time.
        counts: The counters of the cache.
        is_stale: Returns whether an entry is past its time to live.
    """

    __slots__ = (
        "_age_s",
        "_clock",
        "_counts",
        "_deadline",
        "_decision",
        "_hit",
        "_is_refresh",
        "_is_stale",
        "_reason",
        "_saved_cost",
        "_saved_ms",
        "policy",
    )

    def __init__(
        self, policy: CachePolicy[_T], clock: Clock, counts: Counts, is_stale: Callable[[Entry], bool]
    ) -> None:
        self.policy = policy
        self._clock = clock
        self._counts = counts
        self._is_stale = is_stale
        self._is_refresh = False
        self._deadline = None if policy.total is None else clock.monotonic() + policy.total
        self._hit = False
        self._decision = "not_stored"
        self._reason: str | None = None
        self._age_s: float | None = None
        self._saved_cost: float | None = None
        self._saved_ms: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and not self._hit and self._decision != "stored":
            self._decision, self._reason = "not_stored", _ERROR_REASONS.get(type(error), "error")
        guarded("record cache lookup", None, self._record)

    def _record(self) -> None:
        fields: dict[str, Any] = {
            "hit": self._hit,
            "decision": self._decision,
            "key": self.policy.key[:_KEY_DIGITS],
        }
        if self._reason is not None:
            fields["reason"] = self._reason
        if self._hit:
            fields["age_s"] = self._age_s
            if self._saved_cost is not None:
                fields["saved_cost"] = self._saved_cost
            if self._saved_ms is not None:
                fields["saved_ms"] = self._saved_ms
        _record(fields)

    @property
    def stale(self) -> bool:
        """Return whether the value served is past its time to live."""
        return self._decision == "stale"

    def refreshing(self) -> Self:
        """Return this lookup as that of a call in the background, which serves nobody."""
        self._is_refresh = True
        return self

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, or None without one."""
        return None if self._deadline is None else self._deadline - self._clock.monotonic()

    def serve(self, found: Outcome | None, decision: str) -> _T | None:
        """Return the value of an entry and note the hit; None when no entry fits.

        Raises:
            ProviderError: The entry is an error.
        """
        if not isinstance(found, Entry):
            return None
        if found.is_error:
            error = stored_error(found.payload, self._clock.time() - found.stored_at)
            if error is None:
                return None
            self._note_hit(found, decision, "error")
            raise error
        if (value := self.policy.rules.read(found.payload)) is None:
            return None
        self._note_hit(found, decision, None)
        self._saved_cost = self.policy.rules.saved(value)
        return value

    def _note_hit(self, found: Entry, decision: str, reason: str | None) -> None:
        self._counts.add("hits" if decision == "served" else "shared")
        if decision == "served" and self._is_stale(found):
            decision = "stale"
            self._counts.add("stale")
        self._hit, self._decision, self._reason = True, decision, reason
        self._age_s = max(0.0, self._clock.time() - found.stored_at)
        self._saved_ms = found.took_ms

    def note_answer(self, value: _T) -> bool:
        """Note a new value, and return whether it may be stored."""
        self._counts.add("misses")
        self._reason = self.policy.rules.refused(value)
        return self._reason is None

    def note_shared(self, cost: float | None, *, took_over: bool) -> None:
        """Note that a stream was read along to its end.

        Args:
            cost: What the stream cost in USD, or None when unknown.
            took_over: Whether its leader left, so that this caller has the cost.
        """
        self._decision, self._hit, self._reason = "shared", not took_over, "took_over" if took_over else None
        if not took_over:
            self._age_s, self._saved_cost = 0.0, cost
            self._counts.add("shared")

    def note_stored(self, stored: bool) -> None:
        """Note whether the entry is in the store."""
        self._decision, self._reason = ("stored", None) if stored else ("not_stored", "disk")
        if stored and self._is_refresh:
            self._reason = "refresh"
        if stored:
            self._counts.add("stored")

    def note_stored_error(self, stored: bool) -> None:
        """Note that the call failed with an error that is stored."""
        self.note_stored(stored)
        if stored:
            self._reason = "error"
