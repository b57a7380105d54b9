"""The stream `spans`, and its views `spans`, `traces` and `llm_calls`."""
# ruff: noqa: S608 - statements are put together from the tables of the schema, never from a user's text

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from llmops_sdk.store.schema._shared_columns import START_TIME, view_columns
from llmops_sdk.store.schema._span_columns import SPAN_COLUMNS
from llmops_sdk.store.schema._types import Column, RecordStream, View

__all__ = [
    "CALLS_VIEW",
    "SESSIONS_VIEW",
    "SHOWN",
    "SPANS",
    "SPANS_VIEW",
    "TRACES_VIEW",
    "traces_sql",
]

SPANS = RecordStream(
    name="spans",
    columns=SPAN_COLUMNS,
    segment_folder="wal",
    parquet_folder="spans",
    required="trace_id",
    identifying=("trace_id", "span_id", "start_ns"),
    same_record="trace_id || span_id",
    time_column="start_ns",
    computed=(("start_time", "make_timestamp(start_ns // 1000)"), ("weight", "1.0::DOUBLE")),
)

_FIXED_SPANS = (
    "trace_id span_id parent_span_id name kind start_time start_ns duration_ms status status_message error_type "
    "input output service session_id user_id tags simulated attributes"
)
_COMPUTED = {
    "duration_ms": "duration_ns / 1e6",
    "tags": "coalesce(tags, [])",
    "simulated": "coalesce(simulated, false)",
    "model": "coalesce(model, request_model)",
    # A call's prompt and answer are written once, as messages.
    "input": "coalesce(input, input_messages)",
    "output": "coalesce(output, output_messages)",
}


def _select(columns: tuple[Column, ...]) -> str:
    return ", ".join(f"{_COMPUTED[c.name]} AS {c.name}" if c.name in _COMPUTED else c.name for c in columns)


_SPANS = view_columns(
    "trace_id span_id parent_span_id name kind start_time start_ns duration_ms status status_message error_type "
    "input output service session_id user_id tags simulated attributes events links otel_kind scope resource "
    "weight"
)
_CALLS = _SPANS + view_columns(
    "operation provider request_model model input_tokens output_tokens cache_read_tokens cache_write_tokens "
    "reasoning_tokens cost saved_cost ttft_ms finish_reason cache attempts prompt_name prompt_version input_messages "
    "output_messages deployment"
)
SHOWN = _select(_CALLS)
"""The columns of `llm_calls`, as the list of a SELECT from `store.spans`."""
_TOTALS = (
    Column("spans", "BIGINT", "How many spans."),
    Column("llm_calls", "BIGINT", "How many of them are calls to models."),
    Column("errors", "BIGINT", "How many of them have the status error."),
    Column("input_tokens", "BIGINT", "Tokens of all prompts.", "tokens"),
    Column("output_tokens", "BIGINT", "Tokens of all answers.", "tokens"),
    Column("cost", "DOUBLE", "What the calls of known price cost; NULL when none is known.", "USD"),
)
_TRACE = (
    Column("trace_id", "VARCHAR", "The trace's id, 32 lower-case hex digits."),
    Column("name", "VARCHAR", "The root span's name; the earliest span's while the root is still running."),
    START_TIME,
    Column("duration_ms", "DOUBLE", "From the first start to the last end.", "ms"),
    Column("status", "VARCHAR", "The root span's status; NULL while the root is still running."),
    Column("service", "VARCHAR", "The service's name."),
    Column("session_id", "VARCHAR", "The session."),
    Column("user_id", "VARCHAR", "The end user."),
    Column("simulated", "BOOLEAN", "Whether a call in it was answered by no real model."),
    *_TOTALS,
    Column("input", "JSON", "The first input in it: the root's, where it has one."),
    Column("output", "JSON", "The last output in it: the root's, where it has one."),
    Column("tags", "VARCHAR[]", "The tags of all its spans, in order."),
    Column("models", "VARCHAR[]", "The models that its calls used, in order."),
    Column("scores", "JSON", "The latest score of each name, of the trace or a span: `scores ->> '$.helpful'`."),
)


# A score may name its span alone. The join costs nothing without such scores: DuckDB then leaves the spans unread.
# A record of the local page without a value takes back the earlier ones of its source.
_SAYS = "(value IS NOT NULL OR label IS NOT NULL OR source LIKE 'ui:%')"
_JUDGED = f"""SELECT trace_id, json_group_object(name, score) AS scores FROM (
    SELECT trace_id, name, arg_max(score, judged_ns) AS score FROM (
        SELECT trace_id, span_id, name, source, max(time_ns) AS judged_ns,
            arg_max_null(coalesce(to_json(value), to_json(label)), time_ns) AS score FROM (
            SELECT trace_id, span_id, name, source, value, label, time_ns FROM store.scores
            WHERE trace_id IS NOT NULL AND document_id IS NULL AND {_SAYS}
            UNION ALL
            SELECT of_span.trace_id, span_id, name, source, value, label, time_ns
            FROM (SELECT trace_id, span_id FROM store.spans) AS of_span JOIN (
                SELECT span_id, name, source, value, label, time_ns FROM store.scores
                WHERE trace_id IS NULL AND document_id IS NULL AND span_id IS NOT NULL AND {_SAYS}) USING (span_id))
        GROUP BY ALL)
    GROUP BY trace_id, name)
WHERE score IS NOT NULL GROUP BY trace_id"""
_ARE_CALLS = " WHERE kind IN ('llm', 'embedding')"
_CALLS_OF_TRACE = "FILTER (kind IN ('llm', 'embedding'))"
_AGGREGATES = {
    "name": "coalesce(arg_min(name, start_ns) FILTER (parent_span_id IS NULL), arg_min(name, start_ns))",
    "start_time": "make_timestamp(min(start_ns) // 1000)",
    "duration_ms": "(max(start_ns + duration_ns) - min(start_ns)) / 1e6",
    "status": "arg_min(status, start_ns) FILTER (parent_span_id IS NULL)",
    "service": "arg_min(service, start_ns)",
    "session_id": "arg_min(session_id, start_ns)",
    "user_id": "arg_min(user_id, start_ns)",
    "simulated": "coalesce(bool_or(simulated), false)",
    "spans": "count(*)",
    "llm_calls": f"count(*) {_CALLS_OF_TRACE}",
    "errors": "count(*) FILTER (status = 'error')",
    "input_tokens": f"TRY_CAST(coalesce(sum(input_tokens) {_CALLS_OF_TRACE}, 0) AS BIGINT)",
    "output_tokens": f"TRY_CAST(coalesce(sum(output_tokens) {_CALLS_OF_TRACE}, 0) AS BIGINT)",
    "cost": f"sum(cost) {_CALLS_OF_TRACE}",
    "input": "coalesce(arg_min(said, start_ns) FILTER (parent_span_id IS NULL), arg_min(said, start_ns))",
    "output": """coalesce(arg_max(answered, start_ns + duration_ns) FILTER (parent_span_id IS NULL),
             arg_max(answered, start_ns + duration_ns))""",
    "tags": "list_sort(list_distinct(flatten(list(coalesce(tags, [])))))",
    "models": """coalesce(list_sort(list_distinct(list(coalesce(model, request_model)) FILTER (
        kind IN ('llm', 'embedding') AND coalesce(model, request_model) IS NOT NULL))), [])""",
}
_FURTHER = {
    "root_input": "arg_min(input, start_ns) FILTER (parent_span_id IS NULL)",
    "root_output": "arg_max(output, start_ns + duration_ns) FILTER (parent_span_id IS NULL)",
    "first_error": "arg_min(error_type, start_ns) FILTER (status = 'error')",
}
_WITH_MESSAGES = {
    "input": "coalesce(input, input_messages) AS said",
    "output": "coalesce(output, output_messages) AS answered",
}


def traces_sql(further: Mapping[str, str] | None = None, only: Collection[str] | None = None) -> str:
    """Return the SQL of `traces`.

    Args:
        further: Further aggregates over a trace's spans, by name.
        only: The columns wanted, beside the id; None for all. Only if they are wanted there are `root_input` and
            `root_output`, which are cheaper than `input` and `output`, since they are those of roots without their
            messages, the widest column of the store; and `first_error`, the type of the first error.
    """
    aggregates = {**_AGGREGATES, **{f'"{name}"': sql for name, sql in (further or {}).items()}}
    if only is not None:
        aggregates = {name: sql for name, sql in {**aggregates, **_FURTHER}.items() if name.strip('"') in only}
    columns = ",\n    ".join(["trace_id", *(f"{sql} AS {name}" for name, sql in aggregates.items())])
    messages = "".join(f", {sql}" for name, sql in _WITH_MESSAGES.items() if name in aggregates)
    rolled = f"SELECT {columns}\nFROM (SELECT *{messages}\n      FROM store.spans)\nGROUP BY trace_id"
    if only is not None and "scores" not in only:
        return rolled
    return f"SELECT rolled.*, judged.scores FROM ({rolled}) AS rolled LEFT JOIN ({_JUDGED}) AS judged USING (trace_id)"


def _spans_sql(columns: tuple[Column, ...], where: str, only: Collection[str]) -> str:
    chosen = tuple(column for column in columns if column.name in only)
    return f"SELECT {_select(chosen or columns[:1])} FROM store.spans{where}"


SPANS_VIEW = View(
    "spans",
    "Every span.",
    _SPANS,
    f"SELECT {_select(_SPANS)} FROM store.spans",
    "SELECT name, count(*), avg(duration_ms) FROM spans GROUP BY ALL ORDER BY 3 DESC",
    _FIXED_SPANS,
    narrow=partial(_spans_sql, _SPANS, ""),
)
TRACES_VIEW = View(
    "traces",
    "One row a trace, rolled up from its spans.",
    _TRACE,
    traces_sql(),
    "SELECT name, duration_ms, cost FROM traces WHERE errors > 0 ORDER BY start_time DESC",
    narrow=partial(traces_sql, None),
)
SESSIONS_VIEW = View(
    "sessions",
    "One row a session, rolled up from its spans.",
    (
        Column("session_id", "VARCHAR", "The session."),
        Column("user_id", "VARCHAR", "The first end user in it."),
        START_TIME,
        Column("end_time", "TIMESTAMP", "When its last span ended."),
        Column("duration_ms", "DOUBLE", "From the first start to the last end.", "ms"),
        Column("traces", "BIGINT", "How many traces."),
        *_TOTALS,
        Column("simulated", "BOOLEAN", "Whether a call in it was answered by no real model."),
        Column("tags", "VARCHAR[]", "The tags of all its spans, in order."),
        Column("models", "VARCHAR[]", "The models that its calls used, in order."),
    ),
    """SELECT session_id,
    arg_min(user_id, start_ns) AS user_id,
    make_timestamp(min(start_ns) // 1000) AS start_time,
    make_timestamp(max(start_ns + duration_ns) // 1000) AS end_time,
    (max(start_ns + duration_ns) - min(start_ns)) / 1e6 AS duration_ms,
    count(DISTINCT trace_id) AS traces,
    count(*) AS spans,
    count(*) FILTER (kind IN ('llm', 'embedding')) AS llm_calls,
    count(*) FILTER (status = 'error') AS errors,
    TRY_CAST(coalesce(sum(input_tokens) FILTER (kind IN ('llm', 'embedding')), 0) AS BIGINT) AS input_tokens,
    TRY_CAST(coalesce(sum(output_tokens) FILTER (kind IN ('llm', 'embedding')), 0) AS BIGINT) AS output_tokens,
    sum(cost) FILTER (kind IN ('llm', 'embedding')) AS cost,
    coalesce(bool_or(simulated), false) AS simulated,
    list_sort(list_distinct(flatten(list(coalesce(tags, []))))) AS tags,
    coalesce(list_sort(list_distinct(list(coalesce(model, request_model)) FILTER (
        kind IN ('llm', 'embedding') AND coalesce(model, request_model) IS NOT NULL))), []) AS models
FROM store.spans WHERE session_id IS NOT NULL AND session_id <> '' GROUP BY session_id""",
    "SELECT session_id, traces, cost FROM sessions ORDER BY start_time DESC",
)
CALLS_VIEW = View(
    "llm_calls",
    "The spans that are calls to models (kind llm or embedding).",
    _CALLS,
    f"SELECT {SHOWN} FROM store.spans{_ARE_CALLS}",
    "SELECT model, count(*), sum(cost), quantile_cont(duration_ms, 0.95) FROM llm_calls GROUP BY ALL",
    f"{_FIXED_SPANS} operation provider request_model model input_tokens output_tokens cache_read_tokens "
    "reasoning_tokens cost ttft_ms finish_reason cache attempts prompt_name prompt_version input_messages "
    "output_messages",
    narrow=partial(_spans_sql, _CALLS, _ARE_CALLS),
)
