"""A span that was stored before: every column comes back as it was, whatever else its attributes say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.store.lines._promote import KNOWN, plain_value
from llmops_sdk.tracing.records._records import RecordedSpan

__all__ = ["KEPT", "RestoredSpan", "kept_name", "promote_restored"]

KEPT = "llmops.export.kept."
"""Stands before an attribute that has the name of a column's and did not become it."""


class RestoredSpan(RecordedSpan):
    """A row as a record. An attribute in force is the column; no other vocabulary fills one again."""

    __slots__ = ()


def kept_name(name: str) -> str:
    """The name of an attribute that stood beside the columns."""
    known = KNOWN.get(name)
    return KEPT + name if known is not None and known[2] == 0 else name


def promote_restored(row: dict[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the columns of `row`; the rest is returned, in its order."""
    rest: dict[str, Any] = {}
    for name, value in attributes.items():
        column, convert, rank = KNOWN.get(name, ("", None, 1))
        converted = convert(value) if convert is not None and rank == 0 else None
        if converted is None:
            rest[name.removeprefix(KEPT)] = plain_value(value)
        else:
            row[column] = converted
    return rest
