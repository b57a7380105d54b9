"""The stream and view of alerts: one row for each change of an alert's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from llmops_sdk.store.schema._shared_columns import TIME, view_columns
from llmops_sdk.store.schema._types import Column, RecordStream, StoredColumn, View

__all__ = ["ALERTS", "AlertRecord"]

_SINCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """One change of an alert's state. JSON values are bytes."""

    alert_id: str
    rule: str
    kind: str
    state: str
    previous: str
    severity: str
    labels: bytes | None
    value: float | None
    threshold: float | None
    events: float | None
    bad: float | None
    reason: str
    example_trace_ids: Sequence[str]
    details: bytes | None
    firing_ns: int | None
    time_ns: int


_stored = partial(StoredColumn, since=_SINCE)

_COLUMNS = (
    _stored(
        "alert_id",
        "VARCHAR",
        "A digest of the rule, the labels and the time from which the alert fires: the same in every notification.",
        default="",
    ),
    _stored("rule", "VARCHAR", "The name of the rule, in `[[alerts]]` or `[slo.*]`.", default=""),
    _stored("kind", "VARCHAR", "threshold, anomaly, slo, drift or canary.", default=""),
    _stored("state", "VARCHAR", "pending, firing, resolved, inactive or nodata.", default=""),
    _stored("previous", "VARCHAR", "The state before.", default=""),
    _stored("severity", "VARCHAR", "page, ticket or info.", default=""),
    _stored("labels", "JSON", "The group that the alert is about, e.g. the model, as one JSON object."),
    _stored("value", "DOUBLE", "The figure that was compared; NULL when there was none."),
    _stored("threshold", "DOUBLE", "What it was compared with."),
    _stored("events", "DOUBLE", "How many events the figure is made of."),
    _stored("bad", "DOUBLE", "How many of them were bad, for an SLO."),
    _stored("reason", "VARCHAR", "Why the state changed, in one sentence without content.", default=""),
    _stored("example_trace_ids", "VARCHAR[]", "Up to five traces to look at.", default=()),
    _stored("details", "JSON", "Windows, burn rates, what contributed most, and the SQL of the figure."),
    _stored("firing_ns", "BIGINT", "Since when it fires, since the epoch; NULL before.", "ns"),
    _stored("time_ns", "BIGINT", "When the state changed, since the epoch.", "ns"),
)
_NAMES = "alert_id rule kind state previous severity labels value threshold events bad reason example_trace_ids details"

ALERTS = RecordStream(
    name="alerts",
    columns=_COLUMNS,
    segment_folder="alerts",
    parquet_folder="alerts",
    required="alert_id",
    identifying=("alert_id", "firing_ns"),
    same_record="concat_ws(chr(10), alert_id, rule, state, time_ns // 1000)",
    record_type=AlertRecord,
    pruned_by="nothing",
    view=View(
        "alerts",
        "One row for each change of an alert's state; the latest row of an `alert_id` is its state now.",
        (*view_columns(_NAMES, _COLUMNS), Column("firing_since", "TIMESTAMP", "Since when it fires, in UTC."), TIME),
        f"""SELECT {", ".join(_NAMES.split())}, make_timestamp(firing_ns // 1000) AS firing_since,
    make_timestamp(time_ns // 1000) AS time
FROM store.alerts""",  # noqa: S608 - constants
        "SELECT time, rule, state, value, threshold, reason FROM alerts ORDER BY time DESC LIMIT 20",
        "time alert_id rule kind state severity labels value threshold reason example_trace_ids",
    ),
)
