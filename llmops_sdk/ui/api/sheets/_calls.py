"""Pages over calls to models: calls, errors, metrics and attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.ui._sheets import Chart, Fact, Sheet, Table, columns

__all__ = ["ATTEMPTS", "CALLS", "ERRORS", "call_notes"]

_X = "(start_ns // 1000000000 // $bucket) * $bucket AS x"
_MODEL = "coalesce(model, request_model, '(unknown)')"
_TOTALS = f"""SELECT count(*) AS calls, coalesce(sum(weight), 0) AS weighted,
    count(*) FILTER (status = 'error') AS errors, count(*) FILTER (simulated) AS simulated,
    count(*) FILTER (cost IS NULL) AS unpriced, coalesce(sum(cost), 0) AS cost,
    sum(cost) FILTER (NOT coalesce(simulated, false)) AS real_cost, sum(saved_cost) AS saved,
    coalesce(sum(weight) FILTER (status = 'error'), 0) / sum(weight) AS error_share,
    count(cache) / nullif(count(*), 0) AS cached_share,
    quantile_cont(duration_ms, 0.5) / 1e3 AS p50, quantile_cont(duration_ms, 0.95) / 1e3 AS p95,
    quantile_cont(ttft_ms, 0.95) / 1e3 AS ttft, sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens, count(DISTINCT {_MODEL}) AS models
FROM llm_calls WHERE {{where}}"""  # noqa: S608 - constants


def call_notes(row: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know of the totals of calls."""
    notes: list[str] = []
    if row["simulated"]:
        notes.append(f"{row['simulated']:,} of {row['calls']:,} calls are simulated: no real model answered them")
    if row["unpriced"]:
        notes.append(f"the cost of {row['unpriced']:,} of {row['calls']:,} calls is unknown and not in the sums")
    if abs(row["weighted"] - row["calls"]) > 1e-6:
        notes.append(f"the {row['calls']:,} stored calls stand for {row['weighted']:,.0f}: old traces are thinned")
    return notes


CALLS = Sheet(
    over="llm_calls",
    facts=(
        Fact("calls", "Calls", "count"),
        Fact("error_share", "Errors", "share", "by weight"),
        Fact("cost", "Cost", "usd", "of calls of known price"),
        Fact("saved", "Saved by the cache", "usd"),
        Fact("p50", "p50", "seconds"),
        Fact("p95", "p95", "seconds"),
        Fact("ttft", "First token, p95", "seconds", "of streams"),
        Fact("input_tokens", "Input tokens", "tokens"),
        Fact("output_tokens", "Output tokens", "tokens"),
        Fact("cached_share", "From the cache", "share"),
    ),
    facts_sql=_TOTALS,
    noted=call_notes,
    command="stats",
    tables=(
        Table(
            "Models",
            columns(
                "model, Model", "simulated, Simulated", "calls, Calls, count", "errors, Errors, count",
                "cached, From the cache, count", "p50, p50, seconds", "p95, p95, seconds",
                "input_tokens, Input tokens, tokens", "output_tokens, Output tokens, tokens", "cost, Cost, usd",
                "unpriced, Unknown cost, count",
            ),
            f"""SELECT {_MODEL} AS model, CASE WHEN coalesce(simulated, false) THEN 'simulated' END AS simulated,
    count(*) AS calls, count(*) FILTER (status = 'error') AS errors, count(cache) AS cached,
    quantile_cont(duration_ms, 0.5) AS p50, quantile_cont(duration_ms, 0.95) AS p95,
    sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens, sum(cost) AS cost,
    count(*) FILTER (cost IS NULL) AS unpriced
FROM llm_calls WHERE {{where}} GROUP BY 1, 2 ORDER BY calls DESC, 1, 2""",  # noqa: S608 - constants
            "No calls to models in this time.",
        ),
        Table(
            "Prompts",
            columns(
                "prompt, Prompt", "version, Version", "calls, Calls, count", "errors, Errors, count",
                "p95, p95, seconds", "cost, Cost, usd",
            ),
            """SELECT prompt_name AS prompt, prompt_version AS version, count(*) AS calls,
    count(*) FILTER (status = 'error') AS errors, quantile_cont(duration_ms, 0.95) AS p95, sum(cost) AS cost
FROM llm_calls WHERE prompt_name IS NOT NULL AND {where} GROUP BY 1, 2 ORDER BY calls DESC, 1, 2""",
            "No call names its prompt. Use @llmops.llm, or llmops.context(prompt=…).",
        ),
        Table(
            "Newest calls",
            columns(
                "start_time, Time, time", "trace_id, Trace, trace", "model, Model", "prompt_name, Prompt",
                "status, Status, status", "duration_ms, Took, seconds", "tokens, Tokens, tokens", "cost, Cost, usd",
                "cache, Cache", "attempts, Attempts, count",
            ),
            f"""SELECT start_time, trace_id, span_id, {_MODEL} AS model, prompt_name, status, duration_ms,
    coalesce(input_tokens, 0) + coalesce(output_tokens, 0) AS tokens, cost, cache, attempts
FROM llm_calls WHERE {{where}} ORDER BY start_ns DESC LIMIT 50""",  # noqa: S608 - constants
            "No calls to models in this time.",
        ),
    ),
)  # fmt: skip
"""Calls by model and prompt, and the newest ones."""

_SHAPE = (
    "left(regexp_replace(regexp_replace(regexp_replace(left(coalesce(status_message, ''), 500), "
    "'0x[0-9a-fA-F]+|[0-9a-fA-F]{{8,}}(-[0-9a-fA-F]{{4,}})*', '#', 'g'), '[0-9]+([.,:][0-9]+)*', '#', 'g'), "
    "'\\s+', ' ', 'g'), 200)"
)
ERRORS = Sheet(
    over="spans",
    facts=(
        Fact("errors", "Spans with an error", "count"),
        Fact("traces", "Traces with an error", "count"),
        Fact("kinds", "Kinds of errors", "count", "by type and message"),
        Fact("users", "Users who met one", "count"),
    ),
    facts_sql=f"""SELECT count(*) AS errors, count(DISTINCT trace_id) AS traces, count(DISTINCT user_id) AS users,
    count(DISTINCT (error_type, {_SHAPE})) AS kinds FROM spans WHERE status = 'error' AND {{where}}""",  # noqa: S608
    notes=("an error that passes through several spans counts in each",),
    charts=(
        Chart(
            "Errors",
            "count",
            f"""SELECT {_X}, coalesce(error_type, '(none)') AS series, count(*) AS value FROM spans
WHERE status = 'error' AND error_type IN (SELECT error_type FROM spans WHERE status = 'error' AND {{where}}
    GROUP BY 1 ORDER BY count(*) DESC LIMIT 6) AND {{where}} GROUP BY 1, 2 ORDER BY 1, 2""",  # noqa: S608 - constants
            gap=0,
        ),
    ),
    tables=(
        Table(
            "Errors by type and message",
            columns(
                "error_type, Type", "message, Message", "spans, Spans, count", "traces, Traces, count",
                "users, Users, count", "names, In", "first, First, time", "last, Last, time", "trace_id, Newest, trace",
            ),
            f"""SELECT error_type, {_SHAPE} AS message, count(*) AS spans, count(DISTINCT trace_id) AS traces,
    count(DISTINCT user_id) AS users, array_to_string(list_sort(list(DISTINCT name))[:3], ', ') AS names,
    min(start_time) AS first, max(start_time) AS last, arg_max(trace_id, start_ns) AS trace_id
FROM spans WHERE status = 'error' AND {{where}} GROUP BY 1, 2 ORDER BY traces DESC, spans DESC, 1, 2""",  # noqa: S608
            "No errors in this time.",
        ),
    ),
)  # fmt: skip
"""Errors, grouped by type and by their message without its numbers and ids."""

ATTEMPTS = Sheet(
    over="spans",
    facts=(
        Fact("attempts", "Attempts", "count"),
        Fact("failed_share", "Failed", "share"),
        Fact("again", "Retries and fallbacks", "count"),
        Fact("cost", "Cost", "usd", "of attempts of known price"),
    ),
    facts_sql="""SELECT count(*) AS attempts, count(*) FILTER (status = 'error') / nullif(count(*), 0) AS failed_share,
    count(*) FILTER (attempt > 1) AS again, sum(cost) AS cost FROM attempts WHERE {where}""",
    tables=(
        Table(
            "Attempts by model and outcome",
            columns(
                "provider, Provider", "model, Model", "deployment, Deployment", "reason, Why", "status, Status, status",
                "error_type, Error", "status_code, HTTP, number", "attempts, Attempts, count", "p95, p95, seconds",
                "cost, Cost, usd", "trace_id, Newest, trace",
            ),
            """SELECT provider, model, deployment, reason, status, error_type, status_code, count(*) AS attempts,
    quantile_cont(duration_ms, 0.95) AS p95, sum(cost) AS cost, arg_max(trace_id, start_time) AS trace_id
FROM attempts WHERE {where} GROUP BY ALL ORDER BY attempts DESC, 1, 2""",
            "No attempts in this time.",
        ),
    ),
)  # fmt: skip
"""Attempts: retries, fallbacks and their outcomes."""
