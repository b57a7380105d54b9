"""Pages over what policies decided: the cache, guards, routers, traffic control, and what was lost."""

from __future__ import annotations

from llmops_sdk.ui._sheets import Chart, Fact, Sheet, Table, columns

__all__ = ["CACHE", "GUARDS", "LOSSES", "ROUTES", "TRAFFIC"]

_X = "(epoch(time)::BIGINT // $bucket) * $bucket AS x"

CACHE = Sheet(
    over="events",
    facts=(
        Fact("lookups", "Look-ups", "count"),
        Fact("hits", "Hits", "count"),
        Fact("share", "Hit share", "share"),
        Fact("saved", "Saved", "usd", "of hits of known price"),
        Fact("saved_s", "Waiting saved", "seconds"),
    ),
    facts_sql="""SELECT count(*) AS lookups, count(*) FILTER (hit) AS hits, count(*) FILTER (hit) / nullif(count(*), 0)
    AS share, sum(saved_cost) FILTER (hit) AS saved, sum(saved_ms) FILTER (hit) / 1e3 AS saved_s
FROM cache_lookups WHERE {where}""",
    charts=(
        Chart(
            "Look-ups",
            "count",
            f"""SELECT {_X}, count(*) FILTER (hit) AS hits, count(*) FILTER (NOT hit) AS misses
FROM cache_lookups WHERE {{where}} GROUP BY 1 ORDER BY 1""",  # noqa: S608 - constants
            ("hits", "misses"),
            gap=0,
        ),
    ),
    tables=(
        Table(
            "Decisions",
            columns(
                "tier, Tier", "decision, Decision", "reason, Why", "lookups, Look-ups, count", "hits, Hits, count",
                "similarity, Similarity, number", "age_s, Age (s), number", "saved, Saved, usd",
                "trace_id, Newest, trace",
            ),
            """SELECT tier, decision, reason, count(*) AS lookups, count(*) FILTER (hit) AS hits,
    median(similarity) AS similarity, median(age_s) AS age_s, sum(saved_cost) FILTER (hit) AS saved,
    arg_max(trace_id, time) AS trace_id
FROM cache_lookups WHERE {where} GROUP BY 1, 2, 3 ORDER BY lookups DESC, 1, 2, 3""",
            "Nothing was looked up in the cache. Turn it on with [cache] in llmops.toml.",
        ),
    ),
)  # fmt: skip
"""Look-ups in the cache."""

GUARDS = Sheet(
    over="events",
    facts=(
        Fact("verdicts", "Verdicts", "count"),
        Fact("traces", "Traces with more than a pass", "count"),
        Fact("blocked", "Blocked", "count"),
        Fact("changed", "Redacted or masked", "count"),
        Fact("p95", "p95", "seconds", "of one guard"),
    ),
    facts_sql="""SELECT count(*) AS verdicts, count(DISTINCT trace_id) FILTER (action <> 'pass') AS traces,
    count(*) FILTER (action = 'block') AS blocked, count(*) FILTER (action IN ('redact', 'mask')) AS changed,
    quantile_cont(duration_ms, 0.95) / 1e3 AS p95 FROM guard_verdicts WHERE {where}""",
    charts=(
        Chart(
            "Verdicts that were not a pass",
            "count",
            f"""SELECT {_X}, action AS series, count(*) AS value FROM guard_verdicts
WHERE action <> 'pass' AND {{where}} GROUP BY 1, 2 ORDER BY 1, 2""",  # noqa: S608 - constants
            gap=0,
        ),
    ),
    tables=(
        Table(
            "Guards",
            columns(
                "guard, Guard", "rail, Rail", "action, Action", "reason, Why", "verdicts, Verdicts, count",
                "traces, Traces, count", "score, Score, number", "p95, p95, seconds", "trace_id, Newest, trace",
            ),
            """SELECT guard, rail, action, CASE WHEN action <> 'pass' THEN reason END AS reason, count(*) AS verdicts,
    count(DISTINCT trace_id) AS traces, median(score) AS score, quantile_cont(duration_ms, 0.95) AS p95,
    arg_max(trace_id, time) AS trace_id
FROM guard_verdicts WHERE {where} GROUP BY 1, 2, 3, 4 ORDER BY action = 'pass', verdicts DESC, 1, 2, 3, 4""",
            "No guard ran. Turn guards on with [guardrails] in llmops.toml.",
        ),
    ),
)  # fmt: skip
"""Verdicts of guards."""

ROUTES = Sheet(
    over="events",
    facts=(
        Fact("decisions", "Decisions", "count"),
        Fact("explored", "Explored", "share"),
        Fact("cost", "Cost", "usd", "of calls of known price"),
    ),
    facts_sql="""SELECT count(*) AS decisions, avg(explored::INT) AS explored, sum(cost) AS cost
FROM routes WHERE {where}""",
    tables=(
        Table(
            "Decisions of routers",
            columns(
                "router, Router", "mode, Mode", "model, Chosen", "serves, Served", "reason, Why", "rule, Rule",
                "decisions, Decisions, count", "cost, Cost, usd", "trace_id, Newest, trace",
            ),
            """SELECT router, mode, model, serves, reason, rule, count(*) AS decisions, sum(cost) AS cost,
    arg_max(trace_id, time) AS trace_id
FROM routes WHERE {where} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY decisions DESC, 1, 2, 3, 4, 5, 6""",
            "No router decided. Give a model a route in [models].",
        ),
    ),
)  # fmt: skip
"""Decisions of routers."""

TRAFFIC = Sheet(
    over="events",
    tables=(
        Table(
            "Decisions of limits, breakers, budgets and hedges",
            columns(
                "policy, Policy", "decision, Decision", "deployment, Deployment", "subject, Subject", "reason, Why",
                "times, Times, count", "wait, Wait p95, seconds", "cost, Cost, usd", "last, Last, time",
                "trace_id, Newest, trace",
            ),
            """SELECT policy, decision, deployment, subject, reason, count(*) AS times,
    quantile_cont(wait_ms, 0.95) AS wait, sum(cost) AS cost, max(time) AS last, arg_max(trace_id, time) AS trace_id
FROM traffic WHERE {where} GROUP BY 1, 2, 3, 4, 5 ORDER BY times DESC, 1, 2, 3, 4, 5""",
            "Traffic control held no call back. Calls that just pass have no row.",
        ),
    ),
)  # fmt: skip
"""Decisions of traffic control."""

LOSSES = Sheet(
    over="records",
    notes=("lines that cannot be read have no time, and count only without a period",),
    tables=(
        Table(
            "What was dropped, cut or redacted",
            columns(
                "what, What", "reason, Why", "count, Times, count", "bytes, Bytes, count", "first, First, time",
                "last, Last, time",
            ),
            """SELECT what, reason, sum(count)::BIGINT AS count, sum(bytes)::BIGINT AS bytes, min(time) AS first,
    max(time) AS last FROM losses WHERE {where} GROUP BY 1, 2 ORDER BY count DESC, 1, 2""",
            "Nothing was lost in this time.",
        ),
    ),
)  # fmt: skip
"""What the store lost."""
