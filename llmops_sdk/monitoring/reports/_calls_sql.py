"""The SQL of everything that a report counts in calls."""
# ruff: noqa: S608 - statements are put together from constants and from the condition of the user, who asks

from __future__ import annotations

from datetime import datetime

from llmops_sdk.monitoring.reports._estimates import MIN_CLUSTERS
from llmops_sdk.monitoring.reports._period import Period
from llmops_sdk.store._own_traces import OWN_ROOT, OWN_SPAN

__all__ = ["GRID", "MOST_MOVERS", "WEIGHT", "call_parts", "call_tables", "calls_where", "counted", "moment"]

MOST_MOVERS = 8
_MOST_ERRORS = 20
_MOST_SCORES = 50
_MOST_GUARDS = 50
_MOST_EXAMPLES = 5
# Finer where the tail is.
GRID = tuple(part / 200 for part in range(180)) + tuple(part / 1000 for part in range(900, 1_001))
"""The shares at which the distribution of the latency is read."""

# Exact sums, whatever the order of the threads: a report of the same data has the same bytes.
WEIGHT = "coalesce(TRY_CAST(weight AS DECIMAL(18, 6)), 1)"
"""How many calls a stored one stands for."""
_COST = "TRY_CAST(cost * weight AS DECIMAL(18, 9))"
_CLUSTER = """hash(CASE (SELECT unit FROM unit) WHEN 'user' THEN coalesce(user_id, session_id, trace_id)
    WHEN 'session' THEN coalesce(session_id, trace_id) ELSE trace_id END)"""
_MOVERS = {
    "model": "coalesce(model, '(unknown)')",
    "prompt": "coalesce(prompt_name || coalesce(' ' || prompt_version, ''), '(none)')",
    "user": "user_id",
}


def moment(time: datetime) -> str:
    """Return a time as an SQL literal."""
    return f"TIMESTAMP '{time.isoformat(sep=' ')}'"


def counted(begin: datetime, until: datetime, *, simulated: bool) -> tuple[str, str]:
    """Return the traces to leave out, as a query, and the condition on `llm_calls` for the calls that count.

    Calls of evaluators, experiments and canaries are not the application's traffic.

    Args:
        begin: The earliest start.
        until: The end.
        simulated: Whether simulated calls count.
    """
    left_out = f"""SELECT trace_id FROM spans
    WHERE start_time >= {moment(begin)} - INTERVAL 1 DAY AND start_time < {moment(until)} AND {OWN_ROOT}"""
    condition = (
        f"start_time >= {moment(begin)} AND start_time < {moment(until)} AND NOT {OWN_SPAN} "
        "AND trace_id NOT IN (SELECT trace_id FROM left_out)"
    )
    return left_out, condition if simulated else f"NOT simulated AND {condition}"


def calls_where(where: str | None) -> str:
    """Return `llm_calls`, or its rows that meet a condition of the user, to stand after FROM.

    The condition is a query of its own, so that its brackets cannot reach the conditions around it, and the line breaks
    keep a comment at its end from the rest.

    Args:
        where: The condition, or None.
    """
    return "llm_calls" if where is None else f"(SELECT * FROM llm_calls WHERE (\n{where}\n)) AS llm_calls"


def call_tables(period: Period, *, where: str | None, simulated: bool, slow_ms: float | None) -> dict[str, str]:
    """Return the temporary tables that the parts read, in the order in which to make them.

    Args:
        period: The period.
        where: A condition on `llm_calls`.
        simulated: Whether simulated calls count.
        slow_ms: A call that takes longer is slow; None for the 95 % quantile of the period before.
    """
    left_out, condition = counted(period.begin, period.until, simulated=simulated)
    slow = "(SELECT p95 FROM quantiles WHERE period = 0)" if slow_ms is None else repr(float(slow_ms))
    return {
        "left_out": left_out,
        "calls": f"""SELECT (start_time >= {moment(period.since)})::INT AS period, trace_id, span_id, start_time,
            user_id, session_id, model, prompt_name, prompt_version, status = 'error' AS failed, error_type,
            duration_ms, {_COST} AS cost, {WEIGHT} AS weight, cache,
            TRY_CAST(saved_cost * weight AS DECIMAL(18, 9)) AS saved_cost, input_tokens, output_tokens
            FROM {calls_where(where)} WHERE {condition}""",
        "unit": f"""SELECT CASE WHEN min(users) >= {MIN_CLUSTERS} THEN 'user' WHEN min(sessions) >= {MIN_CLUSTERS}
            THEN 'session' ELSE 'trace' END AS unit
            FROM (SELECT count(DISTINCT user_id) AS users, count(DISTINCT session_id) AS sessions
                  FROM calls GROUP BY period)""",
        # Lists in SQL count from 1.
        "quantiles": f"""SELECT *, grid[{GRID.index(0.5) + 1}] AS p50, grid[{GRID.index(0.95) + 1}] AS p95 FROM (
            SELECT period, quantile_cont(duration_ms, {list(GRID)}) AS grid FROM calls GROUP BY period)""",
        "clusters": f"""SELECT calls.period, {_CLUSTER} AS cluster, sum(weight) AS n, count(*) AS stored,
            coalesce(sum(weight) FILTER (failed), 0) AS failed, coalesce(sum(cost), 0) AS cost,
            coalesce(sum(weight) FILTER (cost IS NOT NULL), 0) AS priced,
            coalesce(sum(weight) FILTER (cache IS NOT NULL), 0) AS hits,
            count(*) FILTER (duration_ms <= p50) AS below_p50, count(*) FILTER (duration_ms <= p95) AS below_p95,
            count(*) FILTER (duration_ms > {slow}) AS slow
            FROM calls JOIN quantiles ON quantiles.period = calls.period GROUP BY ALL""",
        "judged": f"""SELECT trace_id, max(period) AS period, min({_CLUSTER}) AS cluster FROM calls
            WHERE EXISTS (FROM scores) GROUP BY trace_id""",
    }


def call_parts(period: Period, *, simulated: bool) -> dict[str, str]:
    """Return a query for each part of the figures, over the tables of `call_tables`.

    Args:
        period: The period.
        simulated: Whether simulated calls count.
    """
    figures = {
        "calls": ("n", "n"), "errors": ("n", "failed"), "cost": ("n", "cost"), "cost_per_call": ("priced", "cost"),
        "unpriced": ("n", "n - priced"), "cache_hits": ("n", "hits"), "below_p50": ("stored", "below_p50"),
        "below_p95": ("stored", "below_p95"), "slow": ("stored", "slow"),
    }  # fmt: skip
    current = f"start_time >= {moment(period.since)} AND start_time < {moment(period.until)}"
    parts = {
        "units": "SELECT unit FROM unit",
        "quantiles": "SELECT period, p50, p95, grid FROM quantiles ORDER BY period",
        "totals": """SELECT period, count(*) AS stored, sum(weight) AS calls, count(DISTINCT trace_id) AS traces,
            count(DISTINCT user_id) AS users, sum(cost) AS cost, sum(saved_cost) AS saved_cost,
            sum(input_tokens)::VARCHAR AS input_tokens, sum(output_tokens)::VARCHAR AS output_tokens
            FROM calls GROUP BY period ORDER BY period""",
        "tiers": """SELECT period, cache AS tier, sum(weight) AS hits, sum(saved_cost) AS saved_cost FROM calls
            WHERE cache IS NOT NULL GROUP BY period, cache ORDER BY period, cache""",
        "steps": _steps(period),
        "errors_seen": _errors(period),
        "slowest": f"""SELECT trace_id, span_id, epoch_us(start_time) AS start_us, model, duration_ms, failed FROM calls
            WHERE period = 1 AND duration_ms IS NOT NULL
            ORDER BY duration_ms DESC, trace_id, span_id LIMIT {_MOST_EXAMPLES}""",
        "costliest": f"""SELECT trace_id, found.cost, found.calls, arg_max(span_id, (calls.cost, span_id)) AS span_id,
                arg_max(epoch_us(start_time), (calls.cost, span_id)) AS start_us
            FROM (SELECT trace_id, sum(cost) AS cost, count(*) AS calls FROM calls
                WHERE period = 1 GROUP BY trace_id HAVING sum(cost) > 0
                ORDER BY sum(cost) DESC, trace_id LIMIT {_MOST_EXAMPLES}) AS found JOIN calls USING (trace_id)
            WHERE calls.cost IS NOT NULL GROUP BY trace_id, found.cost, found.calls
            ORDER BY found.cost DESC, trace_id""",
        "left_out": f"""SELECT count(*) AS simulated FROM llm_calls
            WHERE {"false" if simulated else "simulated"} AND {current}""",
        "scores": _scores(),
        "guards": _guards(period),
    }
    parts |= {f"sums_{name}": f"SELECT period, {_sums(n, y)} FROM clusters GROUP BY period"
              for name, (n, y) in figures.items()}  # fmt: skip
    return parts | {f"movers_{name}": _movers(key) for name, key in _MOVERS.items()}


def _sums(n: str, y: str) -> str:
    """Return the columns of `ClusterSums`. The squares are sums of whole numbers, in thousandths and millionths."""
    size, total = f"TRY_CAST(({n}) * 1000 AS HUGEINT)", f"TRY_CAST(({y}) * 1000000 AS HUGEINT)"
    return (
        f"count(*) FILTER (({n}) > 0) AS clusters, sum({n}) AS n, sum({y}) AS y, sum({size} * {size}) / 1e6 AS nn, "
        f"sum({size} * {total}) / 1e9 AS ny, sum({total} * {total}) / 1e12 AS yy"
    )


def _steps(period: Period) -> str:
    step = period.step * 1_000_000
    return f"""SELECT (epoch_us(start_time) - epoch_us({moment(period.since)})) // {step} AS step,
        sum(weight) AS calls, coalesce(sum(weight) FILTER (failed), 0) AS errors, sum(cost) AS cost,
        quantile_cont(duration_ms, 0.95) AS p95 FROM calls WHERE period = 1 GROUP BY step ORDER BY step"""


def _errors(period: Period) -> str:
    # Seen before is: by any call of the store, whatever the report is about.
    return f"""SELECT seen.*, error_type <> '(none)' AND error_type NOT IN (
            SELECT error_type FROM llm_calls
            WHERE status = 'error' AND error_type IS NOT NULL AND start_time < {moment(period.since)}) AS is_new
        FROM (SELECT coalesce(error_type, '(none)') AS error_type, sum(weight) FILTER (period = 1) AS errors,
            sum(weight) FILTER (period = 0) AS previous, min(start_time) FILTER (period = 1) AS first_time,
            min(trace_id) FILTER (period = 1) AS trace_id
            FROM calls WHERE failed GROUP BY 1 HAVING count(*) FILTER (period = 1) > 0) AS seen
        ORDER BY errors DESC, error_type LIMIT {_MOST_ERRORS}"""


def _movers(key: str) -> str:
    return f"""SELECT *, count(*) OVER () AS keys FROM (
        SELECT {key} AS key, coalesce(sum(weight) FILTER (period = 1), 0) AS calls,
            coalesce(sum(weight) FILTER (period = 0), 0) AS calls_before,
            coalesce(sum(weight) FILTER (period = 1 AND failed), 0) AS errors,
            coalesce(sum(weight) FILTER (period = 0 AND failed), 0) AS errors_before,
            sum(cost) FILTER (period = 1) AS cost, sum(cost) FILTER (period = 0) AS cost_before,
            coalesce(min(trace_id) FILTER (period = 1), min(trace_id)) AS trace_id
        FROM calls WHERE {key} IS NOT NULL GROUP BY 1)
        ORDER BY abs(coalesce(cost, 0) - coalesce(cost_before, 0)) DESC, abs(calls - calls_before) DESC, key
        LIMIT {MOST_MOVERS}"""


def _scores() -> str:
    # A score may name its span alone.
    return f"""SELECT period, name, source, {_sums("n", "y")} FROM (
            SELECT period, cluster, name, source, count(y)::DECIMAL(18, 3) AS n, sum(y) AS y FROM (
                SELECT judged.period, judged.cluster, name, source, TRY_CAST(value AS DECIMAL(18, 9)) AS y
                FROM scores JOIN judged USING (trace_id)
                UNION ALL
                SELECT judged.period, judged.cluster, name, source, TRY_CAST(value AS DECIMAL(18, 9)) AS y
                FROM (SELECT span_id, name, source, value FROM scores WHERE trace_id IS NULL) AS scores
                JOIN (SELECT span_id, trace_id FROM calls) AS calls USING (span_id) JOIN judged USING (trace_id)
            ) WHERE y IS NOT NULL GROUP BY ALL)
        GROUP BY period, name, source ORDER BY name, source, period LIMIT {2 * _MOST_SCORES}"""


def _guards(period: Period) -> str:
    return f"""SELECT guard, rail, action, count(*) FILTER (time >= {moment(period.since)}) AS verdicts,
            count(*) FILTER (time < {moment(period.since)}) AS previous
        FROM guard_verdicts
        WHERE time >= {moment(period.begin)} AND time < {moment(period.until)}
            AND trace_id IN (SELECT trace_id FROM calls)
        GROUP BY guard, rail, action ORDER BY verdicts DESC, guard, rail, action LIMIT {_MOST_GUARDS}"""
