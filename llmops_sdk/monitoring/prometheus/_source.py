"""What the watcher tells `/metrics` and `/healthz` about alerts and objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Budget", "FiringAlert", "MonitorState", "NoState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringAlert:
    """An alert that fires now.

    Attributes:
        rule: The rule's name.
        severity: "page", "ticket" or "info".
        labels: The group that it is about.
    """

    rule: str
    severity: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much of the failures that an objective allows in its period are left.

    Attributes:
        slo: The objective's name.
        objective: The share of good calls to keep.
        remaining: The share of the budget that is left; negative when more than all of it is used.
        burn_rates: How fast the budget is used up, by the window's length in seconds; 1 uses it up within the period.
    """

    slo: str
    objective: float
    remaining: float
    burn_rates: Mapping[float, float] = field(default_factory=dict[float, float])


class MonitorState(Protocol):
    """The state of the watcher. Any thread may ask; the answers come at once."""

    def firing(self) -> Sequence[FiringAlert]:
        """Return the alerts that fire now."""
        ...

    def budgets(self) -> Sequence[Budget]:
        """Return the budgets of the objectives, as of the last evaluation."""
        ...

    def waiting(self) -> Mapping[str, int]:
        """Return how many notifications wait, by the notifiers' names."""
        ...

    def last_evaluation(self) -> float | None:
        """Return when the rules were last evaluated, in seconds since the epoch, or None before the first time."""
        ...


class NoState:
    """The state where no rules are evaluated: `/metrics` has the calls alone."""

    def firing(self) -> Sequence[FiringAlert]:
        """Return nothing."""
        return ()

    def budgets(self) -> Sequence[Budget]:
        """Return nothing."""
        return ()

    def waiting(self) -> Mapping[str, int]:
        """Return nothing."""
        return {}

    def last_evaluation(self) -> float | None:
        """Return None."""
        return None
