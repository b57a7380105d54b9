"""Spans that were stored before: every column comes back unchanged, whatever the attributes say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.store.lines._promote import KNOWN, plain_value
from llmops_sdk.tracing.records._records import RecordedSpan

__all__ = ["SHADOWED", "RestoredSpan", "promote_restored", "shadowed_name"]

SHADOWED = "llmops.export.kept."
"""Prefix of an attribute that has the name of a column's attribute but did not fill the column."""


class RestoredSpan(RecordedSpan):
    """A span from an exported row. Only attributes with current names fill columns, not those of older vocabularies."""

    __slots__ = ()


def shadowed_name(name: str) -> str:
    """Return the name under which an attribute beside the columns stays apart from them."""
    known = KNOWN.get(name)
    return SHADOWED + name if known is not None and known[2] == 0 else name


def promote_restored(row: dict[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the columns of `row` and return the other attributes, in their order."""
    rest: dict[str, Any] = {}
    for name, value in attributes.items():
        column, convert, rank = KNOWN.get(name, ("", None, 1))
        converted = convert(value) if convert is not None and rank == 0 else None
        if converted is None:
            rest[name.removeprefix(SHADOWED)] = plain_value(value)
        else:
            row[column] = converted
    return rest
