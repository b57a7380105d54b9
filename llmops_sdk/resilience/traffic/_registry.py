"""The state of every deployment in this process: all stages that call one share its limiter and its breaker."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import BreakerSettings, BudgetSettings, LimitSettings
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.shared._state import SharedState

__all__ = ["Deployment", "budgets_of", "deployment_of", "forget_traffic"]

_MOST_DEPLOYMENTS = 1_024
"""The most deployments; then the one goes that was opened longest ago. Stages that are open keep it."""


@dataclass(slots=True)
class Deployment:
    """What the calls to one deployment share.

    Attributes:
        name: Its name.
        clock: The time.
        limiter: Its limiter, or None while limits were never on.
        breaker: Its breaker, or None while it was never on.
        calls: The calls in flight.
    """

    name: str
    clock: Clock
    limiter: Limiter | None = None
    breaker: Breaker | None = None
    calls: set[int] = field(default_factory=set[int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def limit(self, settings: LimitSettings, state: SharedState) -> Limiter:
        """Return the limiter, with these settings from now on."""
        with self._lock:
            if self.limiter is None:
                self.limiter = Limiter(self.name, settings, state, self.clock)
            else:
                self.limiter.configure(settings, state)
            return self.limiter

    def guard(self, settings: BreakerSettings, state: SharedState) -> Breaker:
        """Return the breaker, with these settings from now on."""
        with self._lock:
            if self.breaker is None:
                self.breaker = Breaker(self.name, settings, self.clock, state)
            else:
                self.breaker.configure(settings, state)
            return self.breaker


_lock = threading.Lock()
_deployments: OrderedDict[str, Deployment] = OrderedDict()
_budgets: list[tuple[tuple[BudgetSettings, ...], SharedState, Budgets]] = []


def deployment_of(name: str, clock: Clock) -> Deployment:
    """Return the deployment of a name; a test's other clock begins with a new one."""
    with _lock:
        found = _deployments.get(name)
        if found is None or found.clock is not clock:
            found = _deployments[name] = Deployment(name, clock)
        _deployments.move_to_end(name)
        if len(_deployments) > _MOST_DEPLOYMENTS:
            _deployments.popitem(last=False)
        return found


def budgets_of(settings: tuple[BudgetSettings, ...], state: SharedState, make: Callable[[], Budgets]) -> Budgets:
    """Return the budgets of the process; other settings or another state make new ones, whose sums are in the state.

    Args:
        settings: The budgets.
        state: Where the sums are.
        make: Makes the budgets.
    """
    with _lock:
        for known, where, budgets in _budgets:
            if known == settings and where is state:
                return budgets
        budgets = make()
        _budgets[:] = [(settings, state, budgets)]
        return budgets


def forget_traffic() -> None:
    """Forget every deployment and budget: in a test, and in a forked child, whose parent's threads may hold locks."""
    global _lock
    _lock = threading.Lock()
    _deployments.clear()
    _budgets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_traffic)
