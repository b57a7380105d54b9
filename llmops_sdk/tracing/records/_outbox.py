"""What the exporting side needs of the store: where it wrote what, so that nothing has to be kept in memory.

The store's segments are the outbox. One that is written while a destination is configured is kept for it under another
name until it is acknowledged, whatever becomes of it in the store; a dead process's is adopted by the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from llmops_sdk.tracing.records._records import SpanRecord

__all__ = ["Outbox", "OutboxOwner", "OutboxUser", "Piece", "Position"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a segment: its name, and how many of its bytes are before it."""

    segment: str
    offset: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Some spans of a segment, and where they end."""

    records: Sequence[SpanRecord]
    end: Position


class Outbox(Protocol):
    """One destination's."""

    def position(self) -> Position | None:
        """Where this process's latest batch ends, or None where it is not kept for the destination."""
        ...

    def acknowledge(self, position: Position) -> None:
        """The destination has everything of the segment's process up to here."""
        ...

    def read(self, after: Position | None, until: Position, most: int) -> Piece | None:
        """The next spans of this process, some `most` bytes of them, or None when all before `until` are read."""
        ...

    def adopt(self) -> Position | None:
        """Where the oldest segment of a dead process goes on, or None where there is none, or another adopts."""
        ...

    def read_adopted(self, after: Position, most: int) -> Piece | None:
        """The next spans of an adopted segment, or None at its end."""
        ...

    def release(self) -> None:
        """Let others adopt."""
        ...


@runtime_checkable
class OutboxOwner(Protocol):
    """A sink that keeps outboxes: the store."""

    @property
    def outboxes(self) -> Mapping[str, Outbox]:
        """By the destination's name."""
        ...


@runtime_checkable
class OutboxUser(Protocol):
    """A sink that sends what is in them."""

    def use_outboxes(self, outboxes: Mapping[str, Outbox]) -> None:
        """Rely on them from now on; called once, before the first batch."""
        ...
