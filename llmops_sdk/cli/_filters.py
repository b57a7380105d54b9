"""The filter options that commands share, and the SQL condition that they become.

Every value goes to DuckDB as a parameter, so user input never becomes part of a statement.
"""
# ruff: noqa: S608 - conditions consist of constants; every value is a parameter

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from llmops_sdk.cli._options import Kind, Model, Score, Search, Session, Since, Status, Tag, Until, User
from llmops_sdk.cli._usage import UsageError

__all__ = ["Filter", "ScoreTest", "Where", "parse_filter", "parse_moment", "parse_period"]

Target: TypeAlias = Literal["traces", "spans", "llm_calls"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SCORE = re.compile(r"([^<>=!]+)(?:(<=|>=|!=|<|>|=)(.*))?", re.DOTALL)
_STATUSES = ("ok", "error", "cancelled", "closed", "unset")
_TEXTS = "concat_ws(' ', name, input, output, status_message, attributes)"


@dataclass(frozen=True, slots=True)
class ScoreTest:
    """A required score: its name and, with a sign, how it compares to `value` (a number) or `label` (a text)."""

    name: str
    sign: str = ""
    value: float | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter for traces, spans or calls. They must match all given fields; None and () match everything."""

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    session: str | None = None
    user: str | None = None
    status: str | None = None
    kind: str | None = None
    search: str | None = None
    tags: tuple[str, ...] = ()
    scores: tuple[ScoreTest, ...] = ()

    def where(self, target: Target) -> Where:
        """Return the condition on the rows of a view.

        A trace matches if it started in the period, has the status, and has a matching span for each other field. A
        span or call matches a score that is on it or on its whole trace.
        """
        params: dict[str, Any] = {}
        conditions = list(self._conditions(target, params))
        return Where(" AND ".join(conditions) or "true", params)

    def _conditions(self, target: Target, params: dict[str, Any]) -> Iterator[str]:
        if self.since is not None:
            params["since"] = self.since
            yield "start_time >= $since"
        if self.until is not None:
            params["until"] = self.until
            yield "start_time < $until"
        if self.status is not None:
            params["status"] = self.status
            # Other libraries leave the status of a success unset.
            yield "status IN ($status, 'unset')" if self.status == "ok" else "status = $status"
        if self.model is not None:
            params["model"] = self.model
            names = "attributes->>'llmops.model.name', attributes->>'llmops.model.target'"
            has_model = f"$model IN (model, request_model, {names})"
            ids = "trace_id" if target == "traces" else "trace_id, span_id"
            yield (
                has_model if target == "llm_calls" else f"({ids}) IN (SELECT ({ids}) FROM llm_calls WHERE {has_model})"
            )
        for condition in self._span_conditions(params):
            yield f"trace_id IN (SELECT trace_id FROM spans WHERE {condition})" if target == "traces" else condition
        for number, score in enumerate(self.scores):
            yield _score_condition(target, score, f"score_{number}", params)

    def _span_conditions(self, params: dict[str, Any]) -> Iterator[str]:
        for name, column in (("session", "session_id"), ("user", "user_id"), ("kind", "kind")):
            value = getattr(self, name)
            if value is not None:
                params[name] = value
                yield f"{column} = ${name}"
        for number, tag in enumerate(self.tags):
            params[f"tag_{number}"] = tag
            yield f"list_contains(tags, $tag_{number})"
        if self.search is not None:
            params["search"] = self.search
            yield f"contains(lower({_TEXTS}), lower($search))"


@dataclass(frozen=True, slots=True)
class Where:
    """A condition in SQL ("true" if there is none) and its parameters."""

    sql: str
    params: dict[str, Any]


def _score_condition(target: Target, test: ScoreTest, key: str, params: dict[str, Any]) -> str:
    params[f"{key}_name"] = test.name
    matches = f"name = ${key}_name"
    for column, value in (("value", test.value), ("label", test.label)):
        if value is not None:
            params[f"{key}_value"] = value
            matches += f" AND {column} {test.sign} ${key}_value"
    on_span = f"span_id IN (SELECT span_id FROM scores WHERE {matches})"
    on_trace = f"trace_id IN (SELECT trace_id FROM scores WHERE {matches}"
    if target == "traces":
        # A score may carry only the id of its span.
        return f"({on_trace}) OR trace_id IN (SELECT trace_id FROM spans WHERE {on_span}))"
    return f"({on_span} OR {on_trace} AND span_id IS NULL))"


def parse_filter(
    *,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    session: Session = None,
    user: User = None,
    status: Status = None,
    kind: Kind = None,
    tags: Tag = None,
    scores: Score = None,
    search: Search = None,
) -> Filter:
    """Return the filter that the options describe. This signature is the one declaration of these options.

    Raises:
        UsageError: A time, a status or a score is not valid, or `until` is not after `since`.
    """
    begin, end = parse_period(since, until)
    if begin is not None and end is not None and begin >= end:
        raise UsageError(f'--until "{until}" must be later than --since "{since}"')
    if status is not None and status not in _STATUSES:
        raise UsageError(f'unknown status "{status}": use {", ".join(_STATUSES[:-1])} or {_STATUSES[-1]}')
    return Filter(
        since=begin,
        until=end,
        model=model,
        session=session,
        user=user,
        status=status,
        kind=kind,
        search=search,
        tags=tuple(tags or ()),
        scores=tuple(map(_parse_score, scores or ())),
    )


def parse_period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return both ends of a period, each as `parse_moment` reads it.

    Raises:
        UsageError: One of them is not valid.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    return parse_moment(since, now), parse_moment(until, now)


def parse_moment(text: str | None, now: datetime) -> datetime | None:
    """Parse an age before `now` (90s) or an ISO time into naive UTC, which the store uses; None stays None.

    Raises:
        UsageError: The text is neither an age nor a time, or is outside the calendar.

    Example:
        >>> from datetime import datetime
        >>> parse_moment("2h", datetime(2026, 11, 23, 14)), parse_moment("2026-11-23T15:00+01:00", datetime.max)
        (datetime.datetime(2026, 11, 23, 12, 0), datetime.datetime(2026, 11, 23, 14, 0))
    """
    if text is None:
        return None
    text = text.strip()
    age = _AGE.fullmatch(text)
    try:
        # Eight digits without a unit are an ISO date.
        if age is not None and (age[2] or len(text) != 8):
            return now - _duration(text, age[1], age[2])
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise UsageError(f'"{text}" is too far back') from error
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(
            f'"{text}" is neither an age (90s, 30m, 2h, 7d, 4w) nor a time in UTC (2026-11-23, 2026-11-23T14:00)'
        ) from error


def _duration(text: str, count: str, unit: str) -> timedelta:
    if unit not in _UNITS:
        what = f'"{unit}" is not a unit of time' if unit else "the unit is missing"
        raise UsageError(f'"{text}": {what}; use s, m, h, d or w, e.g. 90s, 30m, 2h, 7d or 4w')
    return timedelta(**{_UNITS[unit]: float(count)})


def _parse_score(text: str) -> ScoreTest:
    match = _SCORE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f'"{text}" is not a score filter: write NAME, or NAME, one of < <= = != >= > and a value')
    name, sign, wanted = match[1].strip(), match[2], (match[3] or "").strip()
    if sign is None:
        return ScoreTest(name)
    try:
        value = {"true": 1.0, "false": 0.0}.get(wanted.lower())
        value = float(wanted) if value is None else value
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return ScoreTest(name, sign, value=value)
    if not wanted or sign not in {"=", "!="}:
        raise UsageError(f'"{text}": {sign} needs a number, e.g. "{name}{sign}0.5"; compare a label with = or !=')
    return ScoreTest(name, sign, label=wanted)
