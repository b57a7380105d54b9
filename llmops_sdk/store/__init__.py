"""The local store: spans written as lines, read with SQL. Nothing here imports DuckDB until a query is made."""

from __future__ import annotations

from llmops_sdk.store._export import Exported, export
from llmops_sdk.store._info import StoreInfo, info
from llmops_sdk.store._reader import aquery, connect, query
from llmops_sdk.store._result import Result
from llmops_sdk.store._sink import StoreSink, open_sink

__all__ = ["Exported", "Result", "StoreInfo", "StoreSink", "aquery", "connect", "export", "info", "open_sink", "query"]
