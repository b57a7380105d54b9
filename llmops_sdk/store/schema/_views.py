"""The views and the schema's version: the door to the schema for the rest of the SDK.

`SCHEMA_VERSION` goes up with each new stored column and with each change that an older reader would misread.
"""

from __future__ import annotations

from llmops_sdk.store.schema._event_views import EVENT_VIEWS
from llmops_sdk.store.schema._message_view import MESSAGES_VIEW
from llmops_sdk.store.schema._record_streams import RECORD_STREAMS, SEAL, stream_name
from llmops_sdk.store.schema._span_columns import SPAN_COLUMNS
from llmops_sdk.store.schema._span_views import CALLS_VIEW, SESSIONS_VIEW, SHOWN, SPANS_VIEW, TRACES_VIEW
from llmops_sdk.store.schema._types import Column, RecordStream, StoredColumn, View
from llmops_sdk.store.schema._view_traffic import ROUTES_VIEW, TRAFFIC_VIEW
from llmops_sdk.store.schema.evaluation._datasets import DATASET_VIEWS

__all__ = [
    "RECORD_STREAMS",
    "SCHEMA_VERSION",
    "SEAL",
    "SHOWN",
    "SPAN_COLUMNS",
    "VIEWS",
    "Column",
    "RecordStream",
    "StoredColumn",
    "View",
    "stream_name",
]

SCHEMA_VERSION = 7

VIEWS: list[View] = [
    SPANS_VIEW,
    TRACES_VIEW,
    SESSIONS_VIEW,
    CALLS_VIEW,
    *EVENT_VIEWS,
    TRAFFIC_VIEW,
    ROUTES_VIEW,
    MESSAGES_VIEW,
    *(stream.view for stream in RECORD_STREAMS.values() if stream.view is not None),
    *DATASET_VIEWS,
]
