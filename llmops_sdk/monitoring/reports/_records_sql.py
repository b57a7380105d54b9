"""The SQL of alerts, drift, canaries and losses: what other parts of the SDK have written."""
# ruff: noqa: S608 - statements are put together from constants

from __future__ import annotations

from llmops_sdk.monitoring.reports._calls_sql import moment
from llmops_sdk.monitoring.reports._period import Period

__all__ = ["record_parts"]

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
