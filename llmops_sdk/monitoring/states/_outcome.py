"""What one evaluation of a rule or an objective found for one group."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series

__all__ = ["EVERYTHING", "Evaluator", "Outcome"]


class _Everything:
    def __contains__(self, labels: object) -> bool:
        return True


EVERYTHING: Container[tuple[str, ...]] = _Everything()
"""Asks for every group."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """The result for one group.

    Attributes:
        labels: The values of the group's columns; `()` without groups.
        is_bad: Whether the condition holds; None when there is too little to decide.
        value: The figure, or None.
        threshold: What it was compared with, or None.
        events: The events that the figure is made of.
        bad: How many of them were bad, or None.
        unknown: Calls whose value nobody knows.
        severity: How urgent it is.
        no_data: Whether events that are usual at this time are missing.
        window: Seconds that the figure covers.
        details: Further figures.
    """

    labels: tuple[str, ...] = ()
    is_bad: bool | None = None
    value: float | None = None
    threshold: float | None = None
    events: float = 0.0
    bad: float | None = None
    unknown: float = 0.0
    severity: str = "ticket"
    no_data: bool = False
    window: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Evaluator(Protocol):
    """A rule or an objective, ready to be evaluated.

    Attributes:
        name: Its name.
        kind: "threshold", "anomaly" or "slo".
        columns: The columns whose values are the labels.
        delay: Seconds that the condition must hold before an alert fires.
        keep: Seconds that it must be gone before the alert is resolved.
        repeat: Seconds between repeats of a message, or None.
        notify: Names of `[notify.*]`.
        runbook: An address, or None.
        severities: The severities of its alerts, the most urgent first; a firing one inhibits messages of the others.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    delay: float
    keep: float
    repeat: float | None
    notify: tuple[str, ...]
    runbook: str | None
    severities: tuple[str, ...]

    def wanted(self) -> Mapping[Series, float]:
        """Return the series that it reads, with the seconds of history that it needs of each."""
        ...

    def evaluate(
        self, rollup: Rollup, end: int, asked: Container[tuple[str, ...]] = EVERYTHING
    ) -> Iterable[Outcome]:  # fmt: skip
        """Return the results that matter: of groups in a bad state, and of groups that are asked for.

        Args:
            rollup: The counts.
            end: The end of the last full minute, in seconds since the epoch.
            asked: The labels of groups whose result is wanted in any case: they have an alert.
        """
        ...

    def describe(self, outcome: Outcome) -> str:
        """Return a result in one sentence."""
        ...
