"""Backtest: what the rules would have done over stored traces. It runs the same engine on a clock of its own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk._util._public import public
from llmops_sdk.config import Settings, current
from llmops_sdk.monitoring.rollup._database import FOLDER
from llmops_sdk.monitoring.rollup._labels import Labels, label_key
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.rules._sql_rule import SqlRule
from llmops_sdk.monitoring.states._outcome import Evaluator
from llmops_sdk.monitoring.watch._compile import compile_rules, select
from llmops_sdk.monitoring.watch._engine import Engine, Event
from llmops_sdk.store import query

__all__ = ["Backtest", "BacktestChange", "BacktestRule", "backtest"]

_MONTH = 30 * 86_400.0
_SQL_LOOKS = 1_000
_SCAN_SECONDS = 300.0


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestChange:
    """A change of state that would have happened.

    Attributes:
        time: When, in seconds since the epoch.
        rule: The rule's name.
        severity: "page", "ticket" or "info".
        state: The new state.
        previous: The state before.
        labels: The group.
        reason: The reason in one sentence.
        value: The figure, or None.
        alert_id: The id of the episode.
    """

    time: float
    rule: str
    severity: str
    state: str
    previous: str
    labels: Mapping[str, str]
    reason: str
    value: float | None
    alert_id: str


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRule:
    """What one rule would have done.

    Attributes:
        rule: Its name.
        alerts: How often it would have fired.
        firing_seconds: For how long, all groups added.
        messages: How many messages it would have sent, repeats and ends included.
        per_month: Alerts in 30 days.
        every: Seconds between two looks: a rule with SQL of its own is looked at less often here than live.
    """

    rule: str
    alerts: int
    firing_seconds: float
    messages: int
    per_month: float
    every: float


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """The result of a backtest.

    Attributes:
        since: The begin, in seconds since the epoch.
        until: The end.
        rules: Each rule, in the order of the configuration.
        changes: Every change of a state, oldest first.
        problems: Rules that could not be evaluated, with the reason.
    """

    since: float
    until: float
    rules: tuple[BacktestRule, ...]
    changes: tuple[BacktestChange, ...]
    problems: Mapping[str, str] = field(default_factory=dict[str, str])


def backtest(
    rule: str | None = None, *, since: float = 90 * 86_400.0, until: float | None = None,
    settings: Settings | None = None, path: str | os.PathLike[str] | None = None, clock: Clock = SYSTEM_CLOCK,
) -> Backtest:  # fmt: skip
    """Say what the rules and objectives would have done over the stored traces.

    The states are those of a watcher that had run all the time and seen each call at once: rows that came late count
    from their own time on. A rule with SQL of its own is evaluated at most 1,000 times.

    Args:
        rule: One rule or objective; by default all.
        since: Seconds before the end.
        until: The end, in seconds since the epoch; by default now.
        settings: The settings; by default those in force.
        path: The store's folder; by default the configured one.
        clock: Tells the time now.

    Raises:
        ConfigError: A rule is not valid, or there is none of that name.
        StoreError: The store cannot be read.

    Example:
        >>> from llmops_sdk import monitoring
        >>> monitoring.backtest(since=3_600).changes
        ()
    """
    given = current() if settings is None else settings
    folder = Path(path).absolute() if path is not None else given.store.path.absolute()
    labels = Labels(_key(folder))

    def ask(sql: str, params: Mapping[str, Any]) -> Any:
        return query(sql, params, path=folder, timeout=_SCAN_SECONDS)

    step = max(int(given.watch.interval) // 60 * 60, 60)
    end = int(clock.time() if until is None else until) // step * step
    begin = int(end - since) // step * step
    evaluators = select(compile_rules(given, ask, labels, store=folder), rule)
    wanted: dict[Series, float] = {}
    for one in evaluators:
        for series, seconds in one.wanted().items():
            wanted[series] = max(seconds + end - begin, wanted.get(series, 0.0))
    rollup = Rollup(lambda sql, params: ask(sql, params).rows(), wanted, labels)
    rollup.refresh(end)
    own = [one for one in evaluators if isinstance(one, SqlRule)]
    sql_step = max(-(-(end - begin) // _SQL_LOOKS) // step * step, step)
    every = {one.name: sql_step if one in own else step for one in evaluators}
    replay = _Replay([one for one in evaluators if one not in own], rollup)
    replay.run(begin, end, step)
    slow = _Replay(own, rollup)
    if own:
        slow.run(begin, end, sql_step)
    return _result(evaluators, (replay, slow), begin, end, every)


def _key(folder: Path) -> bytes:
    # A store that no watcher has looked at has no key yet, and a backtest writes nothing.
    place = folder / FOLDER
    return label_key(place) if place.is_dir() else bytes(32)


class _Replay:
    """Runs an engine over the minutes of a period."""

    def __init__(self, evaluators: Sequence[Evaluator], rollup: Rollup) -> None:
        self.engine = Engine(evaluators, rollup)
        self.events: list[Event] = []
        self.messages: Counter[str] = Counter()
        self.problems: dict[str, str] = {}

    def run(self, begin: int, end: int, step: int) -> None:
        for now in range(begin, end + 1, step):
            found = self.engine.step(now)
            self.problems |= self.engine.problems
            if found or self.engine.has_states:
                self.events += found
                self.messages.update(one.event.evaluator.name for one in self.engine.messages(found, now))


def _result(
    evaluators: Sequence[Evaluator], replays: Sequence[_Replay], begin: int, end: int, every: Mapping[str, float]
) -> Backtest:
    events = sorted((event for replay in replays for event in replay.events), key=lambda event: event.time)
    changes = tuple(
        BacktestChange(
            time=event.time, rule=event.evaluator.name, severity=event.alert.severity, state=event.change.state,
            previous=event.change.previous, labels=event.alert.labels, reason=event.reason, value=event.outcome.value,
            alert_id=event.change.alert_id,
        )
        for event in events
    )  # fmt: skip
    alerts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for event in events:
        name, change = event.evaluator.name, event.change
        alerts[name] += change.state in ("firing", "nodata")
        if change.state == "resolved" and change.firing_since is not None:
            seconds[name] += event.time - int(change.firing_since)
    for replay in replays:
        for alert in replay.engine.states():
            if alert.firing_since is not None:
                seconds[alert.rule] += end - int(alert.firing_since)
    messages = sum((replay.messages for replay in replays), Counter[str]())
    rules = tuple(
        BacktestRule(
            rule=one.name, alerts=alerts[one.name], firing_seconds=seconds[one.name], messages=messages[one.name],
            per_month=round(alerts[one.name] * _MONTH / max(end - begin, 1), 3), every=every[one.name],
        )
        for one in evaluators
    )  # fmt: skip
    problems = {name: text for replay in replays for name, text in replay.problems.items()}
    return Backtest(since=begin, until=end, rules=rules, changes=changes, problems=problems)
