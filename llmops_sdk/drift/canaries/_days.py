"""Read the answers of an identity canary: how often each answer was given to each prompt on each day in UTC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeAlias, cast

from llmops_sdk.errors import ConfigError, NotComparableError

__all__ = ["Day", "DayKey", "Days", "as_day", "read_days"]

DayKey: TypeAlias = date | int
_LONGEST = 200
_MOST_DAYS = 4_000
_ANSWER_KEYS = ("answer", "answers", "tokens", "token")


@dataclass(slots=True)
class Day:
    """The answers of one day, by prompt."""

    answers: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    trace_ids: list[str] = field(default_factory=list[str])

    @property
    def n(self) -> int:
        """Return the number of answers."""
        return sum(one.total() for one in self.answers.values())


@dataclass(slots=True)
class Days:
    """The days from the first to the last one, also those without answers, and what could not be used."""

    days: dict[DayKey, Day] = field(default_factory=dict[DayKey, Day])
    missing: int = 0
    """Answers that are None."""
    future: int = 0
    """Answers of days that have not begun: a clock is wrong."""


def as_day(value: Any) -> DayKey:
    """Return the day in UTC of a date, a time, ISO text or a number of days.

    Days in UTC all have 24 hours, which those of a place with summer time have not. A time without a zone is UTC.

    Args:
        value: The day.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if isinstance(value, date) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        try:
            return as_day(datetime.fromisoformat(value))
        except ValueError:
            pass
    raise ConfigError(
        "a day is neither a date, a time, ISO text nor a whole number: give one of these", key="samples", value=None
    )


def read_days(samples: Iterable[Any], *, today: DayKey | None = None) -> Days:
    """Return the answers by day. The order of the samples is of no matter, so that late ones are where they belong.

    Args:
        samples: Mappings with `day` (or `time`), `prompt`, and `answer` or a list `answers`; or tuples of the three.
        today: The current day; later ones are left out and counted.

    Raises:
        ConfigError: A sample has another form, or there are too many days.
        NotComparableError: Some days are dates and others are numbers.
    """
    found = Days()
    for sample in samples:
        key, prompt, answers, trace_id = _parts(sample)
        if today is not None and _is_after(key, today):
            found.future += len(answers)
            continue
        day = found.days.setdefault(key, Day())
        if trace_id is not None and len(day.trace_ids) < 5:
            day.trace_ids.append(trace_id)
        known = [one for one in answers if one is not None]
        found.missing += len(answers) - len(known)
        if known:
            day.answers.setdefault(prompt, Counter()).update(str(one)[:_LONGEST] for one in known)
    found.days = _every_day(found.days)
    return found


def _is_after(key: DayKey, today: DayKey) -> bool:
    return isinstance(key, int) is isinstance(today, int) and cast("Any", key) > today


def _parts(sample: Any) -> tuple[DayKey, str, list[Any], str | None]:
    if isinstance(sample, Mapping):
        row = cast("Mapping[str, Any]", sample)
        day = row.get("day", row.get("time"))
        answers = next((row[key] for key in _ANSWER_KEYS if key in row), None)
        prompt, trace_id = row.get("prompt"), row.get("trace_id")
    elif isinstance(sample, tuple) and len(cast("tuple[Any, ...]", sample)) == 3:
        day, prompt, answers = cast("tuple[Any, Any, Any]", sample)
        trace_id = None
    else:
        raise ConfigError(
            "a sample is neither a mapping with day, prompt and answer nor a tuple of the three", key="samples"
        )
    if day is None or prompt is None:
        raise ConfigError("a sample has no day (or time) or no prompt: give both", key="samples")
    several = list(cast("Sequence[Any]", answers)) if isinstance(answers, list | tuple) else [answers]
    return as_day(day), str(prompt), several, None if trace_id is None else str(trace_id)


def _every_day(days: dict[DayKey, Day]) -> dict[DayKey, Day]:
    if not days:
        return {}
    if len({isinstance(key, int) for key in days}) > 1:
        raise NotComparableError("some days are dates and others are numbers: give all in the same way")
    numbers = [key if isinstance(key, int) else key.toordinal() for key in days]
    first, last = min(numbers), max(numbers)
    if last - first >= _MOST_DAYS:
        raise ConfigError(f"the samples span {last - first:,} days: give {_MOST_DAYS:,} at most", key="samples")
    are_dates = not isinstance(next(iter(days)), int)
    keys: list[DayKey] = [date.fromordinal(one) if are_dates else one for one in range(first, last + 1)]
    return {key: days.get(key, Day()) for key in keys}
