"""The local store: spans written as lines, read with SQL. Nothing here imports DuckDB until a query is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_sdk.store._compacting import Compacted, compact
from llmops_sdk.store._export import Exported, export
from llmops_sdk.store._info import StoreInfo, info
from llmops_sdk.store._prune import Pruned, prune
from llmops_sdk.store._reader import aquery, connect, query
from llmops_sdk.store._result import Result
from llmops_sdk.store._sink import StoreSink, open_sink
from llmops_sdk.store._snapshot import Snapshot, snapshot

if TYPE_CHECKING:
    from llmops_sdk.store._import import Imported, import_file
    from llmops_sdk.store._otlp_decode import OtlpDecodeError

__all__ = [
    "Compacted",
    "Exported",
    "Imported",
    "OtlpDecodeError",
    "Pruned",
    "Result",
    "Snapshot",
    "StoreInfo",
    "StoreSink",
    "aquery",
    "compact",
    "connect",
    "export",
    "import_file",
    "info",
    "open_sink",
    "prune",
    "query",
    "snapshot",
]

# This package is loaded by the first traced call, which has no use for these.
_LATER = {"Imported": "_import", "OtlpDecodeError": "_otlp_decode", "import_file": "_import"}


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)
