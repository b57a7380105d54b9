"""The views over the events of spans: `attempts`, `cache_lookups`, `guard_verdicts`, `events`."""
# ruff: noqa: S608 - statements are put together from the tables of the schema, never from a user's text

from __future__ import annotations

from collections.abc import Mapping

from llmops_sdk.store.schema._shared_columns import DURATION, IDS, START_TIME, TIME
from llmops_sdk.store.schema._types import Column, View
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["EVENT_VIEWS", "event_view_sql"]

_EVENT = IDS + (
    TIME,
    Column("name", "VARCHAR", "The event's name."),
    Column("attributes", "JSON", "Its attributes, as one JSON object."),
)
_ATTEMPT = IDS + (
    Column("attempt", "BIGINT", "1 for the first."),
    Column("provider", "VARCHAR", "The provider tried."),
    Column("model", "VARCHAR", "The model tried, without its provider."),
    START_TIME,
    DURATION,
    Column("status", "VARCHAR", "ok, error or cancelled."),
    Column("status_code", "BIGINT", "The HTTP status of an error."),
    Column("error_type", "VARCHAR", "The error's class."),
    Column("retry_after", "DOUBLE", "How long the provider asked to wait.", "s"),
    Column("reason", "VARCHAR", "Why it was made: first, retry, hedge, fallback, reask or escalation."),
    Column("cost", "DOUBLE", "What it cost; NULL when unknown.", "USD"),
    Column("deployment", "VARCHAR", "The deployment tried; NULL for a model without a name."),
)
_LOOKUP = IDS + (
    Column("tier", "VARCHAR", "exact or semantic."),
    Column("hit", "BOOLEAN", "Whether the cache answered."),
    Column("similarity", "DOUBLE", "How near the nearest stored prompt was, 0 to 1; NULL for the exact tier."),
    Column("age_s", "DOUBLE", "How old the stored answer was.", "s"),
    Column("decision", "VARCHAR", "What was done: served, stale, shared, stored, not_stored or bypassed."),
    Column("reason", "VARCHAR", "Why."),
    Column("saved_cost", "DOUBLE", "What it saved.", "USD"),
    Column("score", "DOUBLE", "How likely the stored answer is right, 0 to 1; NULL for the exact tier."),
    Column("saved_ms", "DOUBLE", "How long the call took whose answer was served; NULL when nobody measured it.", "ms"),
    Column("key", "VARCHAR", "The first 16 hex digits of the entry's key."),
    TIME,
)
_VERDICT = IDS + (
    Column("guard", "VARCHAR", "The guard's name."),
    Column("rail", "VARCHAR", "input, documents, tool_arguments, tool_results or output."),
    Column(
        "action",
        "VARCHAR",
        "What was done: pass, flag, fix, redact, mask, reask, fallback or block; error if it failed.",
    ),
    Column("reason", "VARCHAR", "Why, without the content itself."),
    Column("duration_ms", "DOUBLE", "How long the checks took.", "ms"),
    Column("version", "VARCHAR", "The guard's version."),
    Column("score", "DOUBLE", "The highest score of the texts, 0 to 1; NULL where the guard has none."),
    Column("threshold", "DOUBLE", "The score from which the guard acts."),
    Column("findings", "JSON", "The places of what it found: a list of {text, kind, start, end}, at most 64."),
    Column("truncated", "BOOLEAN", "Whether it read only a part of a text; NULL when it read all."),
    TIME,
)


def event_view_sql(
    event: str,
    flag: str,
    columns: tuple[Column, ...],
    attributes: Mapping[str, str] | None = None,
    of_span: Mapping[str, str] | None = None,
) -> str:
    """Return the SQL of a view with a row for each event of one name.

    Args:
        event: The event's name.
        flag: The stored column that counts such events of a span.
        columns: The view's columns.
        attributes: The attribute of each column whose attribute has another name.
        of_span: Columns of the span, each with its SQL over `store.spans`; they come last.
    """
    # Only the rows that have such an event are parsed: the flag was written beside it.
    times = {
        START_TIME: "make_timestamp(coalesce(e.attributes.start_ns, e.time_ns) // 1000)",
        TIME: "make_timestamp(e.time_ns // 1000)",
    }
    of_span = of_span or {}
    own = [column for column in columns if column not in IDS and column.name not in of_span]
    # Attributes of events are plain values: JSON is text there.
    texts = {column: f"TRY_CAST(e.attributes.{column.name} AS JSON)" for column in own if column.type == "JSON"}
    keys = {column: (attributes or {}).get(column.name, column.name) for column in own}
    picked = ", ".join(
        f"{(times | texts).get(column, f'e.attributes.{_quoted(keys[column])}')} AS {column.name}" for column in own
    )
    fields = [f'"{keys[one]}":"{"VARCHAR" if one in texts else one.type}"' for one in own if one not in times]
    fields += ['"start_ns":"BIGINT"'] if START_TIME in columns else []
    shape = '[{"name":"VARCHAR","time_ns":"BIGINT","attributes":{' + ",".join(fields) + "}}]"
    shown = "".join(f", {name}" for name in of_span)
    read = "".join(f"{sql} AS {name}, " for name, sql in of_span.items())
    return (
        f"SELECT trace_id, span_id, {picked}{shown} FROM (SELECT trace_id, span_id, {read}"
        f"unnest(from_json(events, '{shape}')) AS e FROM store.spans WHERE {flag} > 0) WHERE e.name = '{event}'"
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


_EVENTS_SQL = """SELECT trace_id, span_id, make_timestamp(e.time_ns // 1000) AS time, e.name AS name,
    e.attributes AS attributes
FROM (SELECT trace_id, span_id,
        unnest(from_json(events, '[{"name":"VARCHAR","time_ns":"BIGINT","attributes":"JSON"}]')) AS e
    FROM store.spans WHERE event_count > 0)"""

EVENT_VIEWS = (
    View(
        "attempts",
        "Every try at a provider.",
        _ATTEMPT,
        event_view_sql(sc.EVENT_ATTEMPT, "attempt_events", _ATTEMPT),
        "SELECT provider, status_code, count(*) FROM attempts WHERE status = 'error' GROUP BY ALL",
        "trace_id span_id attempt provider model start_time duration_ms status status_code error_type "
        "retry_after reason cost",
    ),
    View(
        "cache_lookups",
        "Every question to our cache.",
        _LOOKUP,
        event_view_sql(sc.EVENT_CACHE_LOOKUP, "lookup_events", _LOOKUP),
        "SELECT tier, avg(hit::INT) AS hit_rate, sum(saved_cost) FROM cache_lookups GROUP BY ALL",
        "trace_id span_id tier hit similarity age_s decision reason saved_cost",
    ),
    View(
        "guard_verdicts",
        "Every verdict of a guard.",
        _VERDICT,
        event_view_sql(sc.EVENT_GUARD_VERDICT, "verdict_events", _VERDICT),
        "SELECT guard, action, count(*) FROM guard_verdicts GROUP BY ALL",
        "trace_id span_id guard rail action reason duration_ms",
    ),
    View(
        "events",
        "Every event on a span.",
        _EVENT,
        _EVENTS_SQL,
        "SELECT time, attributes->>'$.\"exception.type\"' FROM events WHERE name = 'exception'",
    ),
)
