"""Compare two traces, or the calls of two models, prompts or periods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.stats import wilson_interval
from llmops_sdk.store.reading._filters import Filter, make_filter
from llmops_sdk.ui._answers import Answer, cut
from llmops_sdk.ui._asked import Asked, with_values
from llmops_sdk.ui._sheets import with_period
from llmops_sdk.ui.api._align import align
from llmops_sdk.ui.api._trace import trace

__all__ = ["compare"]

_CALLS = """SELECT count(*) AS calls, sum(weight) AS weighted, sum(weight * weight) AS squares,
    sum(weight) FILTER (status = 'error') AS errors, count(*) FILTER (simulated) AS simulated,
    quantile_cont(duration_ms, 0.5) / 1e3 AS p50, quantile_cont(duration_ms, 0.95) / 1e3 AS p95,
    avg(duration_ms) / 1e3 AS latency, stddev_samp(duration_ms) / 1e3 AS latency_sd, count(duration_ms) AS latency_n,
    avg(ttft_ms) / 1e3 AS ttft, stddev_samp(ttft_ms) / 1e3 AS ttft_sd, count(ttft_ms) AS ttft_n,
    avg(cost) AS cost, stddev_samp(cost) AS cost_sd, count(cost) AS cost_n,
    avg(input_tokens) AS input, stddev_samp(input_tokens) AS input_sd, count(input_tokens) AS input_n,
    avg(output_tokens) AS output, stddev_samp(output_tokens) AS output_sd, count(output_tokens) AS output_n,
    count(cache) / nullif(count(*), 0) AS cached
FROM llm_calls WHERE {where}"""
_SCORES = """SELECT name, avg(value) AS mean, stddev_samp(value) AS sd, count(*) AS n FROM scores
WHERE value IS NOT NULL AND (span_id IN (SELECT span_id FROM llm_calls WHERE {where}) OR span_id IS NULL AND
    trace_id IN (SELECT trace_id FROM llm_calls WHERE {where})) GROUP BY 1 ORDER BY 1 LIMIT 50"""
_PROMPT = "SELECT arg_max(input_messages, start_ns) AS messages FROM llm_calls WHERE {where}"
_MEANS = (
    ("latency", "Mean latency", "seconds"), ("ttft", "Mean time to the first token", "seconds"),
    ("cost", "Mean cost", "usd"), ("input", "Mean input tokens", "tokens"), ("output", "Mean output tokens", "tokens"),
)  # fmt: skip
_KINDS = ("traces", "models", "prompts", "periods")
_Z = 1.959964


def compare(asked: Asked) -> Answer:
    """Return two things side by side.

    Raises:
        NotFoundError: There is no such trace.
        UsageError: `a` or `b` is missing or not valid.
    """
    kind = asked.text("of", "traces")
    a, b = asked.text("a"), asked.text("b")
    if kind not in _KINDS:
        raise UsageError(f"of must be one of {', '.join(_KINDS)}")
    if a is None or b is None:
        raise UsageError("give a and b, the two to compare")
    return _traces(asked, a, b) if kind == "traces" else _calls(asked, kind, a, b)


def _traces(asked: Asked, a: str, b: str) -> Answer:
    found = [trace(Asked(asked.folder, {}, {"trace": one})) for one in (a, b)]
    lines = align(found[0].data["spans"], found[1].data["spans"])
    data = {
        "of": "traces",
        "a": {"summary": found[0].data["summary"], "spans": found[0].data["spans"]},
        "b": {"summary": found[1].data["summary"], "spans": found[1].data["spans"]},
        "lines": lines,
    }
    return Answer(data, found[0].sql, found[0].command, notes=[*found[0].notes, *found[1].notes])


def _calls(asked: Asked, kind: str, a: str, b: str) -> Answer:
    sides: list[Filter] = []
    notes: list[str] = []
    for one in (a, b):
        side, notes = _side(asked.filter, kind, one)
        sides.append(side)
    rows: list[dict[str, Any]] = []
    texts: list[Any] = []
    scores: list[dict[str, dict[str, Any]]] = []
    statements: list[str] = []
    for side, name in zip(sides, (a, b), strict=True):
        where = side.where("llm_calls")
        sql, params = where.sql, dict(where.params)
        if kind == "prompts":
            prompt, _, version = name.partition("@")
            sql += " AND prompt_name = $prompt" + (" AND prompt_version = $version" if version else "")
            params |= {"prompt": prompt, **({"version": version} if version else {})}
        rows += asked.rows(_CALLS.format(where=sql), params)
        statements.append(with_values(_CALLS.format(where=sql), params))
        scores.append({row["name"]: row for row in asked.rows(_SCORES.format(where=sql), params)})
        texts.append(cut(asked.rows(_PROMPT.format(where=sql), params)[0]["messages"]) if kind == "prompts" else None)
    for name, row in zip((a, b), rows, strict=True):
        if row["simulated"]:
            notes.append(f"{row['simulated']:,} of the {row['calls']:,} calls of {name[:100]} are simulated")
    notes.append("intervals are of 95 %; calls of one conversation are not independent, so they may be too narrow")
    table = {
        "title": "Calls",
        "columns": [
            {"name": name, "label": label, "kind": one}
            for name, label, one in (
                ("what", "", "text"), ("a", a, "number"), ("a_low", "from", "number"), ("a_high", "to", "number"),
                ("b", b, "number"), ("b_low", "from", "number"), ("b_high", "to", "number"), ("kind", "Unit", "text"),
            )
        ],
        "rows": _lines(rows[0], rows[1], scores[0], scores[1]),
        "empty": "No calls.",
    }  # fmt: skip
    data = {"of": kind, "facts": [], "charts": [], "tables": [table], "texts": {"a": texts[0], "b": texts[1]}}
    return Answer(data, statements[0], asked.command("stats", without=("model",)), notes=notes)


def _side(common: Filter, kind: str, name: str) -> tuple[Filter, list[str]]:
    if kind == "periods":
        since, _, until = name.partition("..")
        period = make_filter(since=since or None, until=until or None)
        return replace(common, since=period.since, until=period.until), []
    wanted, notes = with_period(common)
    return (replace(wanted, model=name) if kind == "models" else wanted), notes


def _lines(
    a: Mapping[str, Any], b: Mapping[str, Any], scores_a: Mapping[str, Any], scores_b: Mapping[str, Any]
) -> list[list[Any]]:
    lines: list[list[Any]] = [
        ["Calls", a["calls"], None, None, b["calls"], None, None, "count"],
        ["Errors", *_rate(a), *_rate(b), "share"],
        ["p50", a["p50"], None, None, b["p50"], None, None, "seconds"],
        ["p95", a["p95"], None, None, b["p95"], None, None, "seconds"],
        ["From the cache", a["cached"], None, None, b["cached"], None, None, "share"],
    ]
    for name, label, kind in _MEANS:
        both = [_mean(row[name], row[f"{name}_sd"], row[f"{name}_n"]) for row in (a, b)]
        lines.append([label, *both[0], *both[1], kind])
    for name in sorted({*scores_a, *scores_b}):
        both = [
            _mean(row["mean"], row["sd"], row["n"]) if row else (None, None, None)
            for row in (scores_a.get(name), scores_b.get(name))
        ]
        lines.append([f"Score {name}", *both[0], *both[1], "number"])
    return lines


def _rate(row: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    if not row["calls"]:
        return None, None, None
    rate = min((row["errors"] or 0.0) / row["weighted"], 1.0)
    # Kish's effective number of calls, where thinned traces stand for others.
    effective = row["weighted"] ** 2 / row["squares"]
    low, high = wilson_interval(rate * effective, effective)
    return rate, low, high


def _mean(mean: float | None, deviation: float | None, count: int) -> tuple[float | None, float | None, float | None]:
    if mean is None or deviation is None or count < 2 or not math.isfinite(deviation):
        return mean, None, None
    half = _Z * deviation / math.sqrt(count)
    return mean, mean - half, mean + half
