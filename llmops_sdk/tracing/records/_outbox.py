"""Declare what the exporters need from the store, so that unsent spans need no memory.

The store's segments are the outbox. While a destination is configured, the store keeps each segment under a second name
until the destination acknowledges it, even if the store itself removes the segment. The next process adopts the
segments of a dead one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from llmops_sdk.tracing.records._records import SpanRecord

__all__ = ["Outbox", "OutboxOwner", "OutboxUser", "Piece", "Position"]


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a segment: its file name and a byte offset."""

    segment: str
    offset: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive spans of a segment, and the position after them."""

    records: Sequence[SpanRecord]
    end: Position


class Outbox(Protocol):
    """The spans that one destination has not acknowledged."""

    def position(self) -> Position | None:
        """Return the end of this process's latest batch, or None if the store does not keep it for the destination."""
        ...

    def acknowledge(self, position: Position) -> None:
        """Record that the destination has all spans of the segment's process up to here."""
        ...

    def read(self, after: Position | None, until: Position, most: int) -> Piece | None:
        """Return about `most` bytes of this process's next spans, or None at `until`."""
        ...

    def adopt(self) -> Position | None:
        """Claim a dead process's oldest segment; return where to continue, or None if there is none to claim."""
        ...

    def read_adopted(self, after: Position, most: int) -> Piece | None:
        """Return the next spans of an adopted segment, or None at its end."""
        ...

    def release(self) -> None:
        """Let other processes adopt."""
        ...


@runtime_checkable
class OutboxOwner(Protocol):
    """A sink that keeps outboxes: the store."""

    @property
    def outboxes(self) -> Mapping[str, Outbox]:
        """Return the outboxes by the destination's name."""
        ...


@runtime_checkable
class OutboxUser(Protocol):
    """A sink that sends the spans of outboxes."""

    def use_outboxes(self, outboxes: Mapping[str, Outbox]) -> None:
        """Send from these outboxes from now on; called once, before the first batch."""
        ...
