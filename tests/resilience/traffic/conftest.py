"""A deployment with all of its policies, and ways to look into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from llmops_sdk._util._clock import Clock
from llmops_sdk.config import BreakerSettings, BudgetSettings, LimitSettings, Settings, resolve_model
from llmops_sdk.providers import Provider
from llmops_sdk.resilience.breaker._breaker import Breaker
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._estimate import Estimator
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.traffic._provider import TrafficProvider
from llmops_sdk.shared._local import LocalState

OPEN = 30.0


@dataclass
class Deployed:
    """A stage around a provider, with everything switched on: one slot, one failure opens, a budget of tokens."""

    inner: Provider
    clock: Clock
    concurrency: int = 1
    failures: int = 1
    limit_tokens: float = 1_000.0
    queue: int = 100
    state: LocalState = field(init=False)

    def __post_init__(self) -> None:
        self.state = LocalState(self.clock)
        self.limits = LimitSettings(concurrency=self.concurrency, queue=self.queue)
        self.limiter = Limiter("east", self.limits, self.state, self.clock)
        self.breaker = Breaker(
            "east", BreakerSettings(failures=self.failures, open_seconds=OPEN), self.clock, self.state
        )
        budget = BudgetSettings(name="team", limit_tokens=self.limit_tokens, window="total")
        self.stage = TrafficProvider(
            self.inner,
            "east",
            limiter=self.limiter,
            breaker=self.breaker,
            budgets=Budgets((budget,), self.state, self.clock),
            clock=self.clock,
            estimator=Estimator(resolve_model(Settings(model="offline/echo"))),
            limits=self.limits,
        )

    @property
    def spent(self) -> float:
        """Tokens that are spent and reserved."""
        return sum(one.amount for one in self.state._sums.values())

    def is_idle(self) -> bool:
        """Return whether no call holds anything, in the policies or in the state."""
        health = self.stage.health()
        return (health.in_flight, health.waiting, self.limiter.in_flight, self.state._holders) == (0, 0, 0, {})


@pytest.fixture
def deploy(clock) -> Callable[..., Deployed]:
    def make(inner: Provider, **given) -> Deployed:
        return Deployed(inner, given.pop("clock", clock), **given)

    return make
