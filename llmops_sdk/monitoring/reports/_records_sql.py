"""The SQL of alerts, drift, canaries, losses and objectives: what other parts of the SDK have written or configured."""
# ruff: noqa: S608 - statements are put together from constants and from conditions of the configuration

from __future__ import annotations

from datetime import timedelta

from llmops_sdk.config import SloSettings
from llmops_sdk.monitoring.reports._calls_sql import WEIGHT, calls_where, counted, moment
from llmops_sdk.monitoring.reports._period import Period

__all__ = ["record_parts", "slo_statement"]

_MOST_ALERTS = 20
_MOST_CHECKS = 20
_MOST_LOSSES = 30


def record_parts(period: Period) -> dict[str, str]:
    """Return the queries for the rows of alerts, drift, canaries and losses in a period.

    Args:
        period: The period.
    """
    within = f"time >= {moment(period.since)} AND time < {moment(period.until)}"
    latest = (
        f"FROM drift_checks WHERE {within} "
        "QUALIFY row_number() OVER (PARTITION BY kind, name, signal, slice::VARCHAR ORDER BY time DESC, check_id) = 1"
    )
    return {
        # An alert that began before the period and goes on belongs to it, too.
        "alerts": f"""SELECT *, count(*) OVER () AS alerts FROM (
            SELECT alert_id, arg_max(rule, time) AS rule, arg_max(kind, time) AS kind,
                arg_max(severity, time) AS severity, arg_max(labels, time)::VARCHAR AS labels,
                min(coalesce(firing_since, time)) FILTER (state = 'firing') AS firing_since,
                max(time) FILTER (state = 'resolved') AS resolved,
                arg_max(value, time) FILTER (state = 'firing') AS value,
                arg_max(threshold, time) FILTER (state = 'firing') AS threshold,
                arg_max(reason, time) FILTER (state = 'firing') AS reason,
                arg_max(example_trace_ids, time) FILTER (state = 'firing') AS trace_ids
            FROM alerts WHERE time < {moment(period.until)} GROUP BY alert_id)
            WHERE firing_since IS NOT NULL AND (resolved IS NULL OR resolved >= {moment(period.since)})
            ORDER BY firing_since, rule, alert_id LIMIT {_MOST_ALERTS}""",
        # The latest check of each signal; its reason has no content.
        "drift": f"""SELECT *, count(*) OVER () AS signals FROM (
            SELECT kind, name, signal, slice::VARCHAR AS slice, status, cause, effect, effect_low, effect_high,
                coalesce(adjusted_p_value, p_value) AS p_value, e_value, reference_n, current_n, reason,
                example_trace_ids AS trace_ids {latest})
            WHERE status IN ('drifted', 'ours')
            ORDER BY status, kind, name, signal, slice LIMIT {_MOST_CHECKS}""",
        "drift_states": f"""SELECT status, count(*) AS signals FROM (SELECT status {latest})
            GROUP BY status ORDER BY status""",
        "canaries": f"""SELECT canary, kind, request_model, count(DISTINCT run_id) AS runs, count(*) AS answers,
                count(*) FILTER (status = 'error') AS errors, count(DISTINCT model) AS served,
                sum(TRY_CAST(cost AS DECIMAL(18, 9))) AS cost,
                sum(TRY_CAST(score AS DECIMAL(18, 9))) / nullif(count(TRY_CAST(score AS DECIMAL(18, 9))), 0) AS score,
                max(time) AS latest
            FROM canary_runs WHERE {within} GROUP BY canary, kind, request_model
            ORDER BY canary, kind, request_model LIMIT {_MOST_CHECKS}""",
        "losses": f"""SELECT what, reason, sum(count)::VARCHAR AS count, sum(bytes)::VARCHAR AS bytes
            FROM losses WHERE {within} GROUP BY what, reason
            ORDER BY sum(count) DESC, what, reason LIMIT {_MOST_LOSSES}""",
    }


def slo_statement(slo: SloSettings, period: Period, *, simulated: bool) -> str | None:
    """Return the statement for one objective, or None where its settings do not say what a good call is.

    It gives one row: the events whose goodness is known, the good ones, and all events. An event is a call; for a
    score, a score; for a guard, a verdict.

    Args:
        slo: The objective.
        period: The report's period; the objective's own ends with it.
        simulated: Whether simulated calls count.
    """
    begin = period.until - timedelta(seconds=slo.period)
    if slo.sli == "sql":
        return (
            None
            if slo.sql is None
            else f"""SELECT count(good), count(*) FILTER (good), count(*) FROM (
            SELECT time, good::BOOLEAN AS good FROM (\n{slo.sql}\n))
            WHERE time >= {moment(begin)} AND time < {moment(period.until)}"""
        )
    good = _good(slo)
    if good is None:
        return None
    kind, _, name = slo.sli.partition(":")
    left_out, condition = counted(begin, period.until, simulated=simulated)
    head = f"""WITH left_out AS MATERIALIZED ({left_out}),
        calls AS (SELECT *, {WEIGHT} AS counts FROM {calls_where(slo.where)} WHERE {condition})
        SELECT sum(counts) FILTER (good IS NOT NULL), sum(counts) FILTER (good), sum(counts) FROM """
    quoted = "'" + name.replace("'", "''") + "'"
    # A score of a whole trace counts once, for the trace's first call.
    sources = {
        "score": f"""SELECT 1 AS counts, {good} AS good FROM (
            SELECT coalesce(own.span_id, first.span_id) AS span_id, value FROM scores
            LEFT JOIN (SELECT span_id FROM calls) AS own ON own.span_id = scores.span_id
            LEFT JOIN (SELECT trace_id, arg_min(span_id, (start_ns, span_id)) AS span_id FROM calls GROUP BY trace_id)
                AS first ON first.trace_id = scores.trace_id
            WHERE name = {quoted} AND value IS NOT NULL) WHERE span_id IS NOT NULL""",
        "guard": f"""SELECT 1 AS counts, {good} AS good FROM guard_verdicts
            WHERE guard = {quoted} AND span_id IN (SELECT span_id FROM calls)""",
    }
    return head + f"({sources.get(kind, f'SELECT counts, {good} AS good FROM calls')})"


def _good(slo: SloSettings) -> str | None:
    """Return whether an event is good as SQL: NULL where that is unknown, and such calls do not count."""
    kind, _, name = slo.sli.partition(":")
    limit = None if slo.threshold is None else repr(float(slo.threshold))
    # A call that failed at once is not fast.
    columns = {"latency": "CASE WHEN status <> 'error' THEN duration_ms END", "ttft": "ttft_ms", "cost": "cost"}
    if kind in columns:
        return None if limit is None else f"{columns[kind]} <= {limit}"
    if kind in ("score", "guard"):
        good = {"score": f"value >= {limit or '0.5'}", "guard": "action <> 'block'"}
        return good[kind] if name else None
    return {"errors": "status <> 'error'", "cache": "cache IS NOT NULL"}.get(kind)
