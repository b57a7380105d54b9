"""The attempts of one call: how many, until when, and how each ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._guard import guarded
from llmops_sdk.config import FallbackSettings, RetrySettings, current
from llmops_sdk.errors import CircuitOpenError, ProviderError, ProviderTimeoutError, StreamInterruptedError
from llmops_sdk.providers import Accumulator, Attempt, Chunk
from llmops_sdk.providers._types import model_name
from llmops_sdk.providers.traffic import Leg, Route, Target
from llmops_sdk.resilience._budget import RetryBudget
from llmops_sdk.resilience._chunks import is_piece
from llmops_sdk.resilience._error_classes import is_refusal, should_fall_back, status_code
from llmops_sdk.resilience._fallback import add_notes
from llmops_sdk.resilience._retry_waits import Uniform, next_wait, retry_after
from llmops_sdk.tracing import Span, current_span, start_span
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["AttemptScope", "Attempts"]

_CANCELLED = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)


@dataclass(slots=True)
class Attempts:
    """The state of one call.

    Attributes:
        total: Seconds for the whole call, every attempt and wait included, or None.
        model: Provider and model, as in "openai/gpt-4.1-mini", "" when unknown.
        first_number: The number of the first attempt.
        first_reason: Why the first attempt is made.
        budget: The tokens that retries take, or None for no bound.
        deployment: The deployment of the model, if it has only one and that has a name.
        counts_refusals: Whether an attempt that traffic control refuses counts: no request was sent.
        can_go_elsewhere: Returns whether a deployment is ready that the call has not tried, or None for no other.
        cooldown: Returns the seconds for which the provider asked all callers to wait, or None for never.
        ended: The attempts that have ended, oldest first.
        tried: The deployments tried, oldest first.
    """

    policy: RetrySettings
    clock: Clock
    uniform: Uniform
    total: float | None = None
    provider: str = ""
    model: str = ""
    first_number: int = 1
    first_reason: str = "first"
    budget: RetryBudget | None = None
    deployment: str | None = None
    counts_refusals: bool = True
    can_go_elsewhere: Callable[[Sequence[Target]], bool] | None = None
    cooldown: Callable[[], float] | None = None
    ended: list[Attempt] = field(default_factory=list[Attempt])
    tried: list[Target] = field(default_factory=list[Target])
    _began: float = 0.0
    _made: int = 0
    _failure: Exception | None = None
    _retry_cost: float | None = None

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, zero or less when it has passed; None without one."""
        return None if self.total is None else self._began + self.total - self.clock.monotonic()

    def deadline_passed(self) -> bool:
        """Return whether the deadline has passed."""
        left = self.remaining()
        return left is not None and left <= 0

    def begin(self) -> AttemptScope:
        """Return the next attempt, a context manager that records how the attempt ends."""
        return AttemptScope(self)

    def wait_or_raise(self, error: BaseException | None, should_retry: Callable[[BaseException], bool]) -> float:
        """Return the seconds to wait after `error`, or raise it when there is no next attempt."""
        assert error is not None
        elsewhere = not is_refusal(error) and self.can_go_elsewhere is not None and self.can_go_elsewhere(self.tried)
        # Another caller's Retry-After came while this call waited for its own next attempt.
        postponed = self._failure is not None and isinstance(error, CircuitOpenError) and self._cools_down() > 0
        may_retry = should_retry(error) or postponed or (elsewhere and should_fall_back(error, _ELSEWHERE))
        wait = self._wait_after(error, elsewhere=elsewhere) if may_retry else None
        if wait is not None:
            if not postponed:
                self._failure = error if isinstance(error, Exception) else None
            return wait
        if self._failure is not None and is_refusal(error):
            # It says more than the refusal: what went wrong, and in which attempts.
            add_notes(self._failure, [f"the next attempt was refused: {error}"])
            raise self._failure
        raise error

    def raise_if_deadline_passed(self, error: BaseException | None) -> None:
        """Raise `error` when the wait overran the deadline: no time is left for another attempt."""
        if error is not None and self.deadline_passed():
            raise error

    def served(self) -> str | None:
        """Return the name of the deployment that answered, or None if it has none."""
        return next((attempt.deployment for attempt in self.ended if attempt.status == "ok"), None)

    def _cools_down(self) -> float:
        return 0.0 if self.cooldown is None else self.cooldown()

    def _wait_after(self, error: BaseException, *, elsewhere: bool) -> float | None:
        asked = None if elsewhere else max(retry_after(error, self.clock.time()) or 0.0, self._cools_down())
        wait = next_wait(
            self._made,
            self.policy,
            # Another deployment need not recover first.
            _no_wait if elsewhere else self.uniform,
            asked=asked,
            elapsed=self.clock.monotonic() - self._began,
            total=self.total,
        )
        if wait is not None and self.budget is not None:
            self._retry_cost = self.budget.take(throttled=status_code(error) == 429)
            return None if self._retry_cost is None else wait
        return wait

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Keep an ended attempt, which is two when it was hedged, and record it on the current span."""
        self._made += 1
        self.ended += attempts
        if self.budget is not None and any(attempt.status == "ok" for attempt in attempts):
            self.budget.give(self._retry_cost)
        for attempt in attempts:
            guarded("record attempt", None, _record_event, attempt)


_ELSEWHERE = FallbackSettings(context_window=False, content_filter=False)
"""Which errors another deployment of the same model may not have: a bad key, a quota, an outage."""


def _no_wait(_low: float, _high: float) -> float:
    return 0.0


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
        "deployment": attempt.deployment,
    }
    current_span().add_event(sc.EVENT_ATTEMPT, {key: value for key, value in fields.items() if value is not None})


def _start_span(attempts: Attempts, number: int, reason: str) -> Span | None:
    """Start the span of an attempt where the settings ask for one. It is not an llm span: those count as calls."""
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


class AttemptScope:
    """One attempt under way.

    Attributes:
        cost: USD, set by the caller when known.
        finished: Whether a stream has reached its finish reason: a consumer that leaves afterwards cancels nothing.
        held: The chunks of a stream up to the first piece of its answer.
        route: What the stages below note of its requests.
    """

    __slots__ = ("_attempts", "_number", "_seen", "_span", "cost", "finished", "held", "route")

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._number = attempts.first_number + len(attempts.ended)
        reason = "retry" if attempts.ended else attempts.first_reason
        leg = Leg(reason, int(attempts.clock.time() * 1e9), attempts.clock.monotonic())
        self.route = Route(attempts.tried, [leg], leg)
        self._seen: Accumulator | None = None
        self.cost: float | None = None
        self.finished = False
        self.held: list[Chunk] = []
        self._span = guarded("attempt's span", None, _start_span, attempts, self._number, reason)

    def hold(self, chunk: Chunk) -> bool:
        """Hold a chunk back, and return whether it has the first piece of the answer."""
        self.held.append(chunk)
        self.check_deadline()
        return is_piece(chunk)

    def deliver(self, chunk: Chunk) -> Chunk:
        """Return a chunk as the consumer gets it: from the finish reason on it carries the attempts."""
        if self._seen is None:
            self._seen = Accumulator()
        self._seen.add(chunk)
        if chunk.cost is not None:
            self.cost = chunk.cost
        if chunk.finish_reason:
            self.finished = True
        if not self.finished:
            return chunk
        deployment = self._target(self._own_leg()).deployment or None
        return replace(
            chunk, attempts=(*self._attempts.ended, *self._records("ok")), deployment=chunk.deployment or deployment
        )

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, or None: what comes after the finish reason has no deadline."""
        return None if self.finished else self._attempts.remaining()

    def check_deadline(self) -> None:
        """Raise when the total deadline has passed: a slow stream may stay within every other bound."""
        if not self.finished and self._attempts.deadline_passed():
            raise self.deadline_error()

    def attempt_timeout(self, seconds: float | None) -> ProviderTimeoutError:
        """Return the error for an attempt that took too long."""
        attempts = self._attempts
        message = f"{attempts.model}: the attempt took longer than {seconds:g} s; set a longer `timeout`"
        return ProviderTimeoutError(message, provider=attempts.provider, model=attempts.model)

    def deadline_error(self) -> ProviderError:
        """Return the error for a total deadline that has passed."""
        attempts = self._attempts
        provider, model = attempts.provider, attempts.model
        passed = f"{model}: the total deadline of {attempts.total:g} s passed"
        if self._seen is None:
            return ProviderTimeoutError(f"{passed}; set a longer `timeout`", provider=provider, model=model)
        return StreamInterruptedError(
            f"{passed} in the middle of the stream; set a longer `timeout`",
            partial=self._seen.response(),
            provider=provider,
            model=model,
        )

    def _own_leg(self) -> Leg:
        """Return the request whose end is that of the attempt."""
        return next((leg for leg in self.route.legs if leg.status is None), self.route.leg)

    def _target(self, leg: Leg) -> Target:
        attempts = self._attempts
        return leg.target or Target(attempts.deployment or "", attempts.provider, attempts.model)

    def _records(self, status: str, error: BaseException | None = None) -> list[Attempt]:
        """Return the records of the attempt's requests: of one, or of two when it was hedged."""
        return [self._record(number, leg, status, error) for number, leg in enumerate(self.route.legs, self._number)]

    def _record(self, number: int, leg: Leg, status: str, error: BaseException | None) -> Attempt:
        clock, target = self._attempts.clock, self._target(leg)
        ends_with_attempt = leg.status is None
        if leg.status is not None:
            status, error = leg.status, leg.error
        return Attempt(
            number=number,
            provider=target.provider,
            model=model_name(target.model),
            start_ns=leg.start_ns,
            duration_ms=(clock.monotonic() - leg.began) * 1000 if leg.duration_ms is None else leg.duration_ms,
            status=status,
            status_code=None if error is None else status_code(error),
            error_type=None if error is None else type(error).__name__,
            retry_after=None if error is None else retry_after(error, clock.time()),
            reason=leg.reason,
            cost=self.cost if ends_with_attempt else leg.cost,
            deployment=target.deployment or None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        cancelled = isinstance(error, _CANCELLED)
        if cancelled and self.finished:
            error = None
        if self._span is not None:
            guarded("attempt's span", None, _end_span, self._span, error)
        status = "ok" if error is None else "cancelled" if cancelled else "error"
        refused = error is not None and is_refusal(error) and not self._attempts.counts_refusals
        self._attempts.add([] if refused else self._records(status, error))
        if isinstance(error, ProviderError):
            error.deployment = error.deployment or self._target(self._own_leg()).deployment or None
            error.attempts = tuple(self._attempts.ended)
