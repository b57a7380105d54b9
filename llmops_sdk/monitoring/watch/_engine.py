"""Evaluate every rule at one moment, and decide what to tell: no clock, no I/O besides what evaluators read."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llmops_sdk.errors import ConfigError, QueryError
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.rules._figures import number
from llmops_sdk.monitoring.states._machine import AlertState, Change, step
from llmops_sdk.monitoring.states._outcome import EVERYTHING, Evaluator, Outcome

__all__ = ["Engine", "Event", "Message"]

_LATE_EVERY = 3_600
_NOTHING: Container[tuple[str, ...]] = ()
_LONGEST_PAUSE = 900
"""Seconds until a rule that failed is tried again, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change of an alert's state, or a note about one that stays.

    Attributes:
        evaluator: The rule.
        alert: The alert's state after the change; of a resolved one as it was when it fired.
        outcome: What the evaluation found.
        change: The change.
        reason: The reason in one sentence.
        time: The time of the evaluation, in seconds since the epoch.
    """

    evaluator: Evaluator
    alert: AlertState
    outcome: Outcome
    change: Change
    reason: str
    time: int

    @property
    def kind(self) -> str:
        """Return the kind for rows and messages."""
        return "nodata" if "nodata" in (self.change.state, self.change.previous) else self.evaluator.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to send.

    Attributes:
        event: What it is about.
        state: "firing" or "resolved".
        repeat: 0 for the first message of this state.
    """

    event: Event
    state: str
    repeat: int


@dataclass(slots=True)
class _Active:
    """The alerts of one rule that are not inactive, by severity and labels."""

    alerts: dict[tuple[str, tuple[str, ...]], AlertState] = field(
        default_factory=dict[tuple[str, tuple[str, ...]], AlertState]
    )
    last: dict[tuple[str, tuple[str, ...]], Event] = field(default_factory=dict[tuple[str, tuple[str, ...]], Event])
    late_at: int = 0
    series: tuple[Series, ...] = ()
    late_series: tuple[Series, ...] = ()
    failures: int = 0
    retry_at: int = 0


class Engine:
    """Rules with the states of their alerts.

    Args:
        evaluators: The rules.
        rollup: The counts, which somebody refreshes.
        states: The states of an earlier run.
    """

    def __init__(self, evaluators: Sequence[Evaluator], rollup: Rollup, states: Iterable[AlertState] = ()) -> None:
        self.evaluators = evaluators
        self.rollup = rollup
        self.problems: dict[str, str] = {}
        """Rules that could not be evaluated at the last step, with the reason."""
        self._active = {
            one.name: _Active(
                series=tuple(one.wanted()), late_series=tuple(series for series in one.wanted() if series.is_late)
            )
            for one in evaluators
        }
        for state in states:
            active = self._active.get(state.rule)
            if active is not None:
                active.alerts[state.severity, tuple(state.labels.values())] = state

    def states(self) -> list[AlertState]:
        """Return the states of all alerts that are not inactive."""
        return [alert for active in self._active.values() for alert in active.alerts.values()]

    @property
    def has_states(self) -> bool:
        """Return whether an alert is not inactive."""
        return any(active.alerts for active in self._active.values())

    def step(self, end: int) -> list[Event]:
        """Evaluate every rule; return what changed.

        Args:
            end: The end of the last full minute, in seconds since the epoch.
        """
        before, self.problems = self.problems, {}
        events: list[Event] = []
        for evaluator in self.evaluators:
            active = self._active[evaluator.name]
            problem = self._problem(active, before.get(evaluator.name), end)
            if problem is not None:
                self.problems[evaluator.name] = problem
                continue
            late = sum(map(self.rollup.late, active.late_series)) if active.late_series else 0.0
            asked: Container[tuple[str, ...]] = _NOTHING
            if late >= 1:
                asked = EVERYTHING
            elif active.alerts:
                asked = {labels for _, labels in active.alerts}
            try:
                outcomes = list(evaluator.evaluate(self.rollup, end, asked))
            except (QueryError, ConfigError) as error:
                # One broken rule must not silence the others, and one that takes too long must not delay them for ever.
                self.problems[evaluator.name] = str(error)
                active.retry_at = end + min(60 * 2**active.failures, _LONGEST_PAUSE)
                active.failures = min(active.failures + 1, 10)
                continue
            active.failures = 0
            if not outcomes and not active.alerts:
                continue
            found = self._step(evaluator, active, outcomes, end)
            if late >= 1:
                found = self._late(evaluator, active, outcomes, found, late, end)
            events += found
        return events

    def _problem(self, active: _Active, known: str | None, end: int) -> str | None:
        """Return why a rule cannot be evaluated now, or None."""
        if self.rollup.has_problems:
            found = next(filter(None, map(self.rollup.problem, active.series)), None)
            if found is not None:
                return found
        return known if active.retry_at and end < active.retry_at <= end + _LONGEST_PAUSE else None

    def _step(
        self, evaluator: Evaluator, active: _Active, outcomes: Sequence[Outcome], end: int
    ) -> list[Event]:  # fmt: skip
        events: list[Event] = []
        alerts = active.alerts
        seen: set[tuple[str, tuple[str, ...]]] = set()
        for outcome in outcomes:
            key = outcome.severity, outcome.labels
            alert = alerts.get(key)
            if alert is None:
                if not outcome.is_bad and not outcome.no_data:
                    continue
                labels = dict(zip(evaluator.columns, outcome.labels, strict=False))
                alert = alerts[key] = AlertState(
                    rule=evaluator.name, severity=outcome.severity, labels=labels, kind=evaluator.kind
                )
            seen.add(key)
            self._move(evaluator, active, key, outcome, end, events)
        if len(seen) < len(alerts):
            for key in [key for key in alerts if key not in seen]:
                gone = Outcome(is_bad=False, severity=key[0], labels=key[1])
                self._move(evaluator, active, key, gone, end, events)
        return events

    def _move(
        self, evaluator: Evaluator, active: _Active, key: tuple[str, tuple[str, ...]], outcome: Outcome, end: int,
        events: list[Event],
    ) -> None:  # fmt: skip
        alert = active.alerts[key]
        change = step(alert, outcome, end, delay=evaluator.delay, keep=evaluator.keep)
        if change is not None:
            reason = _REASONS.get(change.state) or evaluator.describe(outcome)
            if change.previous == "nodata":
                reason = "events come again"
            event = Event(
                evaluator=evaluator, alert=replace(alert), outcome=outcome, change=change, reason=reason, time=end
            )
            events.append(event)
            active.last[key] = event
        if alert.state == "inactive":
            del active.alerts[key]

    def _late(
        self, evaluator: Evaluator, active: _Active, outcomes: Sequence[Outcome], found: list[Event], late: float,
        end: int,
    ) -> list[Event]:  # fmt: skip
        """Say in the history that events of earlier hours changed the figures."""
        said = f"{number(round(late))} events of earlier hours came late"
        if found:
            return [replace(event, reason=f"{event.reason}; {said}") for event in found]
        if end - active.late_at < _LATE_EVERY or not outcomes:
            return found
        active.late_at = end
        outcome = outcomes[-1]
        alert = active.alerts.get((outcome.severity, outcome.labels)) or AlertState(
            rule=evaluator.name, severity=outcome.severity,
            labels=dict(zip(evaluator.columns, outcome.labels, strict=False)), since=end,
        )  # fmt: skip
        from llmops_sdk.monitoring.states._machine import alert_id

        change = Change(
            state=alert.state, previous=alert.state, alert_id=alert_id(alert), firing_since=alert.firing_since
        )  # fmt: skip
        reason = f"{said}; {evaluator.describe(outcome)}"
        return [
            Event(evaluator=evaluator, alert=replace(alert), outcome=outcome, change=change, reason=reason, time=end)
        ]

    def messages(
        self, events: Sequence[Event], end: int, is_silenced: Callable[[AlertState], bool] = lambda _: False
    ) -> list[Message]:  # fmt: skip
        """Return what to send after a step: new alerts, repeats, and ends of those that were told.

        Args:
            events: What the step returned.
            end: The time of the step.
            is_silenced: Whether an alert is silenced now.
        """
        found = [
            Message(event=event, state="resolved", repeat=0)
            for event in events
            if event.change.state == "resolved" and event.alert.told
        ]
        for evaluator in self.evaluators:
            active = self._active[evaluator.name]
            for key, alert in active.alerts.items():
                if not alert.is_active or is_silenced(alert) or self._is_inhibited(evaluator, active, key):
                    continue
                due = alert.told and evaluator.repeat is not None and abs(end - alert.told_at) >= evaluator.repeat
                if alert.told and not due:
                    continue
                alert.repeats += alert.told
                alert.told, alert.told_at, alert.names = True, end, evaluator.notify
                event = self._event_of(evaluator, active, key, alert, end)
                found.append(Message(event=event, state="firing", repeat=alert.repeats))
        return found

    def _is_inhibited(self, evaluator: Evaluator, active: _Active, key: tuple[str, tuple[str, ...]]) -> bool:
        """Return whether a more urgent alert of the same objective and group says the same already."""
        rank = evaluator.severities.index(key[0]) if key[0] in evaluator.severities else 0
        return any(
            (other := active.alerts.get((severity, key[1]))) is not None and other.is_active
            for severity in evaluator.severities[:rank]
        )

    def _event_of(
        self, evaluator: Evaluator, active: _Active, key: tuple[str, tuple[str, ...]], alert: AlertState, end: int
    ) -> Event:  # fmt: skip
        last = active.last.get(key)
        if last is None:  # from before a restart
            from llmops_sdk.monitoring.states._machine import alert_id

            change = Change(
                state=alert.state, previous=alert.state, alert_id=alert_id(alert), firing_since=alert.firing_since
            )  # fmt: skip
            outcome = Outcome(labels=key[1], severity=key[0])
            last = Event(evaluator=evaluator, alert=alert, outcome=outcome, change=change, reason="", time=end)
        reason = last.reason or f"it has been {alert.state} since before the watcher was started again"
        return replace(last, alert=replace(alert), time=end, reason=reason)

    def figures(self) -> Mapping[str, str]:
        """Return the worst state of each rule: "firing", "nodata", "pending" or "inactive"."""
        order = ("firing", "nodata", "pending")
        return {
            name: next((one for one in order if any(a.state == one for a in active.alerts.values())), "inactive")
            for name, active in self._active.items()
        }


_REASONS = {"nodata": "no events come, which are usual at this time"}
