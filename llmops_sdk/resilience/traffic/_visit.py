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
        "_answer",
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
        "_used",
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
        self._answer: Response | Embeddings | None = None
        self._arrived = 0
        self._finished = False
        self._used: _Used = (None, None)

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
        tokens = self._estimated_tokens()
        if gates.budgets is not None and self._estimate is not None:
            self._reservation = gates.budgets.reserve(budget_call(gates.names, self._estimate))
        if gates.limiter is not None:
            self._pass = gates.limiter.enter(tokens=tokens, timeout=self._left())
        return self._admitted()

    async def aenter(self) -> Request:
        """Enter the policies, async; see `enter`."""
        gates = self._gates
        if (breaker := gates.breaker) is not None:
            if breaker.refresh_due:
                await _refresh(breaker)
            self._check(breaker)
        tokens = self._estimated_tokens()
        if gates.budgets is not None and self._estimate is not None:
            self._reservation = await gates.budgets.areserve(budget_call(gates.names, self._estimate))
        if gates.limiter is not None:
            self._pass = await gates.limiter.aenter(tokens=tokens, timeout=self._left_in_queue())
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

    def _estimated_tokens(self) -> float:
        """Estimate what the call will use, where a policy needs that, and return its tokens."""
        estimator, budgets = self._gates.estimator, self._gates.budgets
        if estimator is None or (budgets is None and self._gates.limits.tokens_per_minute is None):
            return 0.0
        priced = budgets is not None and budgets.needs_price
        if self._texts is None:
            estimate = estimator.estimate(self._request, priced=priced)
        else:
            estimate = estimator.estimate_texts(self._texts, priced=priced)
        self._estimate = estimate
        return estimate.input_tokens + estimate.output_tokens

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
        self._usage, self._cost, self._finished, self._answer = answer.usage, answer.cost, True, answer
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
        try:
            self._leave_gates(error)
        finally:
            if self._reservation is not None:
                tokens, usd = self._used
                self._reservation.settle(tokens=tokens, usd=usd)

    async def aleave(self, error: BaseException | None) -> None:
        """Leave the policies in reverse, async."""
        try:
            self._leave_gates(error)
        finally:
            if self._reservation is not None:
                tokens, usd = self._used
                await self._reservation.asettle(tokens=tokens, usd=usd)

    def _leave_gates(self, error: BaseException | None) -> None:
        result: Result = "ok"
        outcome: Outcome = "ok"
        try:
            self._used = self._use(error)
            if error is not None and not (self._finished and is_cancelled(error)):
                result, outcome = self._judge(error)
            # Otherwise it succeeded; of a stream that was complete its consumer may have left the rest.
        finally:
            try:
                if (trial := self._trial) is not None:
                    pause = None if error is None else pause_of(error, self._gates.clock.time())
                    if changes := trial.end(result, pause):
                        self._record(changes, error)
            finally:
                if (one := self._pass) is not None:
                    self._leave_limiter(one, outcome, error)

    def _leave_limiter(self, one: Pass, outcome: Outcome, error: BaseException | None) -> None:
        limiter = self._gates.limiter
        assert limiter is not None
        if self._sent_at is None:
            limiter.withdraw(one)  # the breaker refused it, so that it counts in no rate
            return
        if isinstance(error, ProviderError) and error.rate_limits is not None:
            limiter.observe(error.rate_limits)
        one.exit(tokens=self._used[0], outcome=outcome)

    def _judge(self, error: BaseException) -> tuple[Result, Outcome]:
        """Return what an error says to the breaker and to the limiter."""
        late = is_cancelled(error) and self._is_late()
        outcome = "timeout" if late else outcome_of(error)
        if late or isinstance(error, TimeoutError):
            # Of a call that spent most of its time in our own queue, a time-out says nothing about the deployment.
            return ("neutral" if self._waited() * 2 > (self._total or float("inf")) else "failure"), outcome
        if is_cancelled(error) and self._has_piece:
            return "ok", outcome
        return result_of(error), outcome

    def _is_late(self) -> bool:
        return (left := self._left()) is not None and left <= _NEARLY_OVER

    def _waited(self) -> float:
        """Return the seconds from the start until the request went out."""
        return 0.0 if self._sent_at is None else self._sent_at - self._began

    def _use(self, error: BaseException | None) -> _Used:
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
        else:
            arrived = self._arrived if self._answer is None else response_size(self._answer)
            if error is not None and not arrived and is_free(error):
                return 0, 0.0
            prompt, output = estimate.input_tokens, -(-arrived // _CHARS_PER_TOKEN)
        cost = self._cost
        if cost is None and estimate.usd is not None:
            cost = estimator.cost(prompt, output)
        return prompt + output, cost

    def _record(self, changes: tuple[Change, ...], error: BaseException | None = None) -> None:
        breaker = self._gates.breaker
        if breaker is None:
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
