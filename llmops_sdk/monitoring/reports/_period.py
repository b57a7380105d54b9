"""The period of a report, and the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llmops_sdk.errors import ConfigError

__all__ = ["Period", "period_of"]

_STEPS = (60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600, 86_400, 7 * 86_400, 28 * 86_400)
_MOST_STEPS = 48
_FIRST_YEAR, _LAST_YEAR = 1971, 2199


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A period in UTC, without a zone: from `since`, before `until`.

    Attributes:
        since: Its begin.
        until: Its end.
        previous: The begin of the period of the same length before it, or None for no comparison.
    """

    since: datetime
    until: datetime
    previous: datetime | None

    @property
    def begin(self) -> datetime:
        """Return the begin of everything that is read."""
        return self.since if self.previous is None else self.previous

    @property
    def step(self) -> int:
        """Return the seconds of a bar in the plots: at most 48 bars, or 28 days each."""
        length = (self.until - self.since).total_seconds()
        return next((step for step in _STEPS if length <= step * _MOST_STEPS), _STEPS[-1])


def period_of(since: datetime | timedelta, until: datetime | None, *, compare: bool) -> Period:
    """Return the period of a report.

    Args:
        since: Its begin, or its length before `until`.
        until: Its end; None for now.
        compare: Whether it is compared with the period before.

    Raises:
        ConfigError: The period is empty, or outside the years from 1971 to 2199.
    """
    end = datetime.now(UTC).replace(tzinfo=None) if until is None else _naive(until)
    try:
        begin = end - since if isinstance(since, timedelta) else _naive(since)
        previous = begin - (end - begin) if compare else None
    except OverflowError:
        raise _outside(since) from None
    if begin >= end:
        raise ConfigError("the period is empty: let since be before until", key="since", value=str(since))
    if (previous or begin).year < _FIRST_YEAR or end.year > _LAST_YEAR:
        raise _outside(since)
    return Period(since=begin, until=end, previous=previous)


def _outside(since: object) -> ConfigError:
    return ConfigError(
        f"the period begins before {_FIRST_YEAR} or ends after {_LAST_YEAR}: give a shorter one, or compare with none",
        key="since",
        value=str(since),
    )


def _naive(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
