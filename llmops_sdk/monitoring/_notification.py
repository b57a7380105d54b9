"""What a notifier sends: one change of an alert, without content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from llmops_sdk._util._public import public

__all__ = ["Culprit", "Notification", "NotificationState"]

NotificationState: TypeAlias = Literal["firing", "resolved"]


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """A value that contributes more than others to what is wrong.

    Attributes:
        dimension: What it is a value of: "model", "prompt_name", "user_id" or "error_type".
        value: The value.
        share: Its share of the bad events, or of the figure, from 0 to 1.
    """

    dimension: str
    value: str
    share: float


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message about an alert. It has no text of users or models, unless `texts` is filled.

    Attributes:
        id: The alert's id: the same for every message about one episode, so that a receiver can drop repeats.
        rule: The rule's name.
        kind: "threshold", "anomaly", "slo", "drift", "canary" or "nodata".
        state: "firing" or "resolved".
        severity: "page", "ticket" or "info".
        reason: The state in one sentence.
        time: When the state was evaluated, in seconds since the epoch.
        firing_since: Since when it fires, in seconds since the epoch.
        labels: The group that it is about.
        value: The figure, or None.
        threshold: What it was compared with, or None.
        window: Seconds that the figure covers, or None.
        events: The events that the figure is made of, or None.
        bad: How many of them were bad, or None.
        repeat: 0 for the first message of this state, 1 for its first repeat, and so on.
        culprits: What contributed most, the largest share first.
        example_trace_ids: Up to three traces to look at.
        sql: The query behind the figure, or None.
        runbook: An address to read, or None.
        texts: Messages of errors, only for notifiers with `content = true`.
    """

    id: str
    rule: str
    kind: str
    state: NotificationState
    severity: str
    reason: str
    time: float
    firing_since: float
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    value: float | None = None
    threshold: float | None = None
    window: float | None = None
    events: float | None = None
    bad: float | None = None
    repeat: int = 0
    culprits: tuple[Culprit, ...] = ()
    example_trace_ids: tuple[str, ...] = ()
    sql: str | None = None
    runbook: str | None = None
    texts: tuple[str, ...] = ()
