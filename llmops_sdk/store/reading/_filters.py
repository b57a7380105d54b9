"""The filters that commands and the local page share, and the SQL condition that they become.

Every value goes to DuckDB as a parameter, so user input never becomes part of a statement.
"""
# ruff: noqa: S608 - conditions consist of constants; every value is a parameter

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._latest import TraceFilter

__all__ = [
    "Filter",
    "ScoreTest",
    "Where",
    "make_filter",
    "parse_moment",
    "parse_period",
    "root_condition",
    "search_condition",
    "trace_filter",
]

Target: TypeAlias = Literal["traces", "spans", "llm_calls"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SCORE = re.compile(r"([^<>=!]+)(?:(<=|>=|!=|<|>|=)(.*))?", re.DOTALL)
_STATUSES = ("ok", "error", "cancelled", "closed", "unset")
_LETTERS = {"\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}": "i", "\N{KELVIN SIGN}": "k"}
"""What DuckDB lowers to a letter of ASCII, beside the letters of ASCII."""
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
    name: str | None = None
    model: str | None = None
    session: str | None = None
    user: str | None = None
    status: str | None = None
    kind: str | None = None
    search: str | None = None
    tags: tuple[str, ...] = ()
    scores: tuple[ScoreTest, ...] = ()
    min_cost: float | None = None
    """USD."""
    min_duration: float | None = None
    """Seconds."""

    def where(self, target: Target) -> Where:
        """Return the condition on the rows of a view.

        A trace matches if it started in the period, has the status, and has a matching span for each other field. A
        span or call matches a score that is on it or on its whole trace.
        """
        params: dict[str, Any] = {}
        conditions = list(self._conditions(target, params))
        return Where(" AND ".join(conditions) or "true", params)

    def _conditions(self, target: Target, params: dict[str, Any]) -> Iterator[str]:
        # No span of a trace begins before the trace: DuckDB then reads less.
        bound = " AND start_time >= $since" if target == "traces" and self.since is not None else ""
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
        if self.name is not None:
            params["name"] = self.name
            yield "name = $name"
        yield from self._least(target, params)
        if self.model is not None:
            params["model"] = self.model
            names = "attributes->>'llmops.model.name', attributes->>'llmops.model.target'"
            has_model = f"$model IN (model, request_model, {names})"
            ids = "trace_id" if target == "traces" else "trace_id, span_id"
            of_ids = f"({ids}) IN (SELECT ({ids}) FROM llm_calls WHERE {has_model}{bound})"
            yield has_model if target == "llm_calls" else of_ids
        for condition in self._span_conditions(params):
            of_trace = f"trace_id IN (SELECT trace_id FROM spans WHERE {condition}{bound})"
            yield of_trace if target == "traces" else condition
        for number, score in enumerate(self.scores):
            yield _score_condition(target, score, f"score_{number}", params)

    def _least(self, target: Target, params: dict[str, Any]) -> Iterator[str]:
        if self.min_duration is not None:
            params["min_duration"] = self.min_duration * 1e3
            yield "duration_ms >= $min_duration"
        if self.min_cost is not None:
            params["min_cost"] = self.min_cost
            has_cost = "cost >= $min_cost"
            # Only calls have a cost, and not all views of spans have its column.
            of_calls = f"(trace_id, span_id) IN (SELECT (trace_id, span_id) FROM llm_calls WHERE {has_cost})"
            yield of_calls if target == "spans" else has_cost

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


def search_condition(search: str) -> Where:
    """Return the condition of a search on rows of `spans`, for a search of the whole store.

    To lower all texts of a store takes as long as to unpack them. RE2 looks for both cases without that, and only what
    it finds is lowered. (In a CASE, since DuckDB would lower first.)

    Args:
        search: The text.

    Example:
        >>> search_condition("Né").params
        {'search': 'Né', 'quick': '[nN](?s:.)'}
    """
    exact = Filter(search=search).where("spans")
    if not any(char.isascii() and char.isalnum() for char in search):
        return exact
    pattern = "".join(map(_in_both_cases, search))
    return Where(
        f"CASE WHEN regexp_matches({_TEXTS}, $quick) THEN {exact.sql} ELSE false END",
        {**exact.params, "quick": pattern},
    )


def _in_both_cases(char: str) -> str:
    letter = _LETTERS.get(char, char.lower())
    if not letter.isascii():
        return "(?s:.)"
    if not letter.isalpha():
        return f"\\x{{{ord(letter):x}}}"
    others = "".join(other for other, lowered in _LETTERS.items() if lowered == letter)
    return f"[{letter}{letter.upper()}{others}]"


def make_filter(
    *,
    since: str | None = None,
    until: str | None = None,
    name: str | None = None,
    model: str | None = None,
    session: str | None = None,
    user: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    tags: Iterable[str] | None = None,
    scores: Iterable[str] | None = None,
    min_cost: float | None = None,
    min_duration: float | None = None,
    search: str | None = None,
) -> Filter:
    """Return the filter that these texts describe.

    Args:
        since: An age (30s, 2h, 7d) or a time in UTC: started then or later.
        until: As `since`: started before.
        name: The name of a trace, span or call.
        model: The model that was asked for or served, or its name in `[models]`.
        session: The session's id.
        user: The user's id.
        status: ok, error, cancelled, closed or unset.
        kind: The span's kind.
        tags: Tags that must all be there.
        scores: Conditions on scores, as in "helpful<0.5".
        min_cost: USD.
        min_duration: Seconds.
        search: A text in names, inputs, outputs and attributes.

    Raises:
        UsageError: A time, a number, a status or a score is not valid, or `until` is not after `since`.
    """
    begin, end = parse_period(since, until)
    if begin is not None and end is not None and begin >= end:
        raise UsageError(f'--until "{until}" must be later than --since "{since}"')
    if status is not None and status not in _STATUSES:
        raise UsageError(f'unknown status "{status}": use {", ".join(_STATUSES[:-1])} or {_STATUSES[-1]}')
    for option, value in (("--min-cost", min_cost), ("--min-duration", min_duration)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{option} {value} must be a number of at least 0")
    return Filter(
        since=begin,
        until=end,
        name=name,
        model=model,
        session=session,
        user=user,
        status=status,
        kind=kind,
        search=search,
        tags=tuple(tags or ()),
        scores=tuple(map(_parse_score, scores or ())),
        min_cost=min_cost,
        min_duration=min_duration,
    )


def trace_filter(wanted: Filter) -> TraceFilter:
    """Return the filter for `latest_traces`: conditions on a trace's row and on its id apart."""
    row = {name: getattr(wanted, name) for name in ("since", "until", "name", "status", "min_cost", "min_duration")}
    of_row = Filter(**row).where("traces")
    of_id = replace(wanted, **dict.fromkeys(row)).where("traces")
    return TraceFilter(
        where=of_row.sql,
        ids=of_id.sql,
        params={**of_row.params, **of_id.params},
        since=wanted.since,
        until=wanted.until,
        is_own=True,
    )


def root_condition(wanted: Filter) -> Where:
    """Return the condition on rows of `spans` for the roots of the traces that match.

    It differs from the condition on `traces` only for traces without a root, or with spans after the root's end.
    """
    row = Filter(until=wanted.until, name=wanted.name, status=wanted.status, min_duration=wanted.min_duration)
    of_row = row.where("spans")
    rest = replace(wanted, until=None, name=None, status=None, min_duration=None, min_cost=None).where("traces")
    sql, params = f"parent_span_id IS NULL AND {of_row.sql} AND {rest.sql}", {**of_row.params, **rest.params}
    if wanted.min_cost is not None:
        params["min_cost"] = wanted.min_cost
        bound = "true" if wanted.since is None else "start_time >= $since"
        sql += (
            f" AND trace_id IN (SELECT trace_id FROM llm_calls WHERE {bound} GROUP BY trace_id "
            "HAVING sum(cost) >= $min_cost)"
        )
    return Where(sql, params)


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
