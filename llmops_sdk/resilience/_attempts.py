"""The attempts of one call: how many, until when, and what each came to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.config import RetrySettings, current
from llmops_sdk.errors import ProviderError
from llmops_sdk.providers import Attempt
from llmops_sdk.providers._types import model_name
from llmops_sdk.resilience._budget import RetryBudget
from llmops_sdk.resilience._policy import Left, Uniform, next_wait, retry_after, status_code
from llmops_sdk.tracing import Span, current_span, start_span
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["Attempts", "Try"]

_CANCELLED = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)


def _no_attempts() -> list[Attempt]:
    return []


@dataclass(slots=True)
class Attempts:
    """The state of one call, without any I/O of its own.

    Attributes:
        policy: How often, and how long between.
        clock: The time.
        uniform: The source of chance.
        total: Seconds for the whole call, every attempt and wait included, or None.
        provider: The provider's name, "" when unknown.
        model: Provider and model, as in "openai/gpt-4.1-mini", "" when unknown.
        first: The number of the first attempt.
        reason: Why the first attempt is made.
        budget: What retries cost, or None where nothing bounds them.
        made: The attempts that have ended, oldest first.
    """

    policy: RetrySettings
    clock: Clock
    uniform: Uniform
    total: float | None = None
    provider: str = ""
    model: str = ""
    first: int = 1
    reason: str = "first"
    budget: RetryBudget | None = None
    made: list[Attempt] = field(default_factory=_no_attempts)
    _deadline: float | None = None
    _cost: float | None = None

    def __post_init__(self) -> None:
        self._deadline = None if self.total is None else self.clock.monotonic() + self.total

    def remaining(self) -> float | None:
        """Seconds until the deadline, not above zero when it has passed; None without one."""
        return None if self._deadline is None else self._deadline - self.clock.monotonic()

    def wait_after(self, error: BaseException) -> float | None:
        """Seconds to wait before the next attempt, or None when `error` is to be raised."""
        failures = len(self.made)
        left = Left(attempts=self.policy.attempts - failures, seconds=self.remaining())
        wait = next_wait(failures, retry_after(error, self.clock.time()), left, self.policy, self.uniform)
        if wait is None or self.budget is None:
            return wait
        self._cost = self.budget.take(throttled=status_code(error) == 429)
        return None if self._cost is None else wait

    def begin(self) -> Try:
        """The next attempt, as a context manager that records how it ended and swallows nothing."""
        return Try(self)

    def snapshot(self, attempt: Try) -> tuple[Attempt, ...]:
        """The attempts that have ended and, as far as it has come, a successful one that is under way."""
        return (*self.made, attempt.record("ok"))

    def add(self, attempt: Attempt) -> None:
        """Keep an ended attempt, and put it on the current span."""
        self.made.append(attempt)
        if self.budget is not None and attempt.status == "ok":
            self.budget.give(self._cost)
        guarded("record attempt", None, _record_event, attempt)

    @property
    def next_reason(self) -> str:
        """Why the next attempt is made."""
        return "retry" if self.made else self.reason


def _record_event(attempt: Attempt) -> None:
    fields = {
        "attempt": attempt.number,
        "provider": attempt.provider or None,
        "model": attempt.model or None,
        "start_ns": attempt.start_ns,
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "status_code": attempt.status_code,
        "error_type": attempt.error_type,
        "retry_after": attempt.retry_after,
        "reason": attempt.reason,
        "cost": attempt.cost,
    }
    current_span().add_event(sc.EVENT_ATTEMPT, {key: value for key, value in fields.items() if value is not None})


def _begin_span(attempts: Attempts, number: int, reason: str) -> Span | None:
    """A span for an attempt, where the settings want one. It is no call of its own: those are counted."""
    if current().tracing.attempts != "spans":
        return None
    known = {sc.PROVIDER: attempts.provider, sc.REQUEST_MODEL: model_name(attempts.model)}
    attributes = {"llmops.attempt.number": number, "llmops.attempt.reason": reason}
    attributes.update((name, value) for name, value in known.items() if value)
    return start_span(f"attempt {number}", attributes=attributes)


def _end_span(span: Span, error: BaseException | None) -> None:
    if error is None:
        span.end()
        return
    if (status := status_code(error)) is not None:
        span.set_attribute("http.response.status_code", status)
    span.fail(error)


class Try:
    """One attempt under way.

    Attributes:
        cost: USD, set by what runs inside when it knows.
        finished: Set when a stream has come to its finish reason: a consumer that leaves then cancels nothing.
    """

    __slots__ = ("_attempts", "_began", "_number", "_reason", "_span", "_start_ns", "cost", "finished")

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._number = attempts.first + len(attempts.made)
        self._reason = attempts.next_reason
        self._start_ns = int(attempts.clock.time() * 1e9)
        self._began = attempts.clock.monotonic()
        self.cost: float | None = None
        self.finished = False
        self._span = guarded("attempt's span", None, _begin_span, attempts, self._number, self._reason)

    def record(self, status: str, error: BaseException | None = None) -> Attempt:
        """The attempt as it stands now."""
        clock = self._attempts.clock
        return Attempt(
            number=self._number,
            provider=self._attempts.provider,
            model=model_name(self._attempts.model),
            start_ns=self._start_ns,
            duration_ms=(clock.monotonic() - self._began) * 1000,
            status=status,
            status_code=None if error is None else status_code(error),
            error_type=None if error is None else type(error).__name__,
            retry_after=None if error is None else retry_after(error, clock.time()),
            reason=self._reason,
            cost=self.cost,
        )

    def end(self, error: BaseException | None = None) -> None:
        """Record how it ended; the attempts so far are put on a provider's error."""
        if self.finished and isinstance(error, _CANCELLED):
            error = None
        if self._span is not None:
            guarded("attempt's span", None, _end_span, self._span, error)
        if error is None:
            self._attempts.add(self.record("ok"))
        else:
            self._attempts.add(self.record("cancelled" if isinstance(error, _CANCELLED) else "error", error))
        if isinstance(error, ProviderError):
            error.attempts = tuple(self._attempts.made)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)
