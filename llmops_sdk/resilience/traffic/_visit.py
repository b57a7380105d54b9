"""One call's way through the policies of a deployment, and back."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeAlias

from llmops_sdk._util._clock import Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk.config import LimitSettings, Timeout
from llmops_sdk.errors import CircuitOpenError, LimitExceededError, ProviderError
from llmops_sdk.providers import Chunk, Embeddings, RateLimits, Request, Response, Usage
from llmops_sdk.resilience._chunks import is_piece
from llmops_sdk.resilience.breaker._breaker import Breaker, Change, Result, Trial
from llmops_sdk.resilience.breaker._record import record_changes, record_probe, record_refusal
from llmops_sdk.resilience.breaker._results import pause_of, result_of
from llmops_sdk.resilience.budgets._budgets import Budgets, Reservation
from llmops_sdk.resilience.budgets._call import budget_call
from llmops_sdk.resilience.budgets._estimate import Estimate, Estimator
from llmops_sdk.resilience.limits._calls import is_cancelled, outcome_of
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.limits._pass import Outcome, Pass
from llmops_sdk.resilience.traffic._use import chunk_size, is_free, response_size, tokens_of

__all__ = ["Gates", "Visit"]

_READ_TIMEOUT = 1.0
"""Seconds that async code waits for a look at the pause that processes share."""
_NEARLY_OVER = 0.05
"""Seconds: a stage outside cancels a call at its deadline, by a timer that was started a little earlier."""
_CHARS_PER_TOKEN = 4
_JOIN_TIMEOUT = 0.05

_Used: TypeAlias = tuple[int | None, float | None]
"""Tokens and USD of a call; None for what is unknown."""


@dataclass(slots=True)
class Gates:
    """The policies of one deployment.

    Attributes:
        name: The deployment's name.
        names: The names by which `[[budgets]] model` may mean it, the deployment's first.
        clock: The time.
        limiter: Its limiter, or None.
        limits: The settings of the limiter.
        breaker: Its circuit breaker, or None.
        budgets: The budgets, or None.
        estimator: Estimates what a call will use; None if nothing needs that.
        calls: The calls in flight, those in the queue included.
    """

    name: str
    names: tuple[str, ...]
    clock: Clock
    limiter: Limiter | None
    limits: LimitSettings
    breaker: Breaker | None
    budgets: Budgets | None
    estimator: Estimator | None
    calls: set[int]


class Visit:
    """One call: it enters the policies from the outside in, and leaves them in reverse, however it ends.

    Args:
        gates: The policies.
        request: The request.
        texts: The texts of a call for vectors.
    """

    __slots__ = (
        "_arrived",
        "_began",
        "_cost",
        "_estimate",
        "_finished",
        "_gates",
        "_has_piece",
        "_pass",
        "_request",
        "_reservation",
        "_sent_at",
        "_texts",
        "_total",
        "_trial",
        "_usage",
    )  # fmt: skip

    def __init__(self, gates: Gates, request: Request, texts: Sequence[str] | None = None) -> None:
        self._gates = gates
        self._request = request
        self._texts = texts
        self._total = None if request.timeout is None else request.timeout.total
        self._began = gates.clock.monotonic()
        self._estimate: Estimate | None = None
        self._reservation: Reservation | None = None
        self._pass: Pass | None = None
        self._trial: Trial | None = None
        self._sent_at: float | None = None
        self._has_piece = False
        self._usage: Usage | None = None
        self._cost: float | None = None
        self._arrived = 0
        self._finished = False

    # --- in -----------------------------------------------------------------------------------------------------------

    def enter(self) -> Request:
        """Enter the policies, and return the request with the time that is left.

        Raises:
            CircuitOpenError: The breaker is open, or the deployment is paused.
            BudgetExceededError: A hard budget has too little left.
            LimitExceededError: The queue is full, or the wait would take or took too long.
        """
        gates = self._gates
        if (breaker := gates.breaker) is not None:
            if breaker.refresh_due:
                breaker.refresh()
            self._check(breaker)
        self._estimate_use()
        if gates.budgets is not None and self._estimate is not None:
            self._reservation = gates.budgets.reserve(budget_call(gates.names, self._estimate))
        if (limiter := gates.limiter) is not None:
            self._pass = limiter.enter(tokens=self._tokens(), timeout=self._left())
        return self._admitted()

    async def aenter(self) -> Request:
        """Enter the policies, async; see `enter`."""
        gates = self._gates
        if (breaker := gates.breaker) is not None:
            if breaker.refresh_due:
                await _refresh(breaker)
            self._check(breaker)
        self._estimate_use()
        if gates.budgets is not None and self._estimate is not None:
            self._reservation = await gates.budgets.areserve(budget_call(gates.names, self._estimate))
        if (limiter := gates.limiter) is not None:
            self._pass = await limiter.aenter(tokens=self._tokens(), timeout=self._left_in_queue())
        return self._admitted()

    @staticmethod
    def _check(breaker: Breaker) -> None:
        try:
            breaker.check()
        except CircuitOpenError as error:
            record_refusal(breaker, error)
            raise

    def _admitted(self) -> Request:
        """Pass the breaker, as the last one, and return the request with the time that is left."""
        one = self._pass
        request = self._request if one is None or one.limit is None else self._after_wait(one)
        if (breaker := self._gates.breaker) is not None:
            try:
                self._trial = breaker.admit()
            except CircuitOpenError as error:
                record_refusal(breaker, error)
                raise
            if self._trial.is_probe:
                record_probe(breaker, self._trial)
        self._sent_at = self._gates.clock.monotonic()
        return request

    def _estimate_use(self) -> None:
        estimator, budgets = self._gates.estimator, self._gates.budgets
        if estimator is None or (budgets is None and self._gates.limits.tokens_per_minute is None):
            return
        priced = budgets is not None and budgets.needs_price
        if self._texts is None:
            self._estimate = estimator.estimate(self._request, priced=priced)
        else:
            self._estimate = estimator.estimate_texts(self._texts, priced=priced)

    def _tokens(self) -> float:
        return 0.0 if self._estimate is None else self._estimate.tokens

    def _left(self) -> float | None:
        return None if self._total is None else self._began + self._total - self._gates.clock.monotonic()

    def _left_in_queue(self) -> float | None:
        """Return the time that an async call may wait: it must be refused before a stage outside cancels it."""
        left = self._left()
        return None if left is None else left - min(_NEARLY_OVER, max(left, 0.0) / 10)

    def _after_wait(self, one: Pass) -> Request:
        """Return the request of a call that waited, with the time that is left."""
        if (left := self._left()) is None:
            return self._request
        if left <= 0.0:
            raise LimitExceededError(
                f"{self._gates.name}: the call waited {one.waited:.3g} s for the limit {one.limit}, until its deadline "
                f"of {self._total:g} s; set a longer `timeout`, or raise limits.{one.limit}",
                limit=one.limit,
                deployment=self._gates.name,
                waited=one.waited,
            )
        timeout = (self._request.timeout or Timeout()).model_copy(update={"total": left})
        return replace(self._request, timeout=timeout)

    # --- inside -------------------------------------------------------------------------------------------------------

    def answer(self, answer: Response | Embeddings) -> None:
        """Note a whole answer."""
        self._usage, self._cost, self._finished = answer.usage, answer.cost, True
        self._arrived = response_size(answer)
        if isinstance(answer, Response) and answer.rate_limits is not None:
            self._observe(answer.rate_limits)

    def chunk(self, chunk: Chunk) -> None:
        """Note a chunk of a stream. Its first piece proves that the deployment works."""
        if chunk.rate_limits is not None:
            self._observe(chunk.rate_limits)
        if not self._has_piece and is_piece(chunk):
            self._has_piece = True
            if self._trial is not None and self._trial.is_probe:
                self._record(self._trial.confirm())
        self._arrived += chunk_size(chunk)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.cost is not None:
            self._cost = chunk.cost
        if chunk.finish_reason:
            self._finished = True

    def _observe(self, limits: RateLimits) -> None:
        """Let the limiter hold back what the provider would throttle."""
        if self._gates.limiter is not None:
            self._gates.limiter.observe(limits)

    # --- out ----------------------------------------------------------------------------------------------------------

    def leave(self, error: BaseException | None) -> None:
        """Leave the policies in reverse; each of them, whatever the others do.

        Args:
            error: The error that the call ended with, or None.
        """
        used: _Used = (None, None)
        try:
            used = self._used(error)
        finally:
            try:
                self._leave_gates(error, used[0])
            finally:
                if self._reservation is not None:
                    self._reservation.settle(tokens=used[0], usd=used[1])

    async def aleave(self, error: BaseException | None) -> None:
        """Leave the policies in reverse, async."""
        used: _Used = (None, None)
        try:
            used = self._used(error)
        finally:
            try:
                self._leave_gates(error, used[0])
            finally:
                if self._reservation is not None:
                    await self._reservation.asettle(tokens=used[0], usd=used[1])

    def _leave_gates(self, error: BaseException | None, tokens: int | None) -> None:
        if self._finished and is_cancelled(error):
            error = None  # the consumer left a stream that was complete
        late = error is not None and is_cancelled(error) and self._is_late()
        try:
            if self._trial is not None:
                changes = self._trial.end(
                    self._result(error, late=late),
                    None if error is None else pause_of(error, self._gates.clock.time()),
                )
                self._record(changes, error)
        finally:
            self._leave_limiter("timeout" if late else outcome_of(error), error, tokens)

    def _leave_limiter(self, outcome: Outcome, error: BaseException | None, tokens: int | None) -> None:
        one, limiter = self._pass, self._gates.limiter
        if one is None or limiter is None:
            return
        if self._sent_at is None:
            limiter.withdraw(one)  # the breaker refused it, so that it counts in no rate
            return
        if isinstance(error, ProviderError) and error.rate_limits is not None:
            limiter.observe(error.rate_limits)
        one.exit(tokens=tokens, outcome=outcome)

    def _result(self, error: BaseException | None, *, late: bool) -> Result:
        if late or isinstance(error, TimeoutError):
            # Of a call that spent most of its time in our own queue, a time-out says nothing about the deployment.
            return "neutral" if self._waited() * 2 > (self._total or float("inf")) else "failure"
        if is_cancelled(error) and self._has_piece:
            return "ok"
        return result_of(error)

    def _is_late(self) -> bool:
        return (left := self._left()) is not None and left <= _NEARLY_OVER

    def _waited(self) -> float:
        """Return the seconds from the start until the request went out."""
        return 0.0 if self._sent_at is None else self._sent_at - self._began

    def _used(self, error: BaseException | None) -> _Used:
        """Return the tokens and the USD of the call; None for what is unknown, which keeps the estimate."""
        if self._sent_at is None:
            return 0, 0.0
        estimate, estimator = self._estimate, self._gates.estimator
        if estimate is None or estimator is None:
            return None, None
        if (counts := tokens_of(self._usage)) is not None:
            prompt, output = counts
            if self._finished and self._texts is None:
                estimator.observe(output)
        elif error is not None and not self._arrived and is_free(error):
            return 0, 0.0
        else:
            prompt, output = estimate.input_tokens, -(-self._arrived // _CHARS_PER_TOKEN)
        cost = self._cost
        if cost is None and estimate.usd is not None:
            cost = estimator.cost(prompt, output)
        return prompt + output, cost

    def _record(self, changes: tuple[Change, ...], error: BaseException | None = None) -> None:
        breaker = self._gates.breaker
        if not changes or breaker is None:
            return
        record_changes(breaker, changes, error)
        for change in changes:
            if change.decision == "paused" and breaker.is_published_late:
                # Rare, and nobody must wait for a server with an error in hand.
                start_daemon(lambda seconds=change.seconds: breaker.publish(seconds), "llmops-pause")

    def __enter__(self) -> Self:
        self._gates.calls.add(id(self))
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._gates.calls.discard(id(self))
        if not isinstance(error, GeneratorExit):
            self.leave(error)
            return
        # The garbage collector closes an abandoned stream in any thread at any time, also while that thread holds a
        # lock of a policy. Another thread can wait for the lock.
        context = contextvars.copy_context()
        thread = start_daemon(lambda: context.run(self.leave, error), "llmops-leave")
        if thread is None:
            self.leave(error)
        else:
            thread.join(_JOIN_TIMEOUT)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gates.calls.discard(id(self))
        await self.aleave(error)


async def _refresh(breaker: Breaker) -> None:
    """Look at the shared pause in a thread; without an answer in time the call goes on with what is known."""
    try:
        async with asyncio.timeout(_READ_TIMEOUT):
            await asyncio.to_thread(breaker.refresh)
    except TimeoutError:
        return
