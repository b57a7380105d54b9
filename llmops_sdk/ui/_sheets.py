"""Pages of figures, charts and tables: each is a declaration of its SQL, and one function makes the answer."""
# ruff: noqa: S608 - the texts are constants of the pages; every value is a parameter

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from llmops_sdk.store.reading._filters import Filter, parse_moment
from llmops_sdk.ui._answers import Answer, cut
from llmops_sdk.ui._asked import Asked, sql_command, with_values

__all__ = ["Chart", "Column", "Fact", "Sheet", "Table", "bucket_of", "columns", "filled", "read_sheet", "with_period"]

Kind: TypeAlias = Literal[
    "text", "count", "usd", "seconds", "share", "tokens", "time", "trace", "session", "span", "status", "number"
]
Over: TypeAlias = Literal["llm_calls", "spans", "events", "records"]
"""What the filters hold for: calls, spans, rows that name a span and a time, or rows with a time alone."""

PERIOD = "30d"
_STEPS = (60, 300, 900, 3_600, 21_600, 86_400, 604_800)
_MAX_BUCKETS = 750
_MAX_ROWS = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    label: str
    kind: Kind = "text"


def columns(*texts: str) -> tuple[Column, ...]:
    """Return columns written as "name, Label, kind"; the kind may be missing."""
    parts = [[part.strip() for part in text.split(",")] for text in texts]
    return tuple(Column(*part) for part in parts)  # pyright: ignore[reportArgumentType] - constants


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure at the top of a page: the column `name` of the page's one row of facts."""

    name: str
    label: str
    kind: Kind = "count"
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time. The SQL gives `x`, and either `series` and `value`, or a column for each of `names`."""

    title: str
    kind: Kind
    sql: str
    names: tuple[str, ...] = ()
    gap: float | None = None
    """The value of a time without rows: 0 for sums, None for quantiles."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    title: str
    columns: tuple[Column, ...]
    sql: str
    empty: str
    most: int = _MAX_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A page.

    Attributes:
        over: What the filters hold for.
        facts: The figures; `facts_sql` gives their one row.
        facts_sql: SQL with `{where}`.
        charts: With `{where}` and `$bucket` in their SQL.
        tables: With `{where}` in their SQL; the first one's is shown as the page's.
        command: The command that gives about the same, without filters; "" for `llmops sql` with the page's SQL.
        notes: What holds always.
        noted: Further notes, from the row of facts.
        period: The period without `since` and `until`; None for all.
        prepared: Text to put into the SQL by name.
    """

    over: Over
    tables: tuple[Table, ...]
    facts: tuple[Fact, ...] = ()
    facts_sql: str = ""
    charts: tuple[Chart, ...] = ()
    command: str = ""
    notes: tuple[str, ...] = ()
    noted: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    period: str | None = PERIOD


def read_sheet(sheet: Sheet) -> Callable[[Asked], Answer]:
    """Return the function that reads a page."""
    return lambda asked: _read(sheet, asked)


def _read(sheet: Sheet, asked: Asked) -> Answer:
    wanted, notes = with_period(asked.filter, sheet.period)
    where, params = _condition(sheet.over, wanted)
    shown: dict[str, Any] = {"facts": [], "charts": [], "tables": []}
    notes += sheet.notes
    if sheet.over == "records" and replace(asked.filter, since=None, until=None) != Filter():
        notes.append("of the filters only the time applies here")
    if sheet.facts:
        row = asked.rows(sheet.facts_sql.format(where=where), params)[0]
        shown["facts"] = [
            {"label": fact.label, "value": row[fact.name], "kind": fact.kind, "hint": fact.hint} for fact in sheet.facts
        ]
        notes += sheet.noted(row) if sheet.noted is not None else []
    if sheet.charts:
        bucket = bucket_of(wanted)
        for chart in sheet.charts:
            shown["charts"].append(_chart(asked, chart, where, {**params, "bucket": bucket}))
    statements: list[str] = []
    for table in sheet.tables:
        sql = table.sql.format(where=where)
        statements.append(with_values(sql, params))
        shown["tables"].append(_table(asked, table, sql, params, statements[-1]))
    if sheet.command and sheet.over == "records":
        command = f"llmops {sheet.command}"
    elif sheet.command:
        command = asked.command(*sheet.command.split(), *_default_since(asked, sheet))
    else:
        command = sql_command(statements[0])
    return Answer(shown, statements[0], command, notes=notes)


def _default_since(asked: Asked, sheet: Sheet) -> list[str]:
    has_period = asked.filter.since is not None or asked.filter.until is not None or sheet.period is None
    return [] if has_period else [f"--since={sheet.period}"]


def with_period(wanted: Filter, period: str | None = PERIOD) -> tuple[Filter, list[str]]:
    """Return the filter with a period, where it has none, and a note that says so."""
    if period is None or wanted.since is not None or wanted.until is not None:
        return wanted, []
    now = datetime.now(UTC).replace(tzinfo=None)
    return replace(wanted, since=parse_moment(period, now)), [f"the last {period}; set since for more"]


def bucket_of(wanted: Filter) -> int:
    """Return the seconds of a bucket, so that the period has at most some hundred of them."""
    until = wanted.until or datetime.now(UTC).replace(tzinfo=None)
    span = until - (wanted.since or until - timedelta(days=365))
    return next((step for step in _STEPS if span.total_seconds() / step <= _MAX_BUCKETS), _STEPS[-1])


def _condition(over: Over, wanted: Filter) -> tuple[str, dict[str, Any]]:
    if over in {"llm_calls", "spans"}:
        where = wanted.where("llm_calls" if over == "llm_calls" else "spans")
        return where.sql, where.params
    bounds = Filter(since=wanted.since, until=wanted.until).where("spans")
    sql, params = bounds.sql.replace("start_time", "time"), dict(bounds.params)
    rest = replace(wanted, since=None, until=None)
    if over == "events" and rest != Filter():
        of_span = rest.where("spans")
        sql += f" AND (trace_id, span_id) IN (SELECT (trace_id, span_id) FROM spans WHERE {of_span.sql})"
        params |= of_span.params
    return sql, params


def _table(asked: Asked, table: Table, sql: str, params: Mapping[str, Any], shown: str) -> dict[str, Any]:
    found = asked.rows(f"FROM ({sql}) LIMIT {table.most}", params)
    return {
        "title": table.title,
        "columns": [{"name": one.name, "label": one.label, "kind": one.kind} for one in table.columns],
        "rows": [[_cell(row[one.name], one.kind) for one in table.columns] for row in found],
        "empty": table.empty,
        "sql": shown,
    }


def _cell(value: Any, kind: Kind) -> Any:
    if kind == "seconds" and value is not None:
        return float(value) / 1e3
    return cut(value) if isinstance(value, str) else value


def _chart(asked: Asked, chart: Chart, where: str, params: Mapping[str, Any]) -> dict[str, Any]:
    sql = chart.sql.format(where=where)
    rows = asked.rows(sql, params)
    by_name: dict[str, dict[int, float | None]] = {name: {} for name in chart.names}
    for row in rows:
        if chart.names:
            for name in chart.names:
                by_name[name][row["x"]] = row[name]
        else:
            by_name.setdefault(str(row["series"]), {})[row["x"]] = row["value"]
    scale = 1e-3 if chart.kind == "seconds" else 1.0
    x = filled({row["x"] for row in rows}, params["bucket"])
    series = [
        {"name": name, "values": [_scaled(values.get(one, chart.gap), scale) for one in x]}
        for name, values in by_name.items()
    ]
    return {"title": chart.title, "kind": chart.kind, "x": x, "series": series, "sql": with_values(sql, params)}


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else float(value) * scale


def filled(found: set[int | None], bucket: int) -> list[int]:
    """Return the buckets from the first to the last, also those without rows."""
    known = sorted(one for one in found if one is not None)
    if not known or (known[-1] - known[0]) // bucket > 2 * _MAX_BUCKETS:
        return known
    return list(range(known[0], known[-1] + 1, bucket))
