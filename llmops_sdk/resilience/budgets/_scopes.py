"""The budgets of decorators and blocks that are open around a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from llmops_sdk._util._clock import Clock
from llmops_sdk.resilience._open_scopes import SCOPES, open_scopes
from llmops_sdk.resilience.budgets._budgets import Budgets, Reservation
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.shared._local import LocalState

__all__ = ["OpenScope", "Scope", "ScopeEntry", "ScopedBudgets", "enter_scope", "leave_scope"]


class Scope(Protocol):
    """A decorator or a block with a budget."""

    def budgets(self) -> Budgets:
        """Return its budget, with the state in force."""
        ...


@dataclass(frozen=True, slots=True)
class OpenScope:
    """A scope around a call.

    Attributes:
        scope: The decorator or the block.
        run: Names the calls inside as one run, where no trace does; None leaves them the names of their traces.
    """

    scope: Scope
    run: str | None = None


def enter_scope(scope: Scope, run: str | None = None) -> None:
    """Let the calls that follow count against a budget, as one run if `run` names it."""
    SCOPES.set((*SCOPES.get(), OpenScope(scope, run)))


def leave_scope(scope: Scope) -> None:
    """End the innermost scope of a budget; another context, in which a generator is closed, may not have it."""
    # Not by a token: that of another context is an error.
    scopes: tuple[OpenScope, ...] = SCOPES.get()
    for index in reversed(range(len(scopes))):
        if scopes[index].scope is scope:
            SCOPES.set(scopes[:index] + scopes[index + 1 :])
            return


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """Let the calls inside the block count against a budget.

    A class, because `contextlib` would turn a StopIteration of the block into another error first.
    """

    scope: Scope
    run: str | None = None

    def __enter__(self) -> None:
        enter_scope(self.scope, self.run)

    def __exit__(self, *exception: object) -> None:
        leave_scope(self.scope)


class ScopedBudgets(Budgets):
    """The budgets that are open around each call; one that is open twice, as in a recursion, counts once.

    Args:
        clock: The time.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__((), LocalState(clock), clock)

    @property
    def needs_price(self) -> bool:
        """Return whether a budget is in USD, so that a call needs an estimate of its cost."""
        return any(one.scope.budgets().needs_price for one in open_scopes())

    @property
    def blocking(self) -> bool:
        """Return whether `reserve` may wait for a server."""
        return any(one.scope.budgets().blocking for one in open_scopes())

    def reserve(self, call: BudgetCall) -> Reservation:
        """Reserve the estimate of a call in every open budget, or in none.

        Raises:
            BudgetExceededError: A hard budget has less left than the call needs.
        """
        made = Reservation()
        try:
            # The outermost first: it has the larger limit, and a refusal of the innermost says most.
            for one in _each_once(open_scopes()):
                made.extend(one.scope.budgets().reserve(call if one.run is None else replace(call, run=one.run)))
        except BaseException:
            made.release()
            raise
        return made


def _each_once(scopes: tuple[OpenScope, ...]) -> Iterable[OpenScope]:
    """Return each scope's outermost entry: a recursion is one run."""
    found: dict[int, OpenScope] = {}
    for one in scopes:
        found.setdefault(id(one.scope), one)
    return found.values()
