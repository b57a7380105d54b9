"""`@limit`: limits on the calls of any callable, and on a block of code."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from llmops_sdk._util._callables import decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import LimitSettings, current
from llmops_sdk.errors import ConfigError
from llmops_sdk.resilience._decorated import Block, checked_name, name_of, wrap_callable
from llmops_sdk.resilience.limits._calls import Fairness, outcome_of
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.limits._pass import Pass
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._state import SharedState

__all__ = ["LimitPolicy", "limit"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

_forks = 0
_lock = threading.Lock()


def limit(
    concurrency: int | None = None,
    requests_per_minute: float | None = None,
    *,
    name: str | None = None,
    adaptive: bool = False,
    queue: int = 1_000,
    queue_timeout: float = 30.0,
    fair: Fairness = "none",
    shared: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> LimitPolicy:
    """Limit how many calls run at the same time or in a minute; a decorator, and a context manager.

    A call above the limit waits for its turn, in the order of arrival, for at most `queue_timeout`. Everything that one
    policy decorates, and each block under it, shares its limits. A generator is a call until its last item. Waits and
    refusals are events on the current span.

    Args:
        concurrency: The most calls at the same time.
        requests_per_minute: The most calls that begin in a minute: in any 60 seconds, and at most a tenth of them at
            once.
        name: Its name in errors, in the view `traffic` and on the server; by default that of the first function
            decorated.
        adaptive: True lowers the concurrency after errors with the status 429 or 529 and after time-outs, and raises it
            again step by step, up to `concurrency`, or 1,000. It starts at 20.
        queue: The most calls that wait; one more is refused at once.
        queue_timeout: Seconds that a call waits at most.
        fair: Who takes turns in the queue: "user" or "session" of `llmops.context`; "none" keeps the order of arrival.
        shared: True counts the calls of all programs that use the server of `[shared]` and this name.
        clock: The time, and how to wait.

    Returns:
        The policy, for `@policy`, `with policy:` and `async with policy:`.

    Raises:
        ConfigError: There is no limit, one is not valid, or a shared one has no name.
        LimitExceededError: At a call: the queue is full, or the wait took too long.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.limit(concurrency=2)
        ... def ask(question: str) -> str:
        ...     return question.upper()
        >>> ask("hello")
        'HELLO'
        >>> with llmops.limit(1, name="report") as policy:
        ...     policy.in_flight
        1
    """
    settings = LimitSettings(
        concurrency=None if callable(concurrency) else concurrency,
        requests_per_minute=requests_per_minute,
        adaptive=adaptive,
        queue=queue,
        queue_timeout=queue_timeout,
        fair=fair,
    )
    _check(settings, name, shared=shared)
    return LimitPolicy(settings, checked_name("limit", name), shared=shared, clock=clock)


def _check(settings: LimitSettings, name: str | None, *, shared: bool) -> None:
    if not settings.is_on:
        raise ConfigError(
            "@limit needs a limit: give concurrency, requests_per_minute or adaptive=True, as in @limit(concurrency=5)",
            key="concurrency",
        )
    if shared and not name:
        raise ConfigError("@limit(shared=True) needs a name, which all programs give to the same limit", key="name")


class LimitPolicy(Block):
    """Limits on functions and blocks of code; see `limit`."""

    def __init__(self, settings: LimitSettings, name: str, *, shared: bool, clock: Clock) -> None:
        self._settings = settings
        self._shared = shared
        self._clock = clock
        self._name = name
        self._limiter: Limiter | None = None
        self._forks = _forks
        self._entered: deque[Pass] = deque()

    @property
    def name(self) -> str:
        """Return the name in errors and in the view `traffic`."""
        return self._name

    @property
    def in_flight(self) -> int:
        """Return how many calls of this process run now."""
        return self.limiter.in_flight

    @property
    def waiting(self) -> int:
        """Return how many calls of this process wait."""
        return self.limiter.waiting

    @property
    def concurrency(self) -> int | None:
        """Return the most calls at the same time, which an adaptive limit changes; None for no limit."""
        return self.limiter.concurrency

    @property
    def limiter(self) -> Limiter:
        """Return the limiter, as of its first use: its name and the server are known then."""
        if self._limiter is None or self._forks != _forks:
            with _lock:
                if self._limiter is None or self._forks != _forks:
                    self._name = self._name or "limit"
                    self._limiter = Limiter(self._name, self._settings, self._open_state(), self._clock)
                    self._forks = _forks
        return self._limiter

    def _open_state(self) -> SharedState:
        if not self._shared:
            return LocalState(self._clock)
        from llmops_sdk.shared._open import open_state  # brings what talks to servers

        return open_state(current().shared, self._clock)

    def __call__(self, function: _F) -> _F:
        """Return the function under these limits; its signature and types stay."""
        if not self._name:
            self._name = name_of(function)

        def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
            return wrap_callable(target, lambda: _LimitRun(target, self))

        return decorate(function, wrap)

    def enter(self) -> Pass:
        """Wait for permission."""
        return self.limiter.enter()

    async def aenter(self) -> Pass:
        """Wait for permission, async."""
        return await self.limiter.aenter()

    def __enter__(self) -> Self:
        self._entered.append(self.enter())
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        # One block's pass is as good as another's: without tokens they differ in nothing but their names.
        self._entered.pop().exit(outcome=outcome_of(error))
        return False

    async def __aenter__(self) -> Self:
        self._entered.append(await self.aenter())
        return self


@dataclass(slots=True)
class _LimitRun:
    """One call of a function under limits."""

    target: Callable[..., Any]
    policy: LimitPolicy
    one: Pass | None = None

    def begin(self) -> _PassScope:
        assert self.one is not None
        return _PassScope(self.one)

    def call(self, attempt: Callable[[Callable[..., Any]], _T]) -> _T:
        self.one = self.policy.enter()
        return attempt(self.target)

    async def acall(self, attempt: Callable[[Callable[..., Any]], Awaitable[_T]]) -> _T:
        self.one = await self.policy.aenter()
        return await attempt(self.target)


@dataclass(frozen=True, slots=True)
class _PassScope:
    """Ends a pass with what the block raised."""

    one: Pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.one.exit(outcome=outcome_of(error))


def _after_fork() -> None:
    # A child has neither its parent's threads, one of which may hold the lock, nor the connections to the server.
    global _forks, _lock
    _forks += 1
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
