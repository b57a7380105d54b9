"""The settings of monitoring: rules, objectives, notifiers and the watcher. There are none by default."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, PositiveFloat, model_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import Names, OptionalPath, OptionalText, OrNone, SettingsSection
from llmops_sdk.config.sections._named_table import NamedTable, distinct_names
from llmops_sdk.config.sections._value_types import Duration

__all__ = ["AlertSettings", "AlertTables", "NotifierSettings", "Severity", "SloSettings", "WatchSettings"]

Severity: TypeAlias = Literal["page", "ticket", "info"]


@public("llmops_sdk.config")
class AlertSettings(NamedTable):
    """A rule: one table of `[[alerts]]`. It compares a figure with a threshold, or with what is usual at this hour."""

    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """The rule's name."""
    metric: OptionalText = None
    """What to compare, such as "cost", "errors", "latency_p95" or "score:helpful". Set this or `sql`."""
    sql: OptionalText = None
    """A query that returns one row, or one for each group: a column `value`, and further columns as labels. The
    parameters `$since` and `$until` are the window."""
    where: OptionalText = None
    """For a metric: a condition in SQL over the columns of `llm_calls`."""
    group_by: Names = ()
    """For a metric: columns of `llm_calls`; each group has an alert of its own."""
    threshold: Annotated[float | None, OrNone] = None
    """The threshold. Set this or `anomaly`."""
    compare: Literal["above", "below"] = "above"
    """The side of the threshold, or of what is usual, that is bad."""
    anomaly: Annotated[Literal["seasonal"] | None, OrNone] = None
    """"seasonal" compares with the same hour of earlier weeks."""
    false_alarms_per_month: PositiveFloat = 1.0
    """For an anomaly: the most false alarms to expect in 30 days."""
    window: Annotated[Duration, Field(ge=60)] = 3_600.0
    """The time before now that the figure covers."""
    for_: Annotated[Duration, Field(ge=0)] = Field(default=0.0, alias="for")
    """How long the condition must hold before the alert fires."""
    keep: Annotated[Duration, Field(ge=0)] = 600.0
    """How long the condition must be gone before the alert is resolved."""
    repeat: Annotated[Annotated[Duration, Field(ge=60)] | None, OrNone] = 14_400.0
    """How often an alert that goes on firing is sent again; "none" for never."""
    no_data: Literal["ok", "alert"] = "ok"
    """Whether the absence of events that are usual at this time is an alert."""
    min_events: Annotated[int, Field(ge=0)] = 1
    """Fewer events than this in the window decide nothing."""
    severity: Severity = "ticket"
    """How urgent it is."""
    notify: Names = ()
    """Who is told: names of `[notify.*]`. Default: nobody; the view `alerts` has it all the same."""
    runbook: OptionalText = None
    """An address to read for who gets the alert."""

    @model_validator(mode="after")
    def _check_rule(self) -> AlertSettings:
        if (self.metric is None) == (self.sql is None):
            raise ValueError("a table with metric or sql, and not both")
        if (self.threshold is None) == (self.anomaly is None):
            raise ValueError("a table with threshold or anomaly, and not both")
        if self.sql is not None and (self.where is not None or self.group_by):
            raise ValueError("a table with sql, which holds its own conditions and groups: without where and group_by")
        return self


AlertTables: TypeAlias = Annotated[tuple[AlertSettings, ...], Field(strict=False), AfterValidator(distinct_names)]


@public("llmops_sdk.config")
class SloSettings(SettingsSection):
    """A service-level objective: the share of good calls to keep over a period."""

    sli: Annotated[str, Field(min_length=1, max_length=200)] = "errors"
    """What makes a call good: "errors", "latency", "ttft", "cost", "score:NAME", "guard:NAME", "cache" or "sql"."""
    objective: Annotated[float, Field(gt=0, lt=1)]
    """The share of good calls, e.g. 0.99."""
    threshold: Annotated[float | None, OrNone] = None
    """For latency and ttft: milliseconds that a good call takes at most; for cost: USD; for a score: the least good
    value."""
    sql: OptionalText = None
    """For "sql": a query with one row a call: `time` and `good`."""
    where: OptionalText = None
    """A condition in SQL over the columns of `llm_calls`."""
    period: Annotated[Duration, Field(ge=3_600)] = 30 * 86_400.0
    """The period of the objective."""
    basis: Literal["time", "events"] = "time"
    """How fast the budget of failures is used up: by the share of failures in a window, or by their number as a share
    of the expected calls of the period. "events" suits an objective below 0.93, where shares cannot rise enough."""
    keep: Annotated[Duration, Field(ge=0)] = 600.0
    """How long the condition must be gone before an alert is resolved."""
    repeat: Annotated[Annotated[Duration, Field(ge=60)] | None, OrNone] = 14_400.0
    """How often an alert that goes on firing is sent again; "none" for never."""
    notify: Names = ()
    """Who is told: names of `[notify.*]`."""
    runbook: OptionalText = None
    """An address to read for who gets the alert."""


@public("llmops_sdk.config")
class NotifierSettings(SettingsSection):
    """Where alerts go: one table of `[notify.*]`. Secrets come from environment variables."""

    kind: Literal["webhook", "slack", "email", "alertmanager", "command", "file"]
    """How it is sent."""
    url: OptionalText = None
    """For a webhook and Alertmanager: the address."""
    url_env: OptionalText = None
    """The environment variable with the address; for Slack, whose address is a secret, the only way."""
    secret_env: OptionalText = None
    """For a webhook: the environment variable with the signing secret, `whsec_...`. Without it nothing is signed."""
    command: Names = ()
    """For a command: the program and its arguments. It gets the alert as JSON on its standard input."""
    path: OptionalPath = None
    """For a file: where a line of JSON is added for each notification."""
    to: Names = ()
    """For e-mail: the addresses."""
    sender: OptionalText = None
    """For e-mail: the address that it comes from."""
    host: OptionalText = None
    """For e-mail: the SMTP server."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    """For e-mail: its port. 465 begins with TLS; other ports use STARTTLS."""
    tls: bool = True
    """For e-mail: False sends without TLS, to a server on this machine only."""
    username: OptionalText = None
    """For e-mail: the user name."""
    password_env: OptionalText = None
    """For e-mail: the environment variable with the password."""
    content: bool = False
    """True puts texts of errors into the message. Default: only figures, names and ids leave the machine."""
    resolved: bool = True
    """Whether the end of an alert is sent, too."""
    max_per_minute: Annotated[int, Field(ge=1, le=600)] = 20
    """More messages than this in a minute become one digest."""

    @model_validator(mode="after")
    def _check_kind(self) -> NotifierSettings:
        needed: dict[str, tuple[str, ...]] = {
            "webhook": ("url", "url_env"), "slack": ("url_env",), "alertmanager": ("url", "url_env"),
            "email": ("host",), "command": ("command",), "file": ("path",),
        }  # fmt: skip
        given: Any = [key for key in needed[self.kind] if getattr(self, key)]
        if not given:
            raise ValueError(f'a table with {" or ".join(needed[self.kind])} where kind is "{self.kind}"')
        if self.kind == "email" and not (self.to and self.sender):
            raise ValueError('a table with to and sender where kind is "email"')
        return self


@public("llmops_sdk.config")
class WatchSettings(SettingsSection):
    """The watcher, `llmops watch`: how often it looks, and how it shows that it runs."""

    interval: Annotated[Duration, Field(ge=1, le=3_600)] = 60.0
    """How often the rules are evaluated."""
    listen: OptionalText = None
    """Where to serve `/metrics` and `/healthz`, e.g. "127.0.0.1:9464". Default: nowhere."""
    heartbeat_url_env: OptionalText = None
    """The environment variable with an address to ping after each look, for a dead man's switch elsewhere."""
    simulated: bool = False
    """Whether simulated calls count, such as those of load tests."""
    label_values: Annotated[int, Field(ge=1, le=10_000)] = 100
    """In `/metrics`: the most values of a label; others become "other"."""
    dead_letter_after: Annotated[Duration, Field(ge=60)] = 86_400.0
    """How long a notification is tried."""
    evaluators: bool = True
    """Whether the watcher also runs `[[evaluators]]`."""
