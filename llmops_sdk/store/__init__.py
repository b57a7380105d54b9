"""The local store: spans written as lines, read with SQL. Nothing here imports DuckDB until a query is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_sdk.store._info import StoreInfo, info
from llmops_sdk.store._reader import aquery, connect, query
from llmops_sdk.store._result import Result
from llmops_sdk.store._sink import StoreSink, open_sink

if TYPE_CHECKING:
    from llmops_sdk.store._compacting import Compacted, compact
    from llmops_sdk.store._export import Exported, export
    from llmops_sdk.store._import import Imported, import_file
    from llmops_sdk.store._otlp_decode import OtlpDecodeError
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

# This package is loaded by the first traced call, which has no use for these.
_LATER = {
    "Compacted": "_compacting",
    "Exported": "_export",
    "Imported": "_import",
    "OtlpDecodeError": "_otlp_decode",
    "Pruned": "_prune",
    "Replayed": "_replay",
    "Snapshot": "_snapshot",
    "compact": "_compacting",
    "discard": "_replay",
    "export": "_export",
    "import_file": "_import",
    "prune": "_prune",
    "replay": "_replay",
    "snapshot": "_snapshot",
}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
