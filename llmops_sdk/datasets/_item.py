"""One item of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from llmops_sdk._util._public import public
from llmops_sdk.datasets._values import digest, encode
from llmops_sdk.store.datasets._versions import version_of_lines

__all__ = ["Item", "item_from_line", "item_line", "version_of"]


@public("llmops_sdk.datasets")
@dataclass(frozen=True, slots=True)
class Item:
    """One item of a data set. Its values are plain JSON; treat them as read-only.

    Attributes:
        id: Its id, unique in the data set; by default the first 16 hex digits of the digest of input and expected.
        input: What the task gets.
        expected: What the task should return, or None.
        metadata: The further columns.
        source_trace_id: The trace that it comes from, or None.
    """

    id: str
    input: Any
    expected: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source_trace_id: str | None = None

    @property
    def digest(self) -> str:
        """Return the SHA-256 of input, expected and metadata, in hex; equal for equal content.

        Example:
            >>> Item("a", "2 + 2").digest == Item("b", "2 + 2").digest
            True
        """
        return digest([self.input, self.expected, self.metadata])


def item_line(item: Item) -> bytes:
    """Return an item as the line of JSON that its version is the digest of.

    Args:
        item: The item.
    """
    return encode(
        {
            "expected": item.expected,
            "id": item.id,
            "input": item.input,
            "metadata": item.metadata,
            "source_trace_id": item.source_trace_id,
        }
    )


def item_from_line(line: bytes) -> Item | None:
    """Return the item of a stored line; None for an erased one.

    Args:
        line: The line.

    Raises:
        ValueError: It is no line of an item.
        TypeError: As `ValueError`.
        KeyError: As `ValueError`.
    """
    row = orjson.loads(line)
    if row.get("erased") is True:
        return None
    trace = row["source_trace_id"]
    if not isinstance(row["id"], str) or not isinstance(row["metadata"], dict) or not isinstance(trace, str | None):
        raise ValueError("a column has another type")  # noqa: TRY004 - bad content, not a wrong argument
    return Item(row["id"], row["input"], row["expected"], row["metadata"], trace)


def version_of(items: Iterable[Item]) -> str:
    """Return the version of some items, in whatever order: the SHA-256 of the sorted digests of their lines.

    Args:
        items: The items.
    """
    return version_of_lines(map(item_line, items))
