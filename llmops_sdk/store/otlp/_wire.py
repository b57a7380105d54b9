"""The output of both OTLP readers: spans and log records from the wire, with plain Python values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from llmops_sdk.tracing.records._records import Event, Link

__all__ = [
    "LATEST",
    "MAX_DEPTH",
    "Group",
    "MalformedError",
    "Reader",
    "WireLog",
    "WireSpan",
    "checked_id",
    "checked_time",
]

MAX_DEPTH = 32
"""Levels of lists and mappings in one attribute. Deeper values become "…" and are counted."""
LATEST = 2**63 - 1
"""Nanoseconds: the year 2262, the last that fits into 64 bits."""


class MalformedError(ValueError):
    """A part of a request that cannot be read. The message says which and why."""


@dataclass(slots=True, kw_only=True)
class WireSpan:
    """A span from the wire. Ids are not 0, except the `parent_id` of a root. Times fit their columns."""

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: list[Event]
    links: list[Link]
    status: int
    message: str | None
    """None if there is no message and the encoding can tell."""


@dataclass(slots=True, kw_only=True)
class WireLog:
    """The fields of a log record that a score or the details of a span need. A missing id is 0."""

    trace_id: int
    span_id: int
    time_ns: int
    event: str
    attributes: dict[str, Any]
    body: Any = None


class Group(NamedTuple):
    """The spans or log records of one library in one process."""

    where: str
    resource: Mapping[str, Any]
    scope: str
    items: Sequence[Any]


class Reader(Protocol):
    """A reader of one encoding."""

    losses: Counter[tuple[str, str]]
    """Losses while reading."""

    def spans(self, body: bytes) -> Iterator[Group]:
        """Yield the groups of a traces request; raise MalformedError."""
        ...

    def logs(self, body: bytes) -> Iterator[Group]:
        """Yield the groups of a logs request; raise MalformedError."""
        ...

    def span(self, item: Any) -> WireSpan:
        """Read one item of a group; raise MalformedError."""
        ...

    def log(self, item: Any) -> WireLog:
        """Read one item of a group; raise MalformedError."""
        ...


def checked_id(number: int, what: str) -> int:
    """Return the id if it is not 0."""
    if number == 0:
        raise MalformedError(f"{what} is missing or all zeros")
    return number


def checked_time(number: int, what: str) -> int:
    """Return the time if it fits its column."""
    if not 0 <= number <= LATEST:
        raise MalformedError(f"{what} {number} is not a time between 1970 and 2262 in nanoseconds")
    return number
