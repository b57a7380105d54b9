"""Pages over records: data sets, checks for drift and alerts."""

from __future__ import annotations

from llmops_sdk.ui._sheets import Chart, Fact, Sheet, Table, columns

__all__ = ["ALERTS", "DATASETS", "DRIFT"]

DRIFT = Sheet(
    over="records",
    facts=(
        Fact("checks", "Checks", "count"),
        Fact("drifted", "Drifted in the latest check", "count"),
        Fact("last", "Latest check", "time"),
    ),
    facts_sql="""SELECT count(DISTINCT check_id) AS checks, max(time) AS last,
    count(*) FILTER (status = 'drifted' AND check_id = (SELECT arg_max(check_id, time) FROM drift_checks))
    AS drifted FROM drift_checks WHERE {where}""",
    tables=(
        Table(
            "Latest of each signal",
            columns(
                "kind, Kind", "name, Check", "signal, Signal", "slice, Slice", "status, Status, status",
                "cause, Cause", "effect, Effect, number", "effect_low, from, number", "effect_high, to, number",
                "p_value, p, number", "e_value, e, number", "current_n, Now, count", "reference_n, Before, count",
                "time, Time, time", "trace_id, Example, trace",
            ),
            """SELECT kind, name, signal, slice::VARCHAR AS slice, status, cause, effect, effect_low, effect_high,
    coalesce(adjusted_p_value, p_value) AS p_value, e_value, current_n, reference_n, time,
    example_trace_ids[1] AS trace_id
FROM drift_checks WHERE {where}
QUALIFY row_number() OVER (PARTITION BY kind, name, signal, slice::VARCHAR ORDER BY time DESC) = 1
ORDER BY status <> 'drifted', abs(effect) DESC NULLS LAST, 1, 2, 3, 4""",
            "No check for drift ran. Use llmops drift data, or llmops watch.",
        ),
        Table(
            "Answers of canaries",
            columns(
                "canary, Canary", "model, Model", "status, Status, status", "answers, Answers, count",
                "score, Score, number", "cost, Cost, usd", "last, Last, time",
            ),
            """SELECT canary, coalesce(model, request_model) AS model, status, count(*) AS answers,
    avg(score) AS score, sum(cost) AS cost, max(time) AS last
FROM canary_runs WHERE {where} GROUP BY 1, 2, 3 ORDER BY last DESC, 1, 2, 3""",
            "No canary ran. Use llmops drift canary.",
        ),
    ),
)  # fmt: skip
"""Checks for drift, and canaries."""

ALERTS = Sheet(
    over="records",
    facts=(
        Fact("firing", "Firing now", "count"),
        Fact("rules", "Alerts seen", "count"),
        Fact("changes", "Changes", "count"),
    ),
    facts_sql="""SELECT count(*) AS changes, count(DISTINCT alert_id) AS rules,
    (SELECT count(*) FROM (SELECT arg_max(state, time) AS state FROM alerts GROUP BY alert_id) WHERE state = 'firing')
    AS firing FROM alerts WHERE {where}""",
    charts=(
        Chart(
            "Alerts that began to fire",
            "count",
            """SELECT (epoch(time)::BIGINT // $bucket) * $bucket AS x, rule AS series, count(*) AS value FROM alerts
WHERE state = 'firing' AND previous IS DISTINCT FROM 'firing' AND {where} GROUP BY 1, 2 ORDER BY 1, 2""",
            gap=0,
        ),
    ),
    tables=(
        Table(
            "States now",
            columns(
                "rule, Alert", "kind, Kind", "state, State, status", "severity, Severity", "labels, Labels",
                "value, Value, number", "threshold, Threshold, number", "reason, Why", "firing_since, Since, time",
                "time, Changed, time", "trace_id, Example, trace",
            ),
            """SELECT rule, kind, state, severity, labels::VARCHAR AS labels, value, threshold, reason, firing_since,
    time, example_trace_ids[1] AS trace_id
FROM alerts WHERE {where} QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY time DESC) = 1
ORDER BY state <> 'firing', time DESC, 1""",
            "No alert changed its state. Write [[alerts]] and run llmops watch.",
        ),
        Table(
            "Changes",
            columns(
                "time, Time, time", "rule, Alert", "previous, From, status", "state, To, status",
                "value, Value, number", "threshold, Threshold, number", "reason, Why", "trace_id, Example, trace",
            ),
            """SELECT time, rule, previous, state, value, threshold, reason, example_trace_ids[1] AS trace_id
FROM alerts WHERE {where} ORDER BY time DESC, rule""",
            "No changes.",
        ),
    ),
)  # fmt: skip
"""States of alerts."""

DATASETS = Sheet(
    over="records",
    period=None,
    command="dataset list",
    tables=(
        Table(
            "Data sets",
            columns(
                "name, Name", "version, Version", "time, Saved, time", "items, Items, count", "erased, Erased, count",
                "source, Made from", "detail, Detail",
            ),
            """SELECT name, left(version, 12) AS version, time, items, erased, source, detail FROM datasets
WHERE latest AND {where} ORDER BY time DESC, name""",
            "No data set is saved. Select traces, or use llmops dataset create.",
        ),
        Table(
            "Newest items",
            columns(
                "dataset, Data set", "item_id, Item", "input, Input", "expected, Expected", "trace_id, From, trace"
            ),
            """SELECT dataset, item_id, left(input::VARCHAR, 300) AS input, left(expected::VARCHAR, 300) AS expected,
    source_trace_id AS trace_id FROM dataset_items WHERE latest ORDER BY dataset, item_id LIMIT 100""",
            "No items.",
        ),
    ),
)  # fmt: skip
"""Saved data sets."""
