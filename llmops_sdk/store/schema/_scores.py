"""The stream and the view `scores`."""

from __future__ import annotations

from llmops_sdk.store.schema._shared_columns import TIME, view_columns
from llmops_sdk.store.schema._types import Column, RecordStream, StoredColumn, View
from llmops_sdk.tracing.records._records import ScoreRecord

__all__ = ["SCORES"]

_COLUMNS = (
    StoredColumn("trace_id", "VARCHAR", "The trace it is about."),
    StoredColumn("span_id", "VARCHAR", "The span it is about; NULL for a whole trace or session."),
    StoredColumn("name", "VARCHAR", "What was judged, as in `helpful`.", default=""),
    StoredColumn("value", "DOUBLE", "The number; 1 and 0 for true and false; NULL for a label alone."),
    StoredColumn("label", "VARCHAR", "The label."),
    StoredColumn("comment", "VARCHAR", "The comment."),
    StoredColumn("source", "VARCHAR", "Who judged: user, or an evaluator's name.", default=""),
    StoredColumn("session_id", "VARCHAR", "The session it is about; NULL for another target.", since=2),
    StoredColumn("document_id", "VARCHAR", "The document of the span it is about; NULL for another target.", since=2),
    StoredColumn("time_ns", "BIGINT", "When, since the epoch.", "ns"),
)

# The latest score wins: the user changes a score by giving it again. Who takes a score back on the local page writes a
# record without a value. Other programs report results without a value, which are shown.
_SQL = """SELECT trace_id, span_id, name, value, label, comment, source, make_timestamp(time_ns // 1000) AS time,
    session_id, document_id,
    CASE WHEN session_id IS NOT NULL THEN 'session' WHEN document_id IS NOT NULL THEN 'document'
         WHEN span_id IS NOT NULL THEN 'span' ELSE 'trace' END AS target
FROM store.scores
QUALIFY row_number() OVER (
    PARTITION BY coalesce(span_id, trace_id), session_id, document_id, name, source ORDER BY time_ns DESC) = 1
    AND (value IS NOT NULL OR label IS NOT NULL OR comment IS NOT NULL OR coalesce(source, '') NOT LIKE 'ui:%')"""

SCORES = RecordStream(
    name="scores",
    columns=_COLUMNS,
    segment_folder="scores",
    parquet_folder="scores",
    required="name",
    identifying=("name", "source"),
    same_record="md5(to_json({a: trace_id, b: span_id, c: name, d: source, e: value, f: label, g: comment, "
    "h: time_ns // 1000, i: session_id, j: document_id})::VARCHAR)",
    record_type=ScoreRecord,
    pruned_by="target",
    view=View(
        "scores",
        "The latest score by target, name and source.",
        (
            *view_columns("trace_id span_id name value label comment source", _COLUMNS),
            TIME,
            *view_columns("session_id document_id", _COLUMNS),
            Column("target", "VARCHAR", "What it is about: span, trace, session or document."),
        ),
        _SQL,
        "SELECT c.model, s.name, avg(s.value) FROM scores s JOIN llm_calls c USING (span_id) GROUP BY ALL",
        "trace_id span_id name value label comment source time session_id document_id target",
    ),
)
