"""The views `datasets` and `dataset_items`, over the files of `llmops_sdk.store.datasets`."""

from __future__ import annotations

from llmops_sdk.store.schema._shared_columns import TIME
from llmops_sdk.store.schema._types import Column, View

__all__ = ["DATASET_VIEWS"]

_LATEST = Column("latest", "BOOLEAN", "Whether it is the version of this name that was saved last.")
_DATASETS = (
    Column("name", "VARCHAR", "The data set's name."),
    Column("version", "VARCHAR", "The digest of its items: 64 hex digits, of which the first 12 are shown elsewhere."),
    TIME,
    Column("items", "BIGINT", "The number of items that it has."),
    Column("erased", "BIGINT", "The number of items that `llmops prune` erased from it."),
    _LATEST,
    Column("source", "VARCHAR", "Where its items come from: rows, file, query or split."),
    Column("detail", "VARCHAR", "The name of the file, the SQL, or the version that was split."),
    Column("bytes", "BIGINT", "The size of its file.", "bytes"),
)
_ITEMS = (
    Column("dataset", "VARCHAR", "The data set's name."),
    Column("version", "VARCHAR", "The data set's version."),
    _LATEST,
    Column("item_id", "VARCHAR", "The item's id, unique in its version."),
    Column("input", "JSON", "What the task gets; a text is a JSON string."),
    Column("expected", "JSON", "What the task should return; NULL when nothing is expected."),
    Column("metadata", "JSON", "The other columns, as one JSON object."),
    Column("source_trace_id", "VARCHAR", "The trace that it comes from; NULL for other sources."),
    Column("session_id", "VARCHAR", "The session in its metadata."),
    Column("user_id", "VARCHAR", "The user in its metadata."),
)
_LAST = "row_number() OVER (PARTITION BY name ORDER BY time_ns DESC, version) = 1"
_DATASETS_SQL = f"""SELECT name, version, make_timestamp(time_ns // 1000) AS time, items, erased, {_LAST} AS latest,
    source, detail, bytes
FROM store.datasets"""  # noqa: S608 - constants
_ITEMS_SQL = f"""SELECT dataset, version, latest, item_id, input, expected, metadata, source_trace_id,
    metadata->>'$.session_id' AS session_id, metadata->>'$.user_id' AS user_id
FROM store.dataset_items JOIN (
    SELECT name AS dataset, version, {_LAST} AS latest FROM store.datasets) USING (dataset, version)"""  # noqa: S608 - constants

DATASET_VIEWS = (
    View(
        "datasets",
        "Every saved version of every data set.",
        _DATASETS,
        _DATASETS_SQL,
        "SELECT name, version[:12] AS version, items, erased FROM datasets WHERE latest ORDER BY name",
        "name version time items erased latest source",
        exported=False,
    ),
    View(
        "dataset_items",
        "Every item of every saved version.",
        _ITEMS,
        _ITEMS_SQL,
        "SELECT item_id, input, expected FROM dataset_items WHERE dataset = 'support' AND latest",
        "dataset version latest item_id input expected metadata source_trace_id",
        exported=False,
    ),
)
