"""How the state of an alert follows from what evaluations find: a pure function, without a clock of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from llmops_sdk.monitoring.states._outcome import Outcome

__all__ = ["AlertState", "Change", "alert_id", "resolve", "step"]


@dataclass(slots=True, kw_only=True)
class AlertState:
    """The state of one alert: of one rule, one group and one severity.

    Attributes:
        rule: The rule's name.
        severity: The severity.
        labels: The group, by column.
        state: "inactive", "pending", "firing" or "nodata".
        since: When this episode began: the condition held first, in seconds since the epoch.
        firing_since: Since when it fires, or None.
        calm_since: Since when the condition is gone while it still fires, or None.
        told: Whether a message said that it fires.
        told_at: When the last message was put into the queue.
        repeats: How many repeats were sent.
        kind: The kind of its rule.
        names: Who was told, so that they hear of the end even if the rule is removed.
    """

    rule: str
    severity: str
    labels: Mapping[str, str]
    state: str = "inactive"
    since: float = 0.0
    firing_since: float | None = None
    calm_since: float | None = None
    told: bool = False
    told_at: float = 0.0
    repeats: int = 0
    kind: str = ""
    names: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Return what tells this alert from others."""
        return orjson.dumps([self.rule, self.severity, self.labels], option=orjson.OPT_SORT_KEYS).decode()

    @property
    def is_active(self) -> bool:
        """Return whether it fires."""
        return self.state in ("firing", "nodata")

    def as_json(self) -> dict[str, Any]:
        """Return what `AlertState(**...)` takes."""
        return {**asdict(self), "labels": dict(self.labels), "names": list(self.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a state.

    Attributes:
        state: The new state: "pending", "firing", "nodata", "resolved" or "inactive".
        previous: The state before.
        alert_id: The id of the episode.
        firing_since: Since when it fires or fired, or None.
    """

    state: str
    previous: str
    alert_id: str
    firing_since: float | None


def alert_id(alert: AlertState) -> str:
    """Return the id of an alert's episode: a digest of its rule, severity, labels and beginning."""
    given = f"{alert.name}\n{int(alert.since * 1_000)}"
    return hashlib.blake2b(given.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def step(alert: AlertState, outcome: Outcome, now: float, *, delay: float, keep: float) -> Change | None:
    """Change the state by what an evaluation found; return the change, or None.

    Args:
        alert: The state, which is changed.
        outcome: What the evaluation found.
        now: The time of the evaluation, in seconds since the epoch.
        delay: Seconds that the condition must hold before it fires.
        keep: Seconds that it must be gone before it is resolved.
    """
    if outcome.no_data and alert.state in ("inactive", "pending"):
        return _move(alert, "nodata", now)
    if alert.state == "nodata":
        if not outcome.no_data:
            return resolve(alert)
        return None
    if outcome.is_bad is None:
        return None
    if alert.state == "firing":
        if outcome.is_bad:
            alert.calm_since = None
            return None
        if alert.calm_since is None:
            alert.calm_since = now
        # A time in the future: the clock was set back.
        return resolve(alert) if abs(now - alert.calm_since) >= keep else None
    if not outcome.is_bad:
        return _give_up(alert) if alert.state == "pending" else None
    if alert.state == "inactive" and delay > 0:
        return _move(alert, "pending", now)
    if alert.state == "pending" and abs(now - alert.since) < delay:
        return None
    return _move(alert, "firing", now)


def _move(alert: AlertState, state: str, now: float) -> Change:
    previous = alert.state
    if previous == "inactive":
        alert.since = now
    alert.state, alert.calm_since = state, None
    if state != "pending":
        alert.firing_since, alert.told, alert.repeats = now, False, 0
    return Change(state=state, previous=previous, alert_id=alert_id(alert), firing_since=alert.firing_since)


def resolve(alert: AlertState) -> Change:
    """End an alert that fires; return the change."""
    change = Change(
        state="resolved", previous=alert.state, alert_id=alert_id(alert), firing_since=alert.firing_since
    )  # fmt: skip
    alert.state, alert.calm_since, alert.firing_since = "inactive", None, None
    return change


def _give_up(alert: AlertState) -> Change:
    alert.state = "inactive"
    return Change(state="inactive", previous="pending", alert_id=alert_id(alert), firing_since=None)
