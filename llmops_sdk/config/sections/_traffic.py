"""The settings of traffic control: limits, the circuit breaker, hedging and budgets. All are off by default."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from llmops_sdk._util._public import public
from llmops_sdk.config.sections._base import OptionalText, OrNone, SettingsSection
from llmops_sdk.config.sections._named_table import NamedTable, distinct_names

__all__ = ["BalanceMode", "BreakerSettings", "BudgetSettings", "BudgetTables", "HedgeSettings", "LimitSettings"]

BalanceMode: TypeAlias = Literal["weighted", "least_busy", "lowest_latency"]

_Count = Annotated[PositiveInt | None, OrNone]
_Amount = Annotated[PositiveFloat | None, OrNone]
_LONGEST_WINDOW = 10 * 366 * 86_400.0
"""Seconds: a later end would have no date that an error could name."""
_WindowSeconds = Annotated[float, Field(ge=0.001, le=_LONGEST_WINDOW)]


@public("llmops_sdk.config")
class LimitSettings(SettingsSection):
    """Limits on the calls to one deployment. A call above a limit waits in a bounded queue; none is set by default."""

    concurrency: _Count = None
    """The most calls at the same time."""
    requests_per_minute: _Amount = None
    """The most requests a minute. Attempts of a retry count, too."""
    tokens_per_minute: _Amount = None
    """The most tokens a minute, prompt and answer together: estimated before a call, corrected after it."""
    adaptive: bool = False
    """True lowers the concurrency after throttling and time-outs, and raises it again step by step, up to
    `concurrency`, or 1,000. It starts at 20."""
    queue: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    """The most calls that wait; one more is refused at once. 0 refuses every call above a limit."""
    queue_timeout: NonNegativeFloat = 30.0
    """Seconds that a call waits at most. Its own deadline ends the wait earlier."""
    fair: Literal["user", "session", "none"] = "user"
    """Who takes turns in the queue: each user, or each session, so that one with many calls does not hold up the
    others. "none" keeps the order of arrival."""

    @property
    def is_on(self) -> bool:
        """Return whether there is any limit."""
        return (
            self.adaptive
            or self.concurrency is not None
            or self.requests_per_minute is not None
            or self.tokens_per_minute is not None
        )


@public("llmops_sdk.config")
class BreakerSettings(SettingsSection):
    """The circuit breaker of each deployment: after failures in a row, calls fail at once instead of waiting."""

    failures: _Count = None
    """Failures in a row that open the breaker: outages, time-outs and broken connections, not bad requests. "none"
    means no breaker."""
    open_seconds: PositiveFloat = 30.0
    """Seconds that it stays open. Then one call probes the deployment: its success closes the breaker."""
    cooldown: bool = True
    """Where a breaker is on: whether the Retry-After of one call's 429 or 503 holds for all calls to the deployment."""
    max_cooldown: PositiveFloat = 300.0
    """Seconds: a longer Retry-After counts as this long."""

    @property
    def is_on(self) -> bool:
        """Return whether there is a breaker."""
        return self.failures is not None


@public("llmops_sdk.config")
class HedgeSettings(SettingsSection):
    """Hedging: a second request when the first one takes unusually long; the faster answer counts."""

    share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """The largest share of calls that may be sent twice, e.g. 0.05. 0 turns hedging off."""
    percentile: Annotated[float, Field(gt=0.0, lt=100.0)] = 95.0
    """The second request goes out after this percentile of the latencies observed, or after a higher one if `share`
    does not cover all calls above it; of a stream, the latencies of its first piece."""
    min_delay: NonNegativeFloat = 0.05
    """Seconds: the second request never goes out earlier."""
    samples: Annotated[int, Field(ge=2, le=10_000)] = 50
    """How many latencies are needed before the first hedge."""
    tools: bool = False
    """True also hedges calls with tools, which may then be called twice."""

    @property
    def is_on(self) -> bool:
        """Return whether calls may be hedged."""
        return self.share > 0


@public("llmops_sdk.config")
class BudgetSettings(NamedTable):
    """A budget of money or tokens over a time window: one table of `[[budgets]]`."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """The budget's name, in errors and in SQL."""
    limit_usd: _Amount = None
    """USD. Set this or `limit_tokens`."""
    limit_tokens: _Amount = None
    """Tokens of prompts and answers together."""
    per: Literal["all", "model", "user", "session", "tag", "run"] = "all"
    """Who has the budget: all calls together, or each model, user, session, tag or agent run (a trace) its own."""
    window: Literal["minute", "hour", "day", "week", "month", "total"] | _WindowSeconds = "day"
    """The time after which spending starts at zero again: a calendar unit in UTC, seconds, or "total" for never."""
    mode: Literal["hard", "soft"] = "hard"
    """"hard" refuses calls above the limit; "soft" lets them pass, and records that."""
    model: OptionalText = None
    """Only calls of this model count: its name in `[models]`, or "provider/model". Default: every model."""
    tag: OptionalText = None
    """Only calls with this tag count. Default: every call."""
    unknown_cost: PositiveFloat = 0.01
    """USD that a call counts for whose price is not known."""

    @model_validator(mode="after")
    def _check_limit(self) -> BudgetSettings:
        if (self.limit_usd is None) == (self.limit_tokens is None):
            raise ValueError("a table with limit_usd or limit_tokens, and not both")
        return self


BudgetTables: TypeAlias = Annotated[tuple[BudgetSettings, ...], Field(strict=False), AfterValidator(distinct_names)]
