"""The circuit breaker of one deployment: closed, open, half-open with one probe, and the cooldown."""

from __future__ import annotations

import math
import os
import threading
import weakref
from typing import Literal, NamedTuple, TypeAlias

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import BreakerSettings
from llmops_sdk.errors import CircuitOpenError
from llmops_sdk.shared._server import BackendError
from llmops_sdk.shared._state import SharedState

__all__ = ["Breaker", "BreakerState", "Change", "Result", "Trial"]

Result: TypeAlias = Literal["ok", "failure", "neutral"]
"""What a call says about the deployment: it works, it is down, or nothing."""

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]

_READ_SECONDS = 0.25
"""Seconds between two looks at the pause that processes share."""

_TICK = 0.02
"""Seconds by which a pause ends early: an event loop may wake a caller up to one tick (Windows: 16 ms) too early."""

_MAX_DOUBLINGS = 4
"""A probe has `open_seconds`; after one that hangs the next has twice the time, up to 2⁴ times."""


class Change(NamedTuple):
    """A change of a breaker, which is worth a row in the view `traffic`.

    Attributes:
        decision: What changed: opened, half_open, closed, or paused for a Retry-After.
        seconds: For how long no call passes; 0.0 for closed, and the probe's time for half_open.
        failures: The failures in a row.
    """

    decision: Literal["opened", "half_open", "closed", "paused"]
    seconds: float
    failures: int


class Breaker:
    """Decide whether calls to a deployment pass, and learn from their results. Threads and event loops may share it.

    `failures` in a row open it. After `open_seconds` one call passes as the probe: its success closes the breaker, its
    failure opens it again, and a cancelled probe leaves its place to the next call. A probe that does not end in
    `open_seconds` is given up, and the next one has twice the time, so that a deployment that has become slow is found
    to work after all. The result of a call that began before the last change of the breaker counts no more.

    A Retry-After pauses the deployment for all callers, whatever the state. Calls that were under way when the pause
    began do not prolong it unless the server asks them for a longer wait: a burst of refused calls would otherwise
    keep out its own first retries.

    It does no I/O, except that `refresh` and `publish` ask the server of a blocking `state`.

    Args:
        name: The name of the deployment.
        settings: The bounds.
        clock: The time.
        state: Where processes share pauses; None for this breaker alone.

    Example:
        >>> from llmops_sdk.config import BreakerSettings
        >>> from llmops_sdk.resilience.breaker._breaker import Breaker
        >>> from llmops_sdk.testing import ManualClock
        >>> clock = ManualClock()
        >>> breaker = Breaker("east", BreakerSettings(failures=1, open_seconds=30), clock)
        >>> breaker.admit().end("failure")
        (Change(decision='opened', seconds=30.0, failures=1),)
        >>> breaker.retry_in
        30.0
        >>> clock.advance(30)
        >>> probe = breaker.admit()
        >>> probe.is_probe, breaker.is_ready
        (True, False)
        >>> probe.end("ok"), breaker.state
        ((Change(decision='closed', seconds=0.0, failures=0),), 'closed')
    """

    def __init__(
        self, name: str, settings: BreakerSettings, clock: Clock = SYSTEM_CLOCK, state: SharedState | None = None
    ) -> None:
        self.name = name
        self._clock = clock
        self.configure(settings, state)
        self._pause_key = f"pause:{name}"
        # The garbage collector may close an abandoned stream, and so end a trial, while this thread holds the lock.
        self.lock = threading.RLock()
        self._generation = 0
        self._failures = 0
        self._open = False
        self._open_until = 0.0
        self._probe: Trial | None = None
        self._probe_until = 0.0
        self._probes_given_up = 0
        self._pause_began = self._pause_until = self._pause_seconds = 0.0
        _breakers.add(self)

    def configure(self, settings: BreakerSettings, state: SharedState | None) -> None:
        """Use other bounds, and share pauses elsewhere, from now on; an open breaker stays open."""
        self.settings = settings
        self._shared = state
        self._blocking = state is not None and state.blocking
        self._read_next = math.inf if state is None else -math.inf
        """When to look at the pause again that processes share."""

    @property
    def state(self) -> BreakerState:
        """Return "half_open" from the end of the open time until a probe closes the breaker or opens it again."""
        if not self._open:
            return "closed"
        return "open" if self._clock.monotonic() < self._open_until else "half_open"

    @property
    def is_ready(self) -> bool:
        """Return whether a call would pass now."""
        return self.retry_in is None

    @property
    def retry_in(self) -> float | None:
        """Return the seconds until a call may pass, or None if one may pass now; while a probe runs, its time left."""
        now = self._clock.monotonic()
        with self.lock:
            return self._closed_for(now)

    @property
    def cooldown(self) -> float:
        """Return the seconds until the end of a pause, as the server asked for it; 0.0 without one."""
        left = self._pause_until - self._clock.monotonic()
        return left + _TICK if left > 0.0 else 0.0

    @property
    def refresh_due(self) -> bool:
        """Return whether a caller should call `refresh` now: the state is on a server, and the last look is old."""
        return self._blocking and self._clock.monotonic() >= self._read_next

    @property
    def is_published_late(self) -> bool:
        """Return whether the caller must `publish` a pause: the state is on a server, which may take its time."""
        return self._blocking

    def refresh(self) -> None:
        """Read the pause that other processes noted. With a blocking state it may wait for the server."""
        # Before the look, so that other callers do not look, too.
        now = self._clock.monotonic()
        self._read_next = now + _READ_SECONDS
        if self._shared is None or not self.settings.cooldown:
            return
        try:
            left = min(self._shared.paused(self._pause_key), self.settings.max_cooldown)
        except BackendError:  # the state itself warns of it; until it is back, each process has its own pauses
            return
        with self.lock:
            # What this process noted itself comes back later by the time that the server took.
            if left > 0.0 and now + left > self._pause_until + _READ_SECONDS:
                self._pause(now, left)

    def publish(self, seconds: float) -> None:
        """Tell other processes of a pause. With a blocking state it may wait for the server."""
        if self._shared is None:
            return
        try:
            self._shared.pause(self._pause_key, seconds)
        except BackendError:  # as in `refresh`
            return

    def check(self) -> None:
        """Raise if no call may pass; a probe is not taken.

        Raises:
            CircuitOpenError: The breaker is open, its probe is under way, or the deployment is paused.
        """
        now = self._clock.monotonic()
        # Without the lock: nobody waits here for a breaker that is closed, and `admit` decides in the end.
        if not self._open and now >= self._pause_until and (now < self._read_next or self._blocking):
            return
        self._read_local(now)
        with self.lock:
            if (seconds := self._closed_for(now)) is not None:
                raise self._error(seconds, now)

    def admit(self) -> Trial:
        """Let a call pass, as the probe if the open time is over; of many callers then exactly one passes.

        Returns:
            The call's trial, which must be ended.

        Raises:
            CircuitOpenError: As from `check`.
        """
        now = self._clock.monotonic()
        if now >= self._read_next:
            self._read_local(now)
        with self.lock:
            if (seconds := self._closed_for(now)) is not None:
                raise self._error(seconds, now)
            if not self._open:
                return Trial(self, self._generation, now)
            if self._probe is not None:
                self._probes_given_up = min(self._probes_given_up + 1, _MAX_DOUBLINGS)
            self._generation += 1
            self._probe_until = now + self.settings.open_seconds * 2.0**self._probes_given_up
            self._probe = trial = Trial(self, self._generation, now, is_probe=True)
            return trial

    def end_trial(self, trial: Trial, result: Result, retry_after: float | None) -> tuple[Change, ...]:
        """See `Trial.end`."""
        now = self._clock.monotonic()
        with self.lock:
            if trial.ended:
                return ()
            trial.ended = True
            pause = () if retry_after is None else self._paused(trial, now, retry_after)
            if trial.generation != self._generation:
                return pause
            if result == "ok" and not trial.is_probe:
                self._failures = 0
                return pause
            return (*pause, *self._judge(trial, now, result))

    def confirm_trial(self, trial: Trial) -> tuple[Change, ...]:
        """See `Trial.confirm`."""
        with self.lock:
            if not trial.is_probe or trial.generation != self._generation or trial.ended:
                return ()
            change = self._close()
            # The rest of the stream counts as a call to the closed breaker.
            trial.generation, trial.is_probe = self._generation, False
            return (change,)

    def reset_in_child(self) -> None:
        """Replace the lock, which a thread of the parent may hold, and free the probe of the parent."""
        self.lock = threading.RLock()
        self._generation, self._probe = self._generation + 1, None

    def _judge(self, trial: Trial, now: float, result: Result) -> tuple[Change, ...]:
        if result == "neutral":
            if trial.is_probe:
                self._probe = None
            return ()
        if result == "ok":
            return (self._close(),)
        self._failures += 1
        if not trial.is_probe and (self.settings.failures is None or self._failures < self.settings.failures):
            return ()
        self._open, self._open_until = True, now + self.settings.open_seconds
        self._generation += 1
        self._probe, self._probes_given_up = None, 0
        return (Change("opened", self.settings.open_seconds, self._failures),)

    def _close(self) -> Change:
        self._open, self._probe, self._probes_given_up, self._failures = False, None, 0, 0
        self._generation += 1
        return Change("closed", 0.0, 0)

    def _paused(self, trial: Trial, now: float, retry_after: float) -> tuple[Change, ...]:
        """Pause for a Retry-After; return the change unless a pause in force is enough."""
        if not self.settings.cooldown or not retry_after > 0.0:
            return ()
        seconds = min(retry_after, self.settings.max_cooldown)
        in_force = now < self._pause_until
        if in_force and (
            now + seconds <= self._pause_until or (trial.began <= self._pause_began and seconds <= self._pause_seconds)
        ):
            return ()
        self._pause(now, seconds)
        if self._shared is not None and not self._blocking:
            self.publish(seconds)
        return (Change("paused", seconds, self._failures),)

    def _pause(self, now: float, seconds: float) -> None:
        self._pause_began, self._pause_seconds, self._pause_until = now, seconds, now + max(seconds - _TICK, 0.0)

    def _read_local(self, now: float) -> None:
        if not self._blocking and now >= self._read_next:
            self.refresh()

    def _closed_for(self, now: float) -> float | None:
        """Return the seconds for which no call may pass, or None if one may pass; the caller holds the lock."""
        until = self._pause_until
        if self._open:
            until = max(until, self._open_until if self._probe is None else self._probe_until)
        return until - now if now < until else None

    def _error(self, seconds: float, now: float) -> CircuitOpenError:
        if not self._open:
            why = "cools down, as the Retry-After of an earlier call asked"
        elif self._probe is not None:
            why = "had failures in a row, and one call probes whether it works again"
        elif now < self._open_until:
            why = f"had {self._failures} failures in a row, so its circuit breaker is open"
        else:
            why = "had failures in a row and cools down, as the Retry-After of an earlier call asked"
        return CircuitOpenError(
            f"{self.name} {why}; the next call may pass in {seconds:.3g} s (`error.retry_at`). "
            "Wait until then, or use a fallback",
            retry_at=seconds,
            deployment=self.name,
        )


class Trial:
    """A call that a breaker let pass.

    Attributes:
        generation: The number of changes of the breaker before this call.
        began: The clock's reading at that time, in seconds.
        is_probe: Whether the call probes a deployment that was down.
        ended: Whether `end` was called.
    """

    __slots__ = ("_breaker", "began", "ended", "generation", "is_probe")

    def __init__(self, breaker: Breaker, generation: int, began: float, *, is_probe: bool = False) -> None:
        self._breaker = breaker
        self.generation = generation
        self.began = began
        self.is_probe = is_probe
        self.ended = False

    def confirm(self) -> tuple[Change, ...]:
        """Note the first piece of a stream: of a probe it closes the breaker, and the stream goes on as a usual call.

        Of a usual call it changes nothing: streams that all break after their first piece must open the breaker.
        """
        return self._breaker.confirm_trial(self)

    def end(self, result: Result, retry_after: float | None = None) -> tuple[Change, ...]:
        """End the call; a second time does nothing.

        Args:
            result: What the call says about the deployment.
            retry_after: Seconds for which the server asked all callers to wait, or None.

        Returns:
            The changes of the breaker, for its record.
        """
        return self._breaker.end_trial(self, result, retry_after)


_breakers: weakref.WeakSet[Breaker] = weakref.WeakSet()


def _after_fork() -> None:
    for breaker in list(_breakers):
        breaker.reset_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
