"""The stream and the view `losses`."""

from __future__ import annotations

from llmops_sdk.store.schema._shared_columns import view_columns
from llmops_sdk.store.schema._types import Column, RecordStream, StoredColumn, View
from llmops_sdk.tracing.records._records import LossRecord

__all__ = ["LOSSES"]

_COLUMNS = (
    StoredColumn("time_ns", "BIGINT", "When, since the epoch.", "ns"),
    StoredColumn(
        "what", "VARCHAR", "What was lost: span, input, output, attribute, text, segment, line, …", default=""
    ),
    StoredColumn(
        "reason",
        "VARCHAR",
        "Why: queue_full, too_large, retention, max_bytes, …; of a redacted text, what it was.",
        default="",
    ),
    StoredColumn("count", "BIGINT", "How many (of a segment: the spans in it).", default=0),
    StoredColumn("bytes", "BIGINT", "How large they were.", "bytes", default=0),
)

_SQL = """SELECT make_timestamp(time_ns // 1000) AS time, what, reason, count, bytes FROM store.losses
UNION ALL
SELECT NULL, 'line', 'unreadable', lines, NULL FROM store.unreadable WHERE lines > 0"""

LOSSES = RecordStream(
    name="losses",
    columns=_COLUMNS,
    segment_folder="losses",
    parquet_folder="losses",
    required="what",
    identifying=("what", "count"),
    same_record="md5(to_json({a: time_ns // 1000, b: what, c: reason, d: count, e: bytes})::VARCHAR)",
    record_type=LossRecord,
    pruned_by="nothing",  # counts, without content
    view=View(
        "losses",
        "What was dropped, truncated, redacted or cannot be read, and why.",
        (
            Column("time", "TIMESTAMP", "When, in UTC; NULL for lines that cannot be read."),
            *view_columns("what reason count bytes", _COLUMNS),
        ),
        _SQL,
        "SELECT what, reason, sum(count), sum(bytes) FROM losses GROUP BY ALL",
        "time what reason count bytes",
    ),
)
