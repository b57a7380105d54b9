"""Reserve the estimated cost of each call in every budget that it counts against, and settle it after the call."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import BudgetSettings
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.resilience.budgets._policy import Account, Policy
from llmops_sdk.shared._state import SharedState, Tally

__all__ = ["Budgets", "Recorder", "Reservation", "Spent", "StartReader"]

Spent: TypeAlias = Mapping[tuple[str, str, float], float]
"""What was spent before this process began, by budget, key and the start of the window."""
StartReader: TypeAlias = Callable[[Sequence[BudgetSettings], float], Spent]
"""Returns what is spent of budgets, given the time in seconds since the epoch. It never raises."""
Recorder: TypeAlias = Callable[..., None]
"""`shared._decisions.record_decision`, or a double of it."""

Reserved: TypeAlias = tuple[SharedState, Sequence[Tally], Sequence[Account]]

_MOST_TOLD = 4_096
"""Accounts of soft budgets that are known to be exceeded."""


class Reservation:
    """What one call has reserved in its budgets, until `settle` replaces it by what the call used.

    Args:
        parts: What is reserved: the state that has the sums, and the accounts with what each has reserved.
    """

    __slots__ = ("_pending",)

    def __init__(self, parts: list[Reserved] | None = None) -> None:
        self._pending = [] if parts is None else parts

    @property
    def is_open(self) -> bool:
        """Return whether it is not settled yet."""
        return bool(self._pending)

    def settle(self, *, tokens: int | None = None, usd: float | None = None) -> None:
        """Replace the estimate by what the call used; a second time changes nothing.

        Args:
            tokens: Tokens of prompt and answer together; None when unknown, which keeps the estimate.
            usd: USD; None when unknown, which keeps the estimate, or the budget's `unknown_cost` without one.
        """
        while self._pending:
            try:
                state, tallies, accounts = self._pending.pop()  # one step: of two threads, one gets it
            except IndexError:
                return
            state.settle(tallies, [one.policy.amount(tokens, usd, one.tally.amount) for one in accounts])

    def release(self) -> None:
        """Give everything back: the call was not made, or it cost nothing."""
        self.settle(tokens=0, usd=0.0)

    async def asettle(self, *, tokens: int | None = None, usd: float | None = None) -> None:
        """Settle as `settle` does; a server is asked in a thread. Cancelling the wait does not undo it."""
        if not any(part[0].blocking for part in self._pending):
            self.settle(tokens=tokens, usd=usd)
            return
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(None, lambda: self.settle(tokens=tokens, usd=usd)))

    def extend(self, other: Reservation) -> None:
        """Take over what another reservation has reserved."""
        self._pending += other._pending
        other._pending = []


class Budgets:
    """The budgets of `[[budgets]]`, or of decorators: `reserve` before a call, `Reservation.settle` after it.

    A hard budget refuses a call whose estimate does not fit into what is left; a soft one lets it pass, and records
    that once for each window and key. Refusals and exceeded soft budgets are recorded here, so that a stage need not.

    Args:
        settings: The budgets.
        state: Where the sums are.
        clock: The time.
        start: Reads what was spent before this process began; called at most once, before the first reservation.
        record: Records a decision.

    Example:
        >>> from llmops_sdk._util._clock import SYSTEM_CLOCK
        >>> from llmops_sdk.config import BudgetSettings
        >>> from llmops_sdk.resilience.budgets._budgets import Budgets
        >>> from llmops_sdk.resilience.budgets._call import BudgetCall
        >>> from llmops_sdk.shared._local import LocalState
        >>> budgets = Budgets((BudgetSettings(name="team", limit_tokens=100),), LocalState(), SYSTEM_CLOCK)
        >>> reservation = budgets.reserve(BudgetCall(input_tokens=60, output_tokens=30))
        >>> reservation.settle(tokens=40)
        >>> budgets.reserve(BudgetCall(input_tokens=60)).is_open
        True
    """

    def __init__(
        self,
        settings: Sequence[BudgetSettings],
        state: SharedState,
        clock: Clock,
        *,
        start: StartReader | None = None,
        record: Recorder | None = None,
    ) -> None:
        self.settings = tuple(settings)
        self._policies = tuple(map(Policy, self.settings))
        self._needs_price = any(policy.unit == "usd" for policy in self._policies)
        self._has_soft = any(policy.is_soft for policy in self._policies)
        self._state = state
        self._clock = clock
        self._start = start
        self._spent: Spent = {}
        self._record = record
        self._lock = threading.Lock()
        self._told: OrderedDict[str, None] = OrderedDict()

    @property
    def needs_price(self) -> bool:
        """Return whether a budget is in USD, so that a call needs an estimate of its cost."""
        return self._needs_price

    @property
    def blocking(self) -> bool:
        """Return whether `reserve` may wait for a server or the store, so that async code uses `areserve`."""
        return self._state.blocking or self._start is not None

    @property
    def state(self) -> SharedState:
        """Return where the sums are."""
        return self._state

    def reserve(self, call: BudgetCall) -> Reservation:
        """Reserve the estimate of a call in every budget that it counts against, or in none.

        Args:
            call: The call.

        Raises:
            BudgetExceededError: A hard budget has less left than the call needs.
        """
        if self._start is not None:
            self._read_start()
        now, state = self._clock.time(), self._state
        hidden = state.blocking
        accounts: list[Account] = []
        for policy in self._policies:
            policy.add_accounts(accounts, call, now, hidden=hidden)
        if not accounts:
            return Reservation()
        tallies = [one.tally for one in accounts]
        if self._spent:
            tallies = [
                one.tally._replace(start=self._spent.get((one.policy.settings.name, one.key, one.window.start), 0.0))
                for one in accounts
            ]
        grant = state.reserve(tallies)
        if grant.refused is not None:
            account, spent = accounts[grant.refused], grant.sums[grant.refused]
            error = account.error(spent)
            self._decide("refused", call, account, spent, str(error))
            raise error
        if self._has_soft:
            for account, total in zip(accounts, grant.sums, strict=True):
                if account.policy.is_soft and total > account.policy.limit and self._is_news(account.tally.key):
                    self._decide("exceeded", call, account, total, "a soft budget lets the call pass")
        return Reservation([(state, tallies, accounts)])

    async def areserve(self, call: BudgetCall) -> Reservation:
        """Reserve as `reserve` does; a server or the store is asked in a thread.

        Raises:
            BudgetExceededError: A hard budget has less left than the call needs.
        """
        if not self.blocking:
            return self.reserve(call)
        handover = _Handover()
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, lambda: handover.put(context.run(self.reserve, call)))
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:
            job.add_done_callback(_consume)
            if (reservation := handover.abandon()) is not None:
                loop.run_in_executor(None, reservation.release)
            raise
        return handover.take()

    def _decide(self, decision: str, call: BudgetCall, account: Account, value: float, reason: str) -> None:
        if self._record is not None:
            self._record(
                "budget",
                decision,
                deployment=call.models[0] if call.models else None,
                subject=account.subject,
                reason=reason,
                value=value,
                limit=account.policy.limit,
            )

    def _is_news(self, key: str) -> bool:
        with self._lock:
            if key in self._told:
                return False
            self._told[key] = None
            if len(self._told) > _MOST_TOLD:
                self._told.popitem(last=False)
            return True

    def _read_start(self) -> None:
        # Everybody waits: a call that passed meanwhile would count neither here nor there.
        with self._lock:
            if self._start is not None:
                self._spent = self._start(self.settings, self._clock.time())
                self._start = None


class _Handover:
    """Passes a reservation from a thread to a task, which may not wait for it any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._reservation: Reservation | None = None

    def put(self, reservation: Reservation) -> None:
        with self._lock:
            self._reservation = reservation
            abandoned = self._abandoned
        if abandoned:
            reservation.release()

    def take(self) -> Reservation:
        assert self._reservation is not None
        return self._reservation

    def abandon(self) -> Reservation | None:
        """Let `put` release the reservation; return one that is there already, for the caller to release."""
        with self._lock:
            self._abandoned = True
            return self._reservation


def _consume(job: asyncio.Future[None]) -> None:
    """Look at the error of a call that nobody waits for, so that the event loop does not report it."""
    if not job.cancelled():
        job.exception()
