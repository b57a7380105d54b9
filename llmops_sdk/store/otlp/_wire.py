"""What the two readers of OTLP give alike: a span as it came over the wire, with plain Python values."""

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
"""Levels of lists and mappings in one attribute; what is deeper becomes "…", and is counted."""
LATEST = 2**63 - 1
"""Nanoseconds: the year 2262, the last that a column of 64 bits holds."""


class MalformedError(ValueError):
    """A piece of a request that cannot be read; the text says which and why."""


@dataclass(slots=True, kw_only=True)
class WireSpan:
    """A span as it came. Ids are ints and not 0, but for `parent_id` of a root; times are within the columns' range."""

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
    """None where there is none, if the encoding can tell."""


@dataclass(slots=True, kw_only=True)
class WireLog:
    """A log record, as far as a score needs it. Ids are 0 where there is none."""

    trace_id: int
    span_id: int
    time_ns: int
    event: str
    attributes: dict[str, Any]


class Group(NamedTuple):
    """The spans, or the log records, that one library made in one process."""

    where: str
    resource: Mapping[str, Any]
    scope: str
    items: Sequence[Any]


class Reader(Protocol):
    """One of the two encodings."""

    losses: Counter[tuple[str, str]]
    """What was cut while reading."""

    def spans(self, body: bytes) -> Iterator[Group]:
        """The groups of a request for traces; raises MalformedError."""
        ...

    def logs(self, body: bytes) -> Iterator[Group]:
        """The groups of a request for logs; raises MalformedError."""
        ...

    def span(self, item: Any) -> WireSpan:
        """One item of a group; raises MalformedError."""
        ...

    def log(self, item: Any) -> WireLog:
        """One item of a group; raises MalformedError."""
        ...


def checked_id(number: int, what: str) -> int:
    """An id that is one."""
    if number == 0:
        raise MalformedError(f"{what} is missing or all zeros")
    return number


def checked_time(number: int, what: str) -> int:
    """A time that a column holds."""
    if not 0 <= number <= LATEST:
        raise MalformedError(f"{what} {number} is no time between 1970 and 2262 in nanoseconds")
    return number
