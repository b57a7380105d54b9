"""What the semantic tier stores, and the interface of a store of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["LabelCounts", "NewEntry", "RecentLabel", "Removed", "SemanticBackend", "StoredEntry"]


class StoredEntry(NamedTuple):
    """A question whose answer is stored, without the answer.

    Attributes:
        id: Its number; later entries have higher ones.
        group: The number of the first entry with the same answer.
        text: The question.
        earlier: What was said before as JSON, a list of [role, text]; "" where that is in the scope.
        vector: Its vector as little-endian 32-bit floats.
        stored_at: Seconds since the epoch.
        expires_at: Seconds since the epoch, or None for no limit.
    """

    id: int
    group: int
    text: str
    earlier: str
    vector: bytes
    stored_at: float
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """A question to store with its answer; `group` is None for an answer that is not known to equal another."""

    scope: str
    text: str
    earlier: str
    vector: bytes
    value: bytes
    group: int | None
    tags: tuple[str, ...]
    stored_at: float
    expires_at: float | None


class Removed(NamedTuple):
    """Entries that were removed.

    Attributes:
        position: The position in the log of removals, to pass as `after` the next time.
        entries: Their ids, or None where the log does not reach back so far: load all entries anew.
    """

    position: int
    entries: list[int] | None


class LabelCounts(NamedTuple):
    """How many labels of a kind there are in one band of scores."""

    epoch: int
    band: int
    right: int
    wrong: int
    audited_right: int
    audited_wrong: int


class RecentLabel(NamedTuple):
    """One label: its band, whether the answer was right, and whether it was served."""

    band: int
    right: bool
    audit: bool


class SemanticBackend(Protocol):
    """Questions with their vectors and answers by scope, and the counts of labels, shared by threads or processes.

    The rules of `CacheBackend` hold: cheap to make, bounded waits, failures as `BackendError`, a new one after a fork.

    Attributes:
        place: What identifies the store in this process.
        workers: How many threads call it.
    """

    place: str
    workers: int

    def removed(self, after: int | None) -> Removed:
        """Return the entries removed since a position; `entries` is None where they are not known any more."""
        ...

    def entries(self, scope: str, after: int, limit: int) -> list[StoredEntry]:
        """Return the entries of a scope above an id, in order of their ids."""
        ...

    def value(self, entry: int, now: float) -> tuple[bytes, float] | None:
        """Return the answer of a valid entry and when it was stored, and note its use; None if it is gone."""
        ...

    def insert(self, entry: NewEntry) -> int:
        """Store an entry and return its id."""
        ...

    def delete(self, entries: Sequence[int]) -> int:
        """Remove entries, and return how many there were."""
        ...

    def delete_scope(self, scope: str) -> int:
        """Remove the entries of a scope, and return how many there were."""
        ...

    def delete_tag(self, tag: str) -> int:
        """Remove the entries that have a tag, and return how many there were."""
        ...

    def clear(self) -> int:
        """Remove every entry and every count of labels, and return how many entries there were."""
        ...

    def size(self) -> tuple[int, int]:
        """Return the number of entries, and the bytes that the store takes."""
        ...

    def labels(self, kind: str) -> list[LabelCounts]:
        """Return the counts of a kind of labels in its latest epoch."""
        ...

    def add_label(self, kind: str, band: int, *, right: bool, audit: bool, pair: bytes) -> bool:
        """Count a label in the latest epoch, and return whether it counts: each pair does so once each way.

        Args:
            kind: The kind of labels.
            band: The band of its score.
            right: Whether the stored answer was right.
            audit: Whether it was served.
            pair: What identifies the two questions, at most 64 bytes. Some 65,000 are remembered.
        """
        ...

    def recent_labels(self, kind: str, limit: int) -> list[RecentLabel]:
        """Return the latest labels of the latest epoch, the oldest first."""
        ...

    def end_epoch(self, kind: str, epoch: int) -> None:
        """Begin to count anew, if `epoch` is still the latest."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
