"""The local store: spans written as lines, read with SQL. Nothing here imports DuckDB until a query is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk._util._lazy import lazy_names
from llmops_sdk.errors import OtlpDecodeError
from llmops_sdk.store._info import StoreInfo, info
from llmops_sdk.store._reader import aquery, connect, query
from llmops_sdk.store._result import Result
from llmops_sdk.store._sink import StoreSink, open_sink

if TYPE_CHECKING:
    from llmops_sdk.store._compacting import Compacted, compact
    from llmops_sdk.store._export import Exported, export
    from llmops_sdk.store._import import Imported, import_file
    from llmops_sdk.store._prune import Pruned, prune
    from llmops_sdk.store._replay import Replayed, discard, replay
    from llmops_sdk.store._snapshot import Snapshot, snapshot

__all__ = [
    "Compacted",
    "Exported",
    "Imported",
    "OtlpDecodeError",
    "Pruned",
    "Replayed",
    "Result",
    "Snapshot",
    "StoreInfo",
    "StoreSink",
    "aquery",
    "compact",
    "connect",
    "discard",
    "export",
    "import_file",
    "info",
    "open_sink",
    "prune",
    "query",
    "replay",
    "snapshot",
]

# The first traced call loads this package; it does not need these.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_compacting": "Compacted compact",
        "_export": "Exported export",
        "_import": "Imported import_file",
        "_prune": "Pruned prune",
        "_replay": "Replayed discard replay",
        "_snapshot": "Snapshot snapshot",
    },
)
