"""Columns that several views share."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_sdk.store.schema._span_columns import SPAN_COLUMNS
from llmops_sdk.store.schema._types import Column, StoredColumn

__all__ = ["DURATION", "IDS", "START_TIME", "TIME", "view_columns"]

START_TIME = Column("start_time", "TIMESTAMP", "When it began, in UTC.")
TIME = Column("time", "TIMESTAMP", "When, in UTC.")
DURATION = Column("duration_ms", "DOUBLE", "How long it took.", "ms")
_WEIGHT = Column(
    "weight",
    "DOUBLE",
    "How many spans it stands for: 1, or more of an old trace of which `[store.thinning]` keeps a share.",
)


def view_columns(names: str, stored: Sequence[StoredColumn] = SPAN_COLUMNS) -> tuple[Column, ...]:
    """Return view columns by name, with the type and the meaning of the stored columns.

    Args:
        names: The names, separated by spaces.
        stored: The stored columns.
    """
    known = {column.name: Column(column.name, column.type, column.doc, column.unit) for column in stored}
    known |= {column.name: column for column in (START_TIME, DURATION, _WEIGHT)}
    return tuple(known[name] for name in names.split())


IDS = view_columns("trace_id span_id")
