"""The filters that the commands share: what the options say, and the one WHERE that is made of it.

Values go to DuckDB as parameters; nothing that was typed becomes part of a statement.
"""
# ruff: noqa: S608 - conditions are put together from constants; every value is a parameter

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from llmops_sdk.cli._usage import UsageError

__all__ = ["Filter", "Where", "parse_filter", "parse_moment"]

Target: TypeAlias = Literal["traces", "spans", "llm_calls"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_SCORE = re.compile(r"([^<>=!]+)(?:(<=|>=|!=|<|>|=)(.*))?", re.DOTALL)
_STATUSES = ("ok", "error", "cancelled", "closed", "unset")
_TEXTS = "concat_ws(' ', name, input, output, status_message, attributes)"


@dataclass(frozen=True, slots=True)
class ScoreTest:
    """What a score must be: of this name, and with a sign, so beside `value` (a number) or `label` (a text)."""

    name: str
    sign: str = ""
    value: float | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which traces, spans or calls; None and () let every one pass, and all that is given must hold."""

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
        """The condition on the rows of a view.

        A trace passes when it began in time, has the status, and for each of the other filters has a span that
        passes. A score passes a span (or call) when it is about that or about the whole trace.
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
            yield "status = $status"
        if self.model is not None:
            params["model"] = self.model
            called = "$model IN (model, request_model)"
            ids = "trace_id" if target == "traces" else "trace_id, span_id"
            yield called if target == "llm_calls" else f"({ids}) IN (SELECT ({ids}) FROM llm_calls WHERE {called})"
        for condition in self._on_a_span(params):
            yield f"trace_id IN (SELECT trace_id FROM spans WHERE {condition})" if target == "traces" else condition
        for number, score in enumerate(self.scores):
            yield _scored(target, score, f"score_{number}", params)

    def _on_a_span(self, params: dict[str, Any]) -> Iterator[str]:
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
    """A condition in SQL, "true" for none, and the parameters that it names."""

    sql: str
    params: dict[str, Any]


def _scored(target: Target, test: ScoreTest, key: str, params: dict[str, Any]) -> str:
    params[f"{key}_name"] = test.name
    fits = f"name = ${key}_name"
    if test.value is not None:
        params[f"{key}_value"] = test.value
        fits += f" AND value {test.sign} ${key}_value"
    elif test.label is not None:
        params[f"{key}_value"] = test.label
        fits += f" AND label {test.sign} ${key}_value"
    spans = f"span_id IN (SELECT span_id FROM scores WHERE {fits})"
    whole = f"trace_id IN (SELECT trace_id FROM scores WHERE {fits}{{}})"
    if target == "traces":
        # A score may name its span alone.
        return f"({whole.format('')} OR trace_id IN (SELECT trace_id FROM spans WHERE {spans}))"
    return f"({spans} OR {whole.format(' AND span_id IS NULL')})"


def parse_filter(
    *,
    since: str | None = None,
    until: str | None = None,
    model: str | None = None,
    session: str | None = None,
    user: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    search: str | None = None,
    tags: Sequence[str] = (),
    scores: Sequence[str] = (),
) -> Filter:
    """The filter that the options of a command say.

    Raises:
        UsageError: A time, a status or a score cannot be read, or `until` is not after `since`.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    begin, end = parse_moment(since, now), parse_moment(until, now)
    if begin is not None and end is not None and begin >= end:
        raise UsageError(f'nothing lies between --since "{since}" and --until "{until}"')
    if status is not None and status not in _STATUSES:
        raise UsageError(f'"{status}" is no status: {", ".join(_STATUSES[:-1])} or {_STATUSES[-1]}')
    return Filter(
        since=begin,
        until=end,
        model=model,
        session=session,
        user=user,
        status=status,
        kind=kind,
        search=search,
        tags=tuple(tags),
        scores=tuple(map(_parse_score, scores)),
    )


def parse_moment(text: str | None, now: datetime) -> datetime | None:
    """A moment as naive UTC like the store's times: an age before `now`, or an ISO time; None for None.

    Raises:
        UsageError: It is neither an age as in 90s nor a time as in 2026-11-23T14:00, or lies outside of the calendar.

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
        # Eight digits alone are a date in ISO's short form.
        if age is not None and (age[2] or len(text) != 8):
            return now - _duration(text, age[1], age[2])
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise UsageError(f'"{text}" lies too far back') from error
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(
            f'"{text}" is neither an age (90s, 30m, 2h, 7d, 4w) nor a time in UTC (2026-11-23, 2026-11-23T14:00)'
        ) from error


def _duration(text: str, count: str, unit: str) -> timedelta:
    if unit not in _UNITS:
        what = f'"{unit}" is no unit of time' if unit else "the unit is missing"
        raise UsageError(f'"{text}": {what}; write s, m, h, d or w, as in 90s, 30m, 2h, 7d or 4w')
    return timedelta(**{_UNITS[unit]: float(count)})


def _parse_score(text: str) -> ScoreTest:
    match = _SCORE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f'"{text}" is no test of a score: write NAME, or NAME and <, <=, =, !=, >= or > and a value')
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
        raise UsageError(f'"{text}": {sign} needs a number, as in "{name}{sign}0.5"; a label is tested with = or !=')
    return ScoreTest(name, sign, label=wanted)
