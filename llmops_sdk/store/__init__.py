"""The local store: spans written as lines, read with SQL. Nothing here imports DuckDB until a query is made."""

from __future__ import annotations

from llmops_sdk.store._compacting import Compacted, compact
from llmops_sdk.store._export import Exported, export
from llmops_sdk.store._info import StoreInfo, info
from llmops_sdk.store._prune import Pruned, prune
from llmops_sdk.store._reader import aquery, connect, query
from llmops_sdk.store._result import Result
from llmops_sdk.store._sink import StoreSink, open_sink
from llmops_sdk.store._snapshot import Snapshot, snapshot

__all__ = [
    "Compacted",
    "Exported",
    "Pruned",
    "Result",
    "Snapshot",
    "StoreInfo",
    "StoreSink",
    "aquery",
    "compact",
    "connect",
    "export",
    "info",
    "open_sink",
    "prune",
    "query",
    "snapshot",
]
