"""Decide which calls may pass now, without waiting: the core of a limiter, for threads, tasks and simulators."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from itertools import count
from uuid import uuid4

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import LimitSettings
from llmops_sdk.errors import LimitExceededError
from llmops_sdk.providers import RateLimits
from llmops_sdk.resilience.limits._adaptive import AdaptiveLimit
from llmops_sdk.resilience.limits._calls import record_lowered
from llmops_sdk.resilience.limits._claims import Claims
from llmops_sdk.resilience.limits._headroom import Headroom
from llmops_sdk.resilience.limits._pass import Outcome, Pass
from llmops_sdk.resilience.limits._queue import FairQueue
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._state import Bucket, Claim, SharedState

__all__ = ["Admission", "Entry"]

Entry = tuple[SharedState, tuple[Claim, ...], "weakref.ref[Pass] | None"]
"""Where a call inside has its claims, which, and its pass."""

_BACKUP_SECONDS = 1.0
"""A waiter asks for the whole queue at least this often. Usually others wake it; one whose event loop is blocked, or
that an exception of a signal handler interrupted, does not."""

_SHORTEST_WAIT = 1e-4
"""Seconds: a shorter wait may be too short to change the time at all."""

_TICK = 0.001
"""Seconds: nobody is woken for a smaller change."""


class Admission:
    """Let calls pass, or keep them in a queue until others leave or time passes.

    Nothing here waits: `poll` lets those pass whose turn it is, and `due` says when to call it again. Each step can be
    interrupted by an exception of a signal handler: `leave` undoes what was half done.

    Args:
        name: The deployment or function.
        settings: The limits.
        state: Where slots and buckets are.
        clock: The time.
    """

    def __init__(self, name: str, settings: LimitSettings, state: SharedState, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self.state = state
        self.clock = clock
        self.adaptive: AdaptiveLimit | None = None
        self._reset()
        self._use(settings)
        _all.add(self)

    def _reset(self) -> None:
        """Forget the calls, as a forked child must: neither its parent's threads nor their calls are in it."""
        self._lock = threading.Lock()
        self._queue: FairQueue[Pass] = FairQueue()
        self._inside: dict[str, Entry] = {}
        self._abandoned: deque[weakref.ref[Pass]] = deque()
        """What passes leave behind that are garbage-collected inside. `append` is a function in C: a `__del__` could
        run where this thread has the lock, or swallow a Ctrl-C."""
        self._due: float | None = None
        self._headroom: Headroom | None = None
        self._timekeeper = ("", 0.0)
        self._holders = count()
        self._prefix = f"{uuid4().hex}-"

    def _use(self, settings: LimitSettings) -> None:
        most = settings.concurrency
        if not settings.adaptive:
            self.adaptive = None
        elif self.adaptive is None:
            self.adaptive = AdaptiveLimit(most)
        else:
            self.adaptive.resize(most)
        self.settings = settings
        self.claims = Claims(self.name, settings, most if self.adaptive is None else self.adaptive.limit)

    def configure(self, settings: LimitSettings, state: SharedState) -> None:
        """Use other settings and another state from now on. Calls inside stay, and count."""
        with self._lock:
            self.state = state
            self._use(settings)
            self._on_room()

    @property
    def blocking(self) -> bool:
        """Return whether the state is on a server."""
        return self.state.blocking

    @property
    def in_flight(self) -> int:
        """Return how many calls of this process are inside."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """Return how many calls of this process wait."""
        return len(self._queue)

    @property
    def due(self) -> float | None:
        """Return when to poll, in seconds of the monotonic clock; None if that depends on other calls only."""
        return self._due if self._queue else None

    def new_pass(self, tokens: float) -> Pass:
        """Return a pass that has not asked yet."""
        return Pass(self, f"{self._prefix}{next(self._holders)}", tokens)

    def ask(self, one: Pass) -> bool:
        """Let a call pass if nobody waits and the limits allow it; return whether it passed."""
        with self._lock:
            return not self._queue.owners and self._try(one)

    def enqueue(self, one: Pass, patience: float) -> bool:
        """Enqueue a call; return True if its turn came at once.

        Args:
            one: The pass.
            patience: Seconds that it waits at most.

        Raises:
            LimitExceededError: The queue is full, or the wait is known to be too long.
        """
        if self._abandoned:
            self._collect()
        with self._lock:
            one.asked_at = self.clock.monotonic()
            one.deadline = one.asked_at + patience
            self._admit()
            if self._queue and len(self._queue) >= self.settings.queue and not self._displaces(one):
                head = self._queue.head
                one.limit = None if head is None else head.limit
                raise self._refusal(one, f"{len(self._queue)} calls wait already, as many as its queue takes", "queue")
            one.stage = "waiting"
            if one.limit is None and (head := self._queue.head) is not None:
                one.limit = head.limit
            self._queue.push(one, one.who)
            if one in self._admit():
                return True
            if not self.settings.queue:
                raise self._refusal(one, "its queue is 0, so that no call waits", "queue")
            if self._is_hopeless(one):
                raise self._refusal(one, f"that is longer than the {patience:.3g} s that it may wait", "queue_timeout")
            return False

    def _displaces(self, one: Pass) -> bool:
        """Make room in a full queue for a caller with few waiting calls: whoever has the most loses the last one."""
        last = self._queue.last_of_longest(one.who) if self.settings.queue else None
        if last is None:
            return False
        self._queue.discard(last)
        last.error = self._refusal(last, "the queue is full, and no one else has so many calls in it", "queue")
        self._wake(last)
        return True

    def wait_seconds(self, one: Pass) -> float:
        """Return after how many seconds a waiting call should `check`, if nobody wakes it earlier."""
        now = self.clock.monotonic()
        with self._lock:
            seconds = min(one.deadline - now, _BACKUP_SECONDS)
            if self._due is not None and self._queue.head is one:
                seconds = min(seconds, self._due - now)
        return max(seconds, _SHORTEST_WAIT)

    def check(self, one: Pass) -> bool:
        """Return whether a waiting call has passed.

        Raises:
            LimitExceededError: It has not, and its time is up.
            BackendError: The server of the shared state failed.
        """
        if one.error is not None:
            raise one.error
        now = self.clock.monotonic()
        with self._lock:
            if one.stage != "inside" and now >= one.deadline:
                raise self._refusal(one, f"it waited {now - one.asked_at:.3g} s in vain", "queue_timeout")
            return one.stage == "inside"

    def poll(self) -> list[Pass]:
        """Let those pass whose turn it is; return them."""
        if self._abandoned:
            self._collect()
        with self._lock:
            return self._admit()

    def _refusal(self, one: Pass, why: str, bound: str) -> LimitExceededError:
        """Return the error of a call that does not pass; `bound` is the setting that ended its wait."""
        now, limit = self.clock.monotonic(), one.limit or "concurrency"
        wait = None if limit == "concurrency" or self._due is None else max(self._due - now, 0.0)
        soonest = "" if wait is None else f". A call may pass in {wait:.3g} s at the earliest"
        amount = getattr(self.settings, limit)
        if limit == "concurrency" and self.claims.slots is not None:
            amount = self.claims.slots.limit
        reached = (
            f"the provider's {limit} is used up" if amount is None else f"the limit {limit} = {amount:g} is reached"
        )
        if bound == "queue_timeout" and one.deadline < one.asked_at + self.settings.queue_timeout:
            bound = "the call's timeout"
        cure = bound if amount is None else f"{limit} or {bound}"
        return LimitExceededError(
            f"{self.name}: {reached}{soonest}; {why}. Send fewer calls, or raise {cure}",
            limit=limit,
            deployment=self.name,
            retry_after=wait,
            waited=max(now - one.asked_at, 0.0),
        )

    def leave(self, one: Pass) -> None:
        """Undo what a call has asked for, whatever came of it, and let the next one pass."""
        with self._lock:
            self._queue.discard(one)
            if one.claims:
                entry = self._inside.get(one.holder, (self.state, one.claims, None))
                self._give_back(one.holder, entry, self._refund(one) if one.stage == "inside" else ())
            self._inside.pop(one.holder, None)
            one.stage = "left"
            self._on_room()
        if self._abandoned:
            self._collect()

    def finish(self, one: Pass, tokens: float | None, outcome: Outcome) -> None:
        """End a call inside, and let the next one pass."""
        with self._lock:
            if (entry := self._inside.get(one.holder)) is not None:
                refund = self._correction(one, tokens) if self.claims.tokens else ()
                entry[0].release(one.holder, entry[1], refund=refund)
                self._inside.pop(one.holder, None)
            lowered = self._end(one, outcome)
            if self._queue.owners:
                self._on_room()
        if lowered is not None:
            record_lowered(self.name, lowered, outcome)
        if self._abandoned:
            self._collect()

    def _collect(self) -> None:
        """End the calls inside whose passes were garbage-collected."""
        with self._lock:
            for holder, entry in self._lost():
                self._give_back(holder, entry, ())
                self._inside.pop(holder, None)
            self._abandoned.clear()
            self._on_room()

    def _lost(self) -> list[tuple[str, Entry]]:
        return [(holder, entry) for holder, entry in self._inside.items() if entry[2] is not None and not entry[2]()]

    def observe(self, limits: RateLimits) -> None:
        """Hold calls back by what the provider's headers say."""
        with self._lock:
            headroom = self._headroom or Headroom()
            headroom.observe(limits, self.clock.monotonic())
            self._headroom = headroom
            if self._queue:
                self._on_room()

    def _try(self, one: Pass) -> bool:
        """Claim what a call needs; the caller has the lock."""
        if self._headroom is not None and self._is_held_back(one):
            return False
        claims = one.claims = self.claims.fixed if self.claims.tokens is None else self.claims.of_call(one.tokens)
        grant = self.state.claim(one.holder, claims)
        if grant.refused is None:
            self._enter(one, claims)
            return True
        self._refuse(one, grant.refused, grant.wait)
        return False

    def _is_held_back(self, one: Pass) -> bool:
        """Return whether the provider would throttle a call; the caller has the lock."""
        held = None if self._headroom is None else self._headroom.wait(one.tokens, self.clock.monotonic())
        if held is not None:
            self._refuse(one, *held)
        return held is not None

    def _enter(self, one: Pass, claims: tuple[Claim, ...]) -> None:
        self._inside[one.holder] = (self.state, claims, weakref.ref(one, self._abandoned.append))
        if one.stage == "waiting":
            one.waited = self.clock.monotonic() - one.asked_at
        one.stage = "inside"
        if (tokens := self.claims.tokens) is not None and one.tokens > tokens.capacity:
            self._give_back(one.holder, (self.state, (), None), (self.claims.debt(one.tokens),))
        if self._headroom is not None:
            self._headroom.take(one.tokens, self.clock.monotonic())
        if self.adaptive is not None:
            one.began = self.clock.monotonic()

    def _refuse(self, one: Pass, key: str, wait: float | None) -> None:
        one.limit = key.rpartition("/")[2]
        self._due = None if wait is None else self.clock.monotonic() + wait

    def _on_room(self) -> None:
        """Act on a call that left, or on a higher limit; the caller has the lock."""
        self._admit()

    def _admit(self) -> list[Pass]:
        """Let those pass whose turn it is; the caller has the lock."""
        passed: list[Pass] = []
        while (head := self._queue.head) is not None:
            if head.stage == "left" or head.deadline < self.clock.monotonic() - _BACKUP_SECONDS:
                self._queue.discard(head)  # an interrupted step left it, or its event loop no longer runs
                head.stage = "left"
            elif head.stage == "inside" or self._try(head):
                self._queue.take()
                if self._wake(head):
                    passed.append(head)
            elif self._is_told(head) or self._wake(head):
                break
        return passed

    def _is_told(self, head: Pass) -> bool:
        """Return whether the head knows that it keeps the time, and until when."""
        if self._due is None:
            return True
        who, due = self._timekeeper
        if who == head.holder and due <= self._due + _TICK:
            return True
        self._timekeeper = (head.holder, self._due)
        return False

    def _wake(self, one: Pass) -> bool:
        """Wake a waiting call; if its event loop is closed, undo what it has, and return False."""
        if one.latch is None:
            return True
        try:
            one.latch.set()
        except RuntimeError:
            self._queue.discard(one)
            if (entry := self._inside.get(one.holder)) is not None:
                self._give_back(one.holder, entry, self._refund(one))
            self._inside.pop(one.holder, None)
            one.stage = "left"
            return False
        return True

    def _give_back(self, holder: str, entry: Entry, refund: tuple[Bucket, ...]) -> None:
        """Release what a call has; the caller has the lock."""
        entry[0].release(holder, entry[1], refund=refund)

    def _is_hopeless(self, one: Pass) -> bool:
        # Calls inside may give back tokens that they did not use; requests never come back early.
        return (
            self._due is not None
            and self._due > one.deadline
            and self._queue.head is one
            and (one.limit == "requests_per_minute" or (one.limit == "tokens_per_minute" and not self._inside))
        )

    def _correction(self, one: Pass, tokens: float | None) -> tuple[Bucket, ...]:
        if tokens is None or tokens == one.tokens or self.claims.tokens is None:
            return ()
        return (self.claims.of_tokens(one.tokens - tokens),)

    def _refund(self, one: Pass) -> tuple[Bucket, ...]:
        """Return what a call took that was never made."""
        return tuple(
            bucket
            for bucket in (self.claims.requests, self.claims.tokens and self.claims.of_tokens(one.tokens))
            if bucket is not None
        )

    def _end(self, one: Pass, outcome: Outcome) -> int | None:
        """Note that a call inside has ended; return the limit that it has lowered. The caller has the lock."""
        if one.stage != "inside":
            return None
        one.stage = "left"
        if (adaptive := self.adaptive) is None:
            return None
        before = adaptive.limit
        adaptive.note(outcome, began=one.began, now=self.clock.monotonic(), in_flight=len(self._inside) + 1)
        if adaptive.limit == before:
            return None
        self.claims = Claims(self.name, self.settings, adaptive.limit)
        return adaptive.limit if adaptive.limit < before else None


_all: weakref.WeakSet[Admission] = weakref.WeakSet()


def _after_fork() -> None:
    for admission in list(_all):
        admission._reset()  # pyright: ignore[reportPrivateUsage] - the hook is part of the class
        if isinstance(admission.state, LocalState):
            admission.state = LocalState(admission.clock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
