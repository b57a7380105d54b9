"""The stream `details`: what log records say about spans, and the SQL that merges it into them.

A log record may come before or after its span. Both are written at once, and each query joins them: decision 22.
"""
# ruff: noqa: S608 - statements are put together from the tables of the schema

from __future__ import annotations

from collections.abc import Collection

from llmops_sdk.store.schema._span_columns import SPAN_COLUMNS
from llmops_sdk.store.schema._types import RecordStream, StoredColumn
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import SpanDetails

__all__ = ["DETAILS", "merged_spans"]

_MERGED = tuple(column for column in SPAN_COLUMNS if column.attributes and column.convert != "own")
_MESSAGES = ("input_messages", "output_messages")
_MAX_PARTS = 256
"""Records that may hold the messages of one span, one or a few each."""

DETAILS = RecordStream(
    name="details",
    columns=(
        StoredColumn("trace_id", "VARCHAR", "The trace of the span that it is about."),
        StoredColumn("span_id", "VARCHAR", "The span that it is about."),
        StoredColumn("event", "VARCHAR", "The event of the log record."),
        StoredColumn("time_ns", "BIGINT", "When, since the epoch.", "ns"),
        *_MERGED,
        next(column for column in SPAN_COLUMNS if column.name == "attributes"),
    ),
    segment_folder="details",
    parquet_folder="details",
    required="event",
    identifying=("event",),
    same_record="trace_id || span_id || event || time_ns",
    record_type=SpanDetails,
)


def merged_spans(spans: str, details: str, only: Collection[str] | None = None) -> str:
    """Return SQL for all spans, with what their details add.

    A value of the span wins, then the latest value of its details. Messages that came one by one are put together in
    the order of time.

    Args:
        spans: The view or table of spans.
        details: The view or table of details.
        only: The columns that they have, without those of the join; None for all.
    """
    # Without DISTINCT, and grouped by exactly the columns of the join: DuckDB then leaves out the join if a query reads
    # none of these columns.
    whole = f"event = '{sc.EVENT_DETAILS}'"
    merging = [column.name for column in _MERGED if only is None or column.name in only]
    latest = [name for name in merging if name not in _MESSAGES]
    messages = [name for name in _MESSAGES if name in merging]
    found = [f"arg_max({name}, time_ns) AS {name}" for name in latest]
    found += [f"arg_max({name}, time_ns) FILTER ({whole}) AS {name}" for name in messages]
    found += [
        f"min({{t: time_ns, m: {name}::VARCHAR}}, {_MAX_PARTS}) FILTER (NOT ({whole}) AND {name} IS NOT NULL) "
        f"AS {name}_parts"
        for name in messages
    ]
    merged = [f"coalesce(s.{name}, d.{name}) AS {name}" for name in latest]
    merged += [
        f"coalesce(s.{name}, d.{name}, to_json(flatten(list_transform(list_sort(list_distinct(d.{name}_parts)), "
        f"lambda part: from_json(part.m, '[\"JSON\"]'))))) AS {name}"
        for name in messages
    ]
    if only is None or "attributes" in only:
        found.append(
            f"coalesce(arg_max(attributes, time_ns) FILTER ({whole}), arg_max(attributes, time_ns)) AS attributes"
        )
        merged.append(
            "CASE WHEN d.attributes IS NULL THEN s.attributes WHEN s.attributes IS NULL THEN d.attributes "
            "ELSE json_merge_patch(d.attributes, s.attributes) END AS attributes"
        )
    if not merged:
        return f"SELECT * FROM {spans}"
    added = f"SELECT trace_id, span_id, {', '.join(found)} FROM {details} GROUP BY trace_id, span_id"
    return f"""SELECT s.* REPLACE ({", ".join(merged)}) FROM {spans} AS s LEFT JOIN ({added}) AS d
ON s.trace_id = d.trace_id AND s.span_id = d.span_id"""
