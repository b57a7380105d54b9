"""The table of record streams: everything that the store writes.

To add a stream, write a module like `_scores` and add its entry here. Writing, queries, compaction, export, import,
snapshots and prune then take it along.
"""

from __future__ import annotations

from llmops_sdk.store.schema._details import DETAILS
from llmops_sdk.store.schema._losses import LOSSES
from llmops_sdk.store.schema._scores import SCORES
from llmops_sdk.store.schema._span_views import SPANS
from llmops_sdk.store.schema._types import RecordStream, StoredColumn
from llmops_sdk.store.schema.evaluation._experiments import EXPERIMENT_STREAMS
from llmops_sdk.store.schema.monitoring._alerts import ALERTS
from llmops_sdk.store.schema.monitoring._drift import DRIFT_STREAMS

__all__ = ["RECORD_STREAMS", "SEAL", "stream_name"]

RECORD_STREAMS: dict[str, RecordStream] = {
    stream.name: stream for stream in (SCORES, DETAILS, *EXPERIMENT_STREAMS, *DRIFT_STREAMS, ALERTS, SPANS, LOSSES)
}
"""By name, in the order in which an import moves them into the store: a cut-off import can be repeated if records that
refer to spans come before the spans, and losses last."""


def stream_name(record: object) -> str:
    """Return the name of the stream that a record belongs to."""
    return next((one.name for one in RECORD_STREAMS.values() if one.record_type is type(record)), "spans")


SEAL = StoredColumn("seal", "BIGINT", "On the last line of a properly closed segment: the number of lines before it.")
