"""What `/metrics` and `/healthz` show of a watcher: as of its last look, so that a scrape never waits for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmops_sdk._util._clock import Clock
from llmops_sdk.monitoring.prometheus._source import Budget, FiringAlert
from llmops_sdk.monitoring.watch._watcher import Watcher

__all__ = ["LastLook"]

_HOUR = 3_600.0


class LastLook:
    """The state of a watcher after its last look.

    Args:
        watcher: The watcher.
        clock: The clock.
    """

    def __init__(self, watcher: Watcher, clock: Clock) -> None:
        self._watcher, self._clock = watcher, clock
        self._at: float | None = None
        self._firing: tuple[FiringAlert, ...] = ()
        self._budgets: tuple[Budget, ...] = ()

    def refresh(self) -> None:
        """Take the state of the watcher. Call it after each look, in the thread of the looks."""
        self._firing = tuple(
            FiringAlert(rule=one.rule, severity=one.severity, labels=one.labels) for one in self._watcher.firing()
        )
        self._budgets = tuple(
            Budget(slo=one.name, objective=one.objective, remaining=one.left, burn_rates={_HOUR: one.burn})
            for one in self._watcher.budgets()
        )
        self._at = self._clock.time()

    def firing(self) -> Sequence[FiringAlert]:
        """Return the alerts that fired at the last look."""
        return self._firing

    def budgets(self) -> Sequence[Budget]:
        """Return the budgets of the objectives at the last look."""
        return self._budgets

    def waiting(self) -> Mapping[str, int]:
        """Return how many notifications wait, by the notifiers' names."""
        sizes = getattr(self._watcher.queue, "sizes", None)
        return {} if sizes is None else sizes()

    def last_evaluation(self) -> float | None:
        """Return when the watcher looked last, or None before its first look."""
        return self._at
