"""Cost, latency, tokens, errors and quality over time, and what is left of each budget."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from llmops_sdk.config import current
from llmops_sdk.ui._answers import Answer
from llmops_sdk.ui._asked import Asked, with_values
from llmops_sdk.ui._sheets import bucket_of, filled, with_period
from llmops_sdk.ui.api.sheets._calls import CALLS, call_notes

__all__ = ["metrics"]

# One scan for all lines but those of single models.
_OVER_TIME = """SELECT (start_ns // 1000000000 // $bucket) * $bucket AS x, count(*) AS calls,
    count(*) FILTER (status = 'error') AS errors, count(cache) AS cached, sum(cost) AS cost,
    sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens,
    quantile_cont(duration_ms, [0.5, 0.95, 0.99]) AS latency, quantile_cont(ttft_ms, 0.95) AS ttft
FROM llm_calls WHERE {where} GROUP BY 1 ORDER BY 1"""
_BY_MODEL = """SELECT (start_ns // 1000000000 // $bucket) * $bucket AS x,
    coalesce(model, request_model, '(unknown)') AS series, sum(cost) AS cost
FROM llm_calls WHERE {where} AND cost > 0 GROUP BY 1, 2 ORDER BY 1, 2"""
_QUALITY = """SELECT (epoch(time)::BIGINT // $bucket) * $bucket AS x, name AS series, avg(value) AS value,
    count(*) AS count FROM scores WHERE value IS NOT NULL AND {where} GROUP BY 1, 2 ORDER BY 1, 2"""
_MOST_SERIES = 8


def metrics(asked: Asked) -> Answer:
    """Return the figures of the period and their course."""
    wanted, notes = with_period(asked.filter)
    bucket = bucket_of(wanted)
    where = wanted.where("llm_calls")
    params = {**where.params, "bucket": bucket}
    sql = _OVER_TIME.format(where=where.sql)
    totals = asked.rows(CALLS.facts_sql.format(where=where.sql), where.params)[0]
    notes += call_notes(totals)
    rows = asked.rows(sql, params)
    by_model = asked.rows(_BY_MODEL.format(where=where.sql), params)
    data = {
        "facts": [
            {"label": fact.label, "value": totals[fact.name], "kind": fact.kind, "hint": fact.hint}
            for fact in CALLS.facts
        ],
        "charts": [
            *_charts(rows, bucket),
            _chart_of("Cost by model", "usd", by_model, "cost", bucket, gap=0.0),
            _quality(asked, wanted.since, wanted.until, bucket),
        ],
        "tables": [*_budgets(asked)],
    }
    return Answer(data, with_values(sql, params), asked.command("stats", "--by=day", *_since(asked)), notes=notes)


def _since(asked: Asked) -> list[str]:
    return ["--since=30d"] if asked.filter.since is None and asked.filter.until is None else []


def _charts(rows: Sequence[Mapping[str, Any]], bucket: int) -> list[dict[str, Any]]:
    x = filled({row["x"] for row in rows}, bucket)
    at = {row["x"]: row for row in rows}

    def line(name: str, column: str, gap: float | None = 0) -> dict[str, Any]:
        return {"name": name, "values": [at[one][column] if one in at else gap for one in x]}

    def quantile(name: str, place: int) -> dict[str, Any]:
        found = [at[one]["latency"][place] if one in at else None for one in x]
        return {"name": name, "values": [None if one is None else one / 1e3 for one in found]}

    ttft = line("first token p95", "ttft", None)
    ttft["values"] = [None if one is None else one / 1e3 for one in ttft["values"]]
    return [
        {"title": "Calls", "kind": "count", "x": x,
         "series": [line("calls", "calls"), line("errors", "errors"), line("from the cache", "cached")]},
        {"title": "Latency", "kind": "seconds", "x": x,
         "series": [quantile("p50", 0), quantile("p95", 1), quantile("p99", 2), ttft]},
        {"title": "Tokens", "kind": "tokens", "x": x,
         "series": [line("input", "input_tokens"), line("output", "output_tokens")]},
    ]  # fmt: skip


def _chart_of(
    title: str, kind: str, rows: Sequence[Mapping[str, Any]], column: str, bucket: int, gap: float | None
) -> dict[str, Any]:
    """Return a chart with a line a series, those with the largest sums."""
    x = filled({row["x"] for row in rows}, bucket)
    lines: dict[str, dict[int, float]] = {}
    for row in rows:
        lines.setdefault(str(row["series"]), {})[row["x"]] = row[column]
    largest = sorted(lines, key=lambda name: -sum(lines[name].values()))[:_MOST_SERIES]
    series = [{"name": name, "values": [lines[name].get(one, gap) for one in x]} for name in largest]
    return {"title": title, "kind": kind, "x": x, "series": series}


def _quality(asked: Asked, since: datetime | None, until: datetime | None, bucket: int) -> dict[str, Any]:
    bounds = [f"time {sign} ${name}" for name, sign, one in (("since", ">=", since), ("until", "<", until)) if one]
    params = {name: one for name, one in (("since", since), ("until", until)) if one}
    # Scores are few: a bucket of an hour or more has more than one.
    bucket = max(bucket, 3_600)
    sql = _QUALITY.format(where=" AND ".join(bounds) or "true")
    rows = asked.rows(sql, {**params, "bucket": bucket})
    return _chart_of("Quality: mean of each score", "number", rows, "value", bucket, gap=None)


def _budgets(asked: Asked) -> list[dict[str, Any]]:
    settings = current().budgets
    if not settings:
        return []
    from llmops_sdk.resilience.budgets._spent import read_spending

    rows: list[list[Any]] = []
    for one in read_spending(settings, time.time(), asked.folder, most=20):
        end = one.window.resets_at
        until = None if end is None else datetime.fromtimestamp(end, UTC)
        policy = one.policy
        name = f"{policy.settings.name} ({policy.settings.per})"
        share = one.spent / policy.limit if policy.limit else None
        rows.append([name, one.key, policy.unit, policy.limit, one.spent, share, policy.settings.mode, until])
    labels = (
        ("budget", "Budget", "text"), ("key", "Of", "text"), ("unit", "Unit", "text"), ("limit", "Limit", "number"),
        ("spent", "Spent", "number"), ("share", "Used", "share"), ("mode", "Mode", "text"),
        ("resets", "Resets", "time"),
    )  # fmt: skip
    return [
        {
            "title": "Budgets: the open window of each",
            "columns": [{"name": name, "label": label, "kind": kind} for name, label, kind in labels],
            "rows": rows,
            "empty": "Nothing is spent yet.",
            "command": "llmops stats --budgets",
        }
    ]
