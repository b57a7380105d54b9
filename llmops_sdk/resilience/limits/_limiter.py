"""Wait for a limiter's permission: threads block, and tasks await."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock, is_real_time
from llmops_sdk._util._latch import Latch
from llmops_sdk.config import LimitSettings
from llmops_sdk.errors import LimitExceededError
from llmops_sdk.providers import RateLimits
from llmops_sdk.resilience.limits._admission import Admission
from llmops_sdk.resilience.limits._calls import (
    is_cancelled,
    record_cancelled_wait,
    record_limit_refusal,
    record_wait,
    turn_of,
)
from llmops_sdk.resilience.limits._pass import Pass
from llmops_sdk.resilience.limits._server_admission import ServerAdmission
from llmops_sdk.shared._state import SharedState

if TYPE_CHECKING:
    from llmops_sdk.resilience.limits._latches import AsyncLatch

__all__ = ["Limiter"]

_T = TypeVar("_T")


class Limiter:
    """Limit the calls to one deployment or function, for threads and any number of event loops at the same time.

    A simulator uses `ask`, `enqueue`, `poll` and `due`, which never wait.

    Args:
        name: The deployment's or function's name, in errors and as the key in the shared state.
        settings: The limits.
        state: Where slots and buckets are.
        clock: The time, and how to wait.

    Example:
        >>> from llmops_sdk.config import LimitSettings
        >>> from llmops_sdk.resilience.limits._limiter import Limiter
        >>> from llmops_sdk.shared._local import LocalState
        >>> limiter = Limiter("openai/gpt-4.1", LimitSettings(concurrency=1, queue_timeout=0), LocalState())
        >>> with limiter.enter():
        ...     limiter.in_flight
        1
        >>> limiter.in_flight
        0
    """

    __slots__ = ("_admission",)

    def __init__(self, name: str, settings: LimitSettings, state: SharedState, clock: Clock = SYSTEM_CLOCK) -> None:
        self._admission = _admission(name, settings, state, clock)

    def configure(self, settings: LimitSettings, state: SharedState) -> None:
        """Use other settings and another state from now on. Calls inside stay, and waiting calls keep their turn."""
        admission = self._admission
        if admission.blocking == state.blocking:
            admission.configure(settings, state)
        else:
            self._admission = _admission(admission.name, settings, state, admission.clock)

    @property
    def name(self) -> str:
        """Return the deployment's or function's name."""
        return self._admission.name

    @property
    def settings(self) -> LimitSettings:
        """Return the limits."""
        return self._admission.settings

    @property
    def in_flight(self) -> int:
        """Return how many calls of this process are inside."""
        return self._admission.in_flight

    @property
    def waiting(self) -> int:
        """Return how many calls of this process wait."""
        return self._admission.waiting

    @property
    def concurrency(self) -> int | None:
        """Return the limit on concurrency in force, which an adaptive one changes; None for no limit."""
        slots = self._admission.claims.slots
        return None if slots is None else slots.limit

    @property
    def is_full(self) -> bool:
        """Return whether one more call would wait: others of this process do, or have every slot."""
        slots = self.concurrency
        return self.waiting > 0 or (slots is not None and self.in_flight >= slots)

    def observe(self, limits: RateLimits) -> None:
        """Hold calls back that the provider would throttle, as the headers of its answers say.

        Args:
            limits: What is left, of the latest answer or error.
        """
        self._admission.observe(limits)

    @property
    def due(self) -> float | None:
        """Return when to `poll`, in seconds of the monotonic clock; None if that depends on other calls only."""
        return self._admission.due

    def ask(self, *, tokens: float = 0.0, who: str = "", timeout: float | None = None) -> Pass:
        """Return a pass at once: inside, or waiting. `poll` returns it when it passes; `withdraw` it when it gives up.

        Args:
            tokens: As in `enter`.
            who: Who takes turns in the queue.
            timeout: As in `enter`.

        Raises:
            LimitExceededError: The queue is full, or the wait is known to be too long.
        """
        admission = self._admission
        one = admission.new_pass(tokens)
        one.who = who
        try:
            if not admission.ask(one):
                admission.enqueue(one, self._patience(timeout))
        except BaseException:
            admission.leave(one)
            raise
        return one

    def poll(self) -> list[Pass]:
        """Let those pass whose turn it is; return them."""
        return self._admission.poll()

    def withdraw(self, one: Pass) -> None:
        """Let a call leave that has not been made: what it took is given back."""
        self._admission.leave(one)

    def enter(self, *, tokens: float = 0.0, who: str | None = None, timeout: float | None = None) -> Pass:
        """Wait for permission, and return the pass: call its `exit` in any case.

        A wait, a refusal, and a wait that the caller ends are recorded.

        Args:
            tokens: The tokens that the call will take, by estimate.
            who: Who takes turns in the queue; by default the user or the session of the context, as the settings say.
            timeout: Seconds to wait at most; `queue_timeout` is a bound, too.

        Raises:
            LimitExceededError: The queue is full, or the wait takes too long.
        """
        admission = self._admission
        one = admission.new_pass(tokens)
        try:
            if not admission.ask(one):
                self._wait(admission, one, who, timeout)
        except BaseException as error:
            _give_up(admission, one, error)
            raise
        return one

    async def aenter(self, *, tokens: float = 0.0, who: str | None = None, timeout: float | None = None) -> Pass:
        """Wait for permission as `enter` does, async. Cancellation leaves the queue, and gives a slot on."""
        admission = self._admission
        one = admission.new_pass(tokens)
        try:
            if not (await _in_thread(admission, admission.ask, one) if admission.blocking else admission.ask(one)):
                await self._await(admission, one, who, timeout)
        except BaseException as error:
            _give_up(admission, one, error)
            raise
        return one

    def _wait(self, admission: Admission, one: Pass, who: str | None, timeout: float | None) -> None:
        one.latch = latch = Latch()
        one.who = turn_of(admission.settings.fair) if who is None else who
        passed = admission.enqueue(one, self._patience(timeout))
        while not passed:
            seconds = admission.wait_seconds(one)
            if is_real_time(admission.clock):
                latch.wait(seconds)
            elif not latch.wait(0.0):
                admission.clock.sleep(seconds)
            admission.poll()
            passed = admission.check(one)
        record_wait(admission.name, one)

    async def _await(self, admission: Admission, one: Pass, who: str | None, timeout: float | None) -> None:
        one.latch = latch = _async_latch()
        one.who = turn_of(admission.settings.fair) if who is None else who
        passed = admission.enqueue(one, self._patience(timeout))
        while not passed:
            seconds = admission.wait_seconds(one)
            if is_real_time(admission.clock):
                await latch.wait(seconds)
            else:
                await admission.clock.asleep(seconds)
            if not admission.blocking:
                admission.poll()
            elif (due := admission.due) is None or admission.clock.monotonic() >= due:
                await _in_thread(admission, admission.poll)
            passed = admission.check(one)
        record_wait(admission.name, one)

    def _patience(self, timeout: float | None) -> float:
        longest = self._admission.settings.queue_timeout
        return longest if timeout is None else max(min(timeout, longest), 0.0)


def _admission(name: str, settings: LimitSettings, state: SharedState, clock: Clock) -> Admission:
    return (ServerAdmission if state.blocking else Admission)(name, settings, state, clock)


def _give_up(admission: Admission, one: Pass, error: BaseException) -> None:
    """Take a call out of an admission, and record why: it was refused, or its caller ended the wait."""
    waited = admission.clock.monotonic() - one.asked_at if one.stage == "waiting" else 0.0
    admission.leave(one)
    if isinstance(error, LimitExceededError):
        record_limit_refusal(admission.name, error)
    elif waited and is_cancelled(error):
        record_cancelled_wait(admission.name, one, waited)


async def _in_thread(admission: Admission, function: Callable[..., _T], *args: Any) -> _T:
    """Call the server of an admission in a thread; if the task is cancelled, the call goes on there."""
    import asyncio  # a program without async code never pays for it

    assert isinstance(admission, ServerAdmission)
    return await asyncio.get_running_loop().run_in_executor(admission.pool, function, *args)


def _async_latch() -> AsyncLatch:
    from llmops_sdk.resilience.limits._latches import AsyncLatch  # imports asyncio

    return AsyncLatch()
