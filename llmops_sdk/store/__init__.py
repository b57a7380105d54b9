"""The local store: write records as lines, compact them to Parquet, read them with SQL.

Doors for other packages: `_online_lock`, `_own_traces`, `_record_writer`, `_sink`.
"""

from __future__ import annotations

from llmops_sdk._lazy import lazy_names
from llmops_sdk.errors import OtlpDecodeError

TYPE_CHECKING = False  # as in `_lazy`
if TYPE_CHECKING:
    from llmops_sdk.store._sink import StoreSink, open_sink
    from llmops_sdk.store.exchange._export import Exported, export
    from llmops_sdk.store.exchange._import import Imported, import_file
    from llmops_sdk.store.exchange._snapshot import Snapshot, snapshot
    from llmops_sdk.store.files._info import StoreInfo, info
    from llmops_sdk.store.maintenance._compact_now import Compacted, compact
    from llmops_sdk.store.maintenance._prune import Pruned, prune
    from llmops_sdk.store.maintenance._reprice import Repriced, reprice
    from llmops_sdk.store.outbox._replay import Replayed, discard, replay
    from llmops_sdk.store.reading._query import aquery, connect, query
    from llmops_sdk.store.reading._result import Result

__all__ = [
    "Compacted",
    "Exported",
    "Imported",
    "OtlpDecodeError",
    "Pruned",
    "Replayed",
    "Repriced",
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
    "reprice",
    "snapshot",
]

# The first traced call loads the sink alone, and a query loads no sink.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_sink": "StoreSink open_sink",
        "exchange._export": "Exported export",
        "exchange._import": "Imported import_file",
        "exchange._snapshot": "Snapshot snapshot",
        "files._info": "StoreInfo info",
        "maintenance._compact_now": "Compacted compact",
        "maintenance._prune": "Pruned prune",
        "maintenance._reprice": "Repriced reprice",
        "outbox._replay": "Replayed discard replay",
        "reading._query": "aquery connect query",
        "reading._result": "Result",
    },
)
