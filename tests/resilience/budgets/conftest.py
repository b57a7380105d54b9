"""Budgets over a state in this process, with a record of their decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from llmops_sdk.config import BudgetSettings
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.shared._local import LocalState
from llmops_sdk.testing import ManualClock


@dataclass
class Book:
    """Budgets and what they recorded."""

    budgets: Budgets
    state: LocalState
    decisions: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def open_book(clock: ManualClock) -> Callable[..., Book]:
    """Open budgets: each argument is a mapping of settings, with the name "b" unless it has another."""

    def go(*settings: dict[str, Any], state: LocalState | None = None, **options: Any) -> Book:
        state = LocalState(clock) if state is None else state
        decisions: list[dict[str, Any]] = []

        def record(policy: str, decision: str, **fields: Any) -> None:
            decisions.append({"policy": policy, "decision": decision, **fields})

        chosen = tuple(BudgetSettings(**{"name": "b", **one}) for one in settings)
        return Book(Budgets(chosen, state, clock, record=record, **options), state, decisions)

    return go
