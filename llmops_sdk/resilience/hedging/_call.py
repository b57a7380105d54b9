"""One hedged call: its one or two requests, which of them won, and what is recorded of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from llmops_sdk._util._clock import Clock
from llmops_sdk.errors import ProviderTimeoutError
from llmops_sdk.providers.traffic import Leg, Route
from llmops_sdk.resilience._error_classes import is_refusal
from llmops_sdk.resilience.hedging._policy import HedgePolicy
from llmops_sdk.shared._decisions import record_decision

__all__ = ["Entry", "HedgedCall"]

_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class Entry(Generic[_T]):
    """One request of a race.

    Attributes:
        leg: What the attempt's record gets of it.
        result: Its answer, once it has one.
        error: Its error, or None.
        ended: Whether it has an answer or an error.
        sent: Whether its thread or task has begun.
    """

    leg: Leg
    result: _T | None = None
    error: BaseException | None = None
    ended: bool = False
    sent: bool = False

    def end(self, result: _T | None, error: BaseException | None) -> None:
        """Note the end."""
        self.result, self.error, self.ended = result, error, True

    def value(self) -> _T:
        """Return the answer, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("_T", self.result)


class HedgedCall(Generic[_T]):
    """The state of one call that may be sent twice. Only the caller's thread or task changes it.

    Args:
        policy: Says when, and whether.
        clock: The time.
        name: The model or the function, for the record.
        route: Where the retry above wants to see the requests, or None.
        has_room: Returns whether a second request could go out at once. One that waits in our own queue would add to
            the load that the first one waits for.

    Attributes:
        delay: Seconds after which the second request may go out; None for a call that must not be hedged.
        first: The first request.
        second: The second one, once it is sent.
        winner: The one whose end is the call's, once that is settled; None if the caller left before.
    """

    def __init__(
        self,
        policy: HedgePolicy,
        clock: Clock,
        name: str,
        route: Route | None,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.delay = policy.delay()
        self.second: Entry[_T] | None = None
        self.winner: Entry[_T] | None = None
        self._policy, self._clock, self._name, self._route = policy, clock, name, route
        self._has_room = has_room
        self._began = clock.monotonic()
        self.first: Entry[_T] = Entry(self._leg("first") if route is None else route.leg)
        self._cost: float | None = None
        self._recorded = False

    def _leg(self, reason: str) -> Leg:
        return Leg(reason=reason, start_ns=int(self._clock.time() * 1e9), began=self._clock.monotonic())

    def elapsed(self) -> float:
        """Return the seconds since the call began."""
        return self._clock.monotonic() - self._began

    def take_second(self) -> Entry[_T] | None:
        """Return the second request, to be sent now; None when the share is used up, or when it would have to wait."""
        if not self._has_room() or not self._policy.take():
            return None
        self.second = Entry(self._leg("hedge"))
        if self._route is not None:
            self._route.legs.append(self.second.leg)
        return self.second

    def note_sent(self, entry: Entry[_T]) -> None:
        """Note that a request goes out now, and record the second one."""
        entry.sent = True
        if entry is not self.second:
            return
        record_decision("hedge", "hedged", deployment=self._name, wait_ms=self.elapsed() * 1000)

    def withdraw_second(self) -> None:
        """Undo `take_second`: nothing was sent."""
        if self.second is None:
            return
        if self._route is not None:
            self._route.legs.remove(self.second.leg)
        self.second = None
        self._policy.give_back()

    def decided(self) -> Entry[_T] | None:
        """Return the request whose end is the call's: one that succeeded, or the first one when none can any more."""
        entries = [self.first] if self.second is None else [self.first, self.second]
        for entry in entries:
            if entry.ended and entry.error is None:
                return entry
        return self.first if all(entry.ended for entry in entries) else None

    def settle(self) -> None:
        """Note which request counts; close the record of the other one, and observe the latency of the first."""
        now = self._clock.monotonic()
        self._observe(now)
        winner = self.winner = self.decided()
        second = self.second
        if second is None:
            return
        if not second.sent:
            self.withdraw_second()  # the first one answered before its thread or task began
            return
        if second.error is not None and is_refusal(second.error):
            record_decision("hedge", "refused", deployment=self._name, reason=type(second.error).__name__)
            self.withdraw_second()
            return
        loser = self.first if winner is second else second
        loser.leg.close("cancelled" if loser.error is None else "error", now, loser.error)
        if winner is None or winner.error is not None:
            self.record()

    def _observe(self, now: float) -> None:
        first, latency = self.first, now - self._began
        if first.ended:
            counts = first.error is None or isinstance(first.error, ProviderTimeoutError)
        else:
            # It would have taken longer than this. Below the delay that says nothing about the percentile.
            counts = self.delay is not None and latency >= self.delay
        if counts:
            self._policy.observe(latency)

    def note_cost(self, cost: float | None) -> None:
        """Note the USD of the answer; it is also the estimate for the request that was cancelled."""
        if cost is None or self.second is None:
            return
        loser = self.first if self.winner is self.second else self.second
        if loser.leg.status == "cancelled":
            self._cost = loser.leg.cost = cost

    def record(self) -> None:
        """Record once how the hedge ended, and its cost: that of the request whose answer was not used."""
        second = self.second
        if second is None or self._recorded:
            return
        self._recorded = True
        record_decision(
            "hedge",
            "won" if self.winner is second else "lost",
            deployment=self._name if second.leg.target is None else second.leg.target.deployment,
            reason=None if second.error is None else type(second.error).__name__,
            cost=self._cost,
        )
