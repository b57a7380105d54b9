"""`@breaker`: the circuit breaker for any callable, and for a block of code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast, overload

from llmops_sdk._util._callables import decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import BreakerSettings
from llmops_sdk.errors import CircuitOpenError, ConfigError
from llmops_sdk.resilience._decorated import Block, checked_name, name_of, wrap_callable
from llmops_sdk.resilience._error_classes import ErrorFilter, error_filter, is_transient
from llmops_sdk.resilience.breaker._breaker import Breaker, BreakerState, Result, Trial
from llmops_sdk.resilience.breaker._record import record_changes, record_probe, record_refusal
from llmops_sdk.resilience.breaker._results import pause_of, result_of

__all__ = ["BreakerPolicy", "breaker"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


@overload
def breaker(failures: _F, /) -> _F: ...
@overload
def breaker(
    failures: int = 5,
    open_seconds: float = 30.0,
    *,
    name: str | None = None,
    on: ErrorFilter | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> BreakerPolicy: ...
def breaker(
    failures: object = 5,
    open_seconds: float = 30.0,
    *,
    name: str | None = None,
    on: ErrorFilter | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Fail at once instead of calling what has failed several times in a row; a decorator, and a context manager.

    After `open_seconds` one call passes as a probe: its success closes the breaker, its failure opens it again. The
    Retry-After of a 429 or 503 pauses all callers for that time. Everything that one policy decorates, and each block
    under it, shares its state. A generator counts as working from its first item on, and its breaking later as a
    failure. What the breaker does is an event on the current span.

    Args:
        failures: The failures in a row that open the breaker.
        open_seconds: Seconds that it stays open.
        name: Its name in errors and in the view `traffic`; by default that of the first function decorated.
        on: The exceptions that are failures, or a function that decides. By default outages, time-outs and broken
            connections, of providers and of vendors' clients; not 429, and not bad requests.
        clock: The time.

    Returns:
        The policy, for `@policy`, `with policy:` and `async with policy:`.

    Raises:
        ConfigError: A bound is not valid.
        CircuitOpenError: At a call: it was refused; `retry_at` has the seconds until one may pass.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.breaker(failures=2, open_seconds=60)
        ... def ask() -> str:
        ...     raise TimeoutError("too slow")
        >>> for _ in range(3):
        ...     try:
        ...         ask()
        ...     except (TimeoutError, llmops.CircuitOpenError) as error:
        ...         print(type(error).__name__)
        TimeoutError
        TimeoutError
        CircuitOpenError
    """
    if callable(failures) or isinstance(failures, (classmethod, staticmethod)):
        return breaker()(cast("Callable[..., Any]", failures))  # `@breaker` without parentheses
    settings = BreakerSettings(failures=cast("int", failures), open_seconds=open_seconds)
    if settings.failures is None:
        raise ConfigError("@breaker(failures=None): give a whole number above zero", key="failures", value=None)
    return BreakerPolicy(Breaker(checked_name("breaker", name), settings, clock), on, clock)


class BreakerPolicy(Block):
    """A circuit breaker for functions and blocks of code; see `breaker`."""

    def __init__(self, policy: Breaker, on: ErrorFilter | None, clock: Clock) -> None:
        self._breaker = policy
        self._gate = _Gate(policy, None if on is None else error_filter(on, is_transient), clock)
        self._entered = _EnteredTrials(policy)

    @property
    def name(self) -> str:
        """Return the name in errors and in the view `traffic`."""
        return self._breaker.name

    @property
    def state(self) -> BreakerState:
        """Return "closed", "open" or "half_open"."""
        return self._breaker.state

    def __call__(self, function: _F) -> _F:
        """Return the function under this breaker; its signature and types stay."""
        if not self._breaker.name:
            self._breaker.name = name_of(function)

        def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
            return wrap_callable(target, lambda: _BreakerRun(target, self._gate))

        return decorate(function, wrap)

    def __enter__(self) -> Self:
        if not self._breaker.name:
            self._breaker.name = "breaker"
        self._entered.push(self._gate.admit())
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if (trial := self._entered.pop()) is not None:
            self._gate.end(trial, error)
        return False


@dataclass(frozen=True, slots=True)
class _Gate:
    """Begins and ends the trials of a policy, and records what the breaker does."""

    breaker: Breaker
    is_failure: Callable[[BaseException], bool] | None
    clock: Clock

    def admit(self) -> Trial:
        try:
            trial = self.breaker.admit()
        except CircuitOpenError as error:
            record_refusal(self.breaker, error)
            raise
        record_probe(self.breaker, trial)
        return trial

    def confirm(self, trial: Trial) -> None:
        record_changes(self.breaker, trial.confirm())

    def end(self, trial: Trial, error: BaseException | None) -> None:
        result: Result = "neutral"
        try:
            result = self._result_of(error)  # may ask a function of the application
        finally:
            changes = trial.end(result, pause_of(error, self.clock.time()))
            record_changes(self.breaker, changes, error)

    def _result_of(self, error: BaseException | None) -> Result:
        if self.is_failure is None or not isinstance(error, Exception):
            return result_of(error)
        return "failure" if self.is_failure(error) else "neutral"


@dataclass(slots=True)
class _BreakerRun:
    """One call of a function under a breaker."""

    target: Callable[..., Any]
    gate: _Gate
    trial: Trial | None = None

    def begin(self) -> _TrialScope:
        self.trial = self.gate.admit()
        return _TrialScope(self.gate, self.trial)

    def call(self, attempt: Callable[[Callable[..., Any]], _T]) -> _T:
        result = attempt(self.target)
        self._note_success()
        return result

    async def acall(self, attempt: Callable[[Callable[..., Any]], Awaitable[_T]]) -> _T:
        result = await attempt(self.target)
        self._note_success()
        return result

    def _note_success(self) -> None:
        # A generator has its first item by now, and goes on; any other call has ended.
        if self.trial is not None and not self.trial.ended:
            self.gate.confirm(self.trial)


@dataclass(frozen=True, slots=True)
class _TrialScope:
    """Ends a trial with what the block raised."""

    gate: _Gate
    trial: Trial

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.gate.end(self.trial, error)


@dataclass(frozen=True, slots=True)
class _EnteredTrials:
    """The trials of the blocks that are entered now, by task or thread."""

    breaker: Breaker
    _trials: dict[object, list[Trial]] = field(default_factory=dict[object, list[Trial]])

    def push(self, trial: Trial) -> None:
        with self.breaker.lock:
            self._trials.setdefault(_current(), []).append(trial)

    def pop(self) -> Trial | None:
        """Return the trial entered last here; if a generator moved to another task, the one entered last anywhere."""
        with self.breaker.lock:
            key = _current()
            if key not in self._trials:
                key = next(reversed(self._trials), None)
            if key is None:
                return None
            trials = self._trials[key]
            trial = trials.pop()
            if not trials:
                del self._trials[key]
            return trial


def _current() -> object:
    """Return what runs now: the task, or the thread outside a task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs
        task = None
    return threading.get_ident() if task is None else task
