"""`@budget`: a budget for the calls inside any callable or block, and for what the callable itself costs."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from reprlib import repr as short_repr
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar
from uuid import uuid4

from llmops_sdk._util._callables import decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk.config import BudgetSettings, current
from llmops_sdk.errors import ConfigError
from llmops_sdk.resilience._decorated import Block, name_of
from llmops_sdk.resilience._error_classes import status_code
from llmops_sdk.resilience.budgets._budgets import Budgets, Reservation
from llmops_sdk.resilience.budgets._call import BudgetCall, budget_call, is_traced
from llmops_sdk.resilience.budgets._estimate import FIRST_OUTPUT, Estimate
from llmops_sdk.resilience.budgets._policy import finite
from llmops_sdk.resilience.budgets._scopes import ScopedBudgets, ScopeEntry, enter_scope, leave_scope
from llmops_sdk.resilience.budgets._steps import wrap_steps
from llmops_sdk.shared._decisions import record_decision
from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._open import open_state

__all__ = ["BudgetPolicy", "Cost", "budget"]

_F = TypeVar("_F", bound=Callable[..., Any])

Cost: TypeAlias = "float | Callable[[Any], float | None]"
"""What one call costs: a number, or a function of the result, or of each item of a generator."""

_UNNAMED = "budget"
_JOIN_SECONDS = 0.05
_LONGEST_NAME = 64
_WEIGHT = 0.2
"""What the latest call counts in the usual cost."""


def budget(
    *,
    limit_usd: float | None = None,
    limit_tokens: float | None = None,
    name: str | None = None,
    per: Literal["all", "model", "user", "session", "tag", "run"] = "all",
    window: Literal["minute", "hour", "day", "week", "month", "total"] | float = "day",
    mode: Literal["hard", "soft"] = "hard",
    cost: Cost | None = None,
    unknown_cost: float = 0.01,
    clock: Clock = SYSTEM_CLOCK,
) -> BudgetPolicy:
    """Bound what the calls to models inside a function or a block may spend; a decorator, and a context manager.

    Every call inside counts: whole and streamed answers, vectors, judges, each retry; also those of nested functions
    and tasks, but not those in a thread that does not carry the context (`llmops.Executor` does). Of nested budgets
    all count. A hard budget refuses a call whose estimated cost does not fit; a soft one only records that.

    Budgets of one name are one budget, in all processes that share a `[shared]` server. Without a name it is this
    object's own, in this process.

    Args:
        limit_usd: The limit in USD. Give this or `limit_tokens`.
        limit_tokens: The limit in tokens of prompts and answers together.
        name: Its name in errors and in the view `traffic`; in these, an unnamed one has the first function's name.
        per: Whose the budget is: of all calls, or of each model, user, session, tag or run (a trace, or else one call).
        window: The time after which spending starts at zero again: a calendar unit in UTC, seconds, or "total".
        mode: "hard" or "soft".
        cost: For functions that call a vendor's client: what one call of the function itself costs, in the unit of the
            limit. A number, or a function that gets the result (of a generator: each item, and the sum counts) and
            returns a number, or None when unknown.
        unknown_cost: USD that a call counts for whose price is not known.
        clock: The time.

    Returns:
        The policy, for `@policy`, `with policy:` and `async with policy:`.

    Raises:
        ConfigError: Neither or both limits are given, or a value is not valid.
        BudgetExceededError: At a call: too little is left for it.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.budget(limit_usd=0.05, cost=0.02)
        ... def ask(question: str) -> str:
        ...     return "an answer of a vendor's client"
        >>> for question in "abc":
        ...     try:
        ...         _ = ask(question)
        ...     except llmops.BudgetExceededError as error:
        ...         print(f"{error.left:.2f} USD left")
        0.01 USD left
    """
    _check_cost(cost)
    settings = _checked(
        name=_UNNAMED if name is None else name, limit_usd=limit_usd, limit_tokens=limit_tokens, per=per,
        window=window, mode=mode, unknown_cost=unknown_cost,
    )  # fmt: skip
    return BudgetPolicy(settings, clock, cost, named=name is not None)


def _check_cost(cost: object) -> None:
    is_amount = isinstance(cost, (int, float)) and not isinstance(cost, bool) and finite(cost, -1.0) >= 0
    if not (cost is None or callable(cost) or is_amount):
        raise ConfigError(
            f"@budget: cost = {short_repr(cost)} is not valid: it must be a number of at least zero, or a function",
            key="cost",
            value=cost,
        )


def _checked(**values: Any) -> BudgetSettings:
    limit = values["limit_usd"]
    if (limit is None) == (values["limit_tokens"] is None):
        raise ConfigError("@budget: give limit_usd or limit_tokens, and not both", key="limit_usd", value=limit)
    try:
        return BudgetSettings(**values)
    except ConfigError as error:
        key = (error.key or "").rpartition(".")[2]
        reason = str(error).partition(f"{key} = ")[2]
        raise ConfigError(f"@budget: {key} = {reason}", key=key, value=error.value) from error


class BudgetPolicy(Block):
    """A budget for functions and blocks of code; see `budget`."""

    def __init__(self, settings: BudgetSettings, clock: Clock, cost: Cost | None, *, named: bool) -> None:
        self._settings = settings
        self._clock = clock
        self._cost = cost
        self._named = named
        self._own_state: LocalState | None = None if named else LocalState(clock)
        self._budgets: Budgets | None = None
        self._usual = float(FIRST_OUTPUT) if settings.limit_usd is None else settings.unknown_cost
        _policies.add(self)

    @property
    def name(self) -> str:
        """Return the name in errors and in the view `traffic`."""
        return self._settings.name

    def budgets(self) -> Budgets:
        """Return the budget, with its state: the shared one for a name, else its own."""
        state = self._own_state or open_state(current().shared, self._clock)
        found = self._budgets
        if found is None or found.state is not state:
            found = self._budgets = Budgets((self._settings,), state, self._clock, record=record_decision)
        return found

    def __call__(self, function: _F) -> _F:
        """Return the function under this budget; its signature and types stay."""
        if not self._named and self._settings.name == _UNNAMED:
            self._settings = self._settings.model_copy(update={"name": name_of(function)[-_LONGEST_NAME:]})
            self._budgets = None
        return decorate(function, lambda target: wrap_steps(target, lambda: _Run(self)))

    def new_run(self) -> str | None:
        """Return a name for the calls that follow, where a budget for each run needs one and no trace gives it."""
        return uuid4().hex if self._settings.per == "run" and not is_traced() else None

    def __enter__(self) -> Self:
        enter_scope(self, self.new_run())
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        leave_scope(self)
        return False

    @property
    def has_cost(self) -> bool:
        """Return whether a call of a decorated function costs something itself."""
        return self._cost is not None

    def estimate(self) -> Estimate:
        """Return what a call of a decorated function will probably cost itself."""
        amount = self._cost if isinstance(self._cost, (int, float)) else self._usual
        if self._settings.limit_usd is None:
            return Estimate(round(amount), 0)
        return Estimate(0, 0, amount)

    def cost_of(self, value: object) -> float | None:
        """Return what a result or an item costs by the function for that; None without one, or when unknown."""
        if not callable(self._cost):
            return None
        found = guarded("the cost function of @budget", None, self._cost, value)
        amount = finite(found if isinstance(found, (int, float)) else None, -1.0)
        return None if amount < 0 else amount

    def learn(self, amount: float) -> None:
        """Learn from what a call of a decorated function has cost."""
        self._usual += _WEIGHT * (amount - self._usual)

    def amounts(self, amount: float | None) -> tuple[int | None, float | None]:
        """Return an amount in this budget's unit as tokens and USD, each None where unknown."""
        if amount is None:
            return None, None
        # A call that costs USD uses no tokens that anybody could count.
        return (round(amount), None) if self._settings.limit_usd is None else (0, amount)

    def forget_own_state(self) -> None:
        """Begin anew in a forked child, as every budget without a server does: the state's lock may be taken."""
        if self._own_state is not None:
            self._own_state = LocalState(self._clock)
        self._budgets = None


_policies: weakref.WeakSet[BudgetPolicy] = weakref.WeakSet()


def _after_fork() -> None:
    for policy in list(_policies):
        policy.forget_own_state()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Run:
    """One call of a decorated function: reserves what the call itself costs, and settles it."""

    __slots__ = ("_amount", "_policy", "_reservation", "_run")

    def __init__(self, policy: BudgetPolicy) -> None:
        self._policy = policy
        self._run = policy.new_run()
        self._reservation: Reservation | None = None
        self._amount: float | None = None

    def __enter__(self) -> None:
        if self._policy.has_cost:
            with self.step():
                self._reservation = _OPEN.reserve(self._call())

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if (reservation := self._reservation) is None:
            return
        tokens, usd = self._used(error)
        # The garbage collector closes an abandoned generator in any thread at any time, also while that thread holds
        # the lock of the sums. Another thread can wait for it.
        thread = None
        if isinstance(error, GeneratorExit):
            thread = start_daemon(lambda: reservation.settle(tokens=tokens, usd=usd), "llmops-budget")
        if thread is None:
            reservation.settle(tokens=tokens, usd=usd)
        else:
            thread.join(_JOIN_SECONDS)

    async def __aenter__(self) -> None:
        if self._policy.has_cost:
            with self.step():
                self._reservation = await _OPEN.areserve(self._call())

    async def __aexit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if (reservation := self._reservation) is not None:
            tokens, usd = self._used(error)
            await reservation.asettle(tokens=tokens, usd=usd)

    def step(self) -> AbstractContextManager[object]:
        return ScopeEntry(self._policy, self._run)

    def note(self, value: object) -> None:
        if (amount := self._policy.cost_of(value)) is not None:
            self._amount = amount if self._amount is None else self._amount + amount

    def _call(self) -> BudgetCall:
        return budget_call((self._policy.name,), self._policy.estimate())

    def _used(self, error: BaseException | None) -> tuple[int | None, float | None]:
        """Return the tokens and USD of the call, each None where unknown."""
        if error is not None and status_code(error) is not None:
            return 0, 0.0  # a server that answers with an error asks no money for it
        if self._amount is not None:
            self._policy.learn(self._amount)
        return self._policy.amounts(self._amount)


_OPEN = ScopedBudgets(SYSTEM_CLOCK)
