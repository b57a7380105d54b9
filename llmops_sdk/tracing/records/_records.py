"""Define the records of the pipeline, the sink protocol, and the pipeline's bounds and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import orjson

from llmops_sdk._util._public import public

__all__ = [
    "SCOPE",
    "Event",
    "FlushReport",
    "Json",
    "Link",
    "LossRecord",
    "PipelineBounds",
    "Record",
    "Recordable",
    "RecordedSpan",
    "ScoreRecord",
    "Sink",
    "SpanDetails",
    "SpanRecord",
    "Stamp",
    "is_json",
]

SCOPE = "llmops_sdk"
"""The instrumentation's name on our own spans."""


class Json(bytes):
    """JSON in UTF-8 that this SDK encoded: sinks write it unchanged. Other `bytes` are binary content."""

    __slots__ = ()


def is_json(raw: bytes) -> bool:
    """Return whether the bytes are one JSON value."""
    try:
        orjson.loads(memoryview(raw))
    except orjson.JSONDecodeError:
        return False
    return True


Event: TypeAlias = tuple[str, int, Mapping[str, Any]]
"""Name, nanoseconds since the epoch, attributes."""

Link: TypeAlias = tuple[int, int, Mapping[str, Any]]
"""Trace id, span id, attributes."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The fields that `llmops.context` sets on all spans below it; immutable and shared by them."""

    session_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    prompt_name: str | None = None
    prompt_version: str | None = None


class SpanRecord(Protocol):
    """An ended span, as sinks read it; it no longer changes.

    Ids are ints (128 and 64 bits), `parent_id` 0 for a root. `input` and `output` are strict JSON in UTF-8, or None.
    `attributes` has the values that OpenTelemetry allows (str, bool, int, float, lists of one of them), and `Json`
    for what is structured (messages, mappings) and for binary content. `status` is "ok", "error", "cancelled",
    "closed" or "unset".
    """

    name: str
    kind: str
    trace_id: int
    span_id: int
    parent_id: int
    start_ns: int
    duration_ns: int
    status: str
    status_message: str | None
    error_type: str | None
    input: bytes | None
    output: bytes | None
    attributes: Mapping[str, Any] | None
    events: Sequence[Event] | None
    links: Sequence[Link] | None
    stamp: Stamp | None
    otel_kind: str
    """"internal", "client", "server", "producer" or "consumer"."""
    scope: str
    """The instrumentation's name: "llmops_sdk" for our own spans."""
    resource: Mapping[str, Any]
    """The resource's attributes, including `service.name`."""


@dataclass(slots=True, kw_only=True)
class RecordedSpan:
    """A `SpanRecord` of our own span or another library's, made on the pipeline's thread."""

    name: str
    kind: str
    trace_id: int
    span_id: int
    parent_id: int = 0
    start_ns: int
    duration_ns: int
    status: str
    status_message: str | None = None
    error_type: str | None = None
    input: bytes | None = None
    output: bytes | None = None
    attributes: Mapping[str, Any] | None = None
    events: Sequence[Event] | None = None
    links: Sequence[Link] | None = None
    stamp: Stamp | None = None
    otel_kind: str = "internal"
    scope: str = SCOPE
    resource: Mapping[str, Any]


class SpanDetails(RecordedSpan):
    """What a log record says about a span: `name` is its event, `start_ns` its time, the ids are those of the span."""

    __slots__ = ()


class Recordable(Protocol):
    """An entry of the queue: cheap to make in the application's thread, and converted to a record later."""

    size: int
    """Bytes of its content."""

    def to_record(self) -> SpanRecord:
        """Return the span as sinks read it; called once, on the pipeline's thread."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRecord:
    """A score of a span, a trace, a session, or a document of a span; the latest wins by (target, name, source)."""

    trace_id: str | None
    span_id: str | None
    session_id: str | None = None
    """The scored session; then `trace_id` and `span_id` are None."""
    document_id: str | None = None
    """The scored document of the span, or of the trace."""
    name: str
    value: float | None
    label: str | None
    comment: str | None
    source: str
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRecord:
    """A number of dropped, truncated or redacted items, and the reason."""

    time_ns: int
    what: str
    """"span", "input", "output", "attribute", "segment", …"""
    reason: str
    """"queue_full", "too_large", "redacted", "retention", "disk_full", …"""
    count: int
    bytes: int = 0


Record: TypeAlias = SpanRecord | ScoreRecord | LossRecord


class Sink(Protocol):
    """A receiver of ended spans. Only the pipeline's thread calls it, except for `after_fork`."""

    @property
    def name(self) -> str:
        """Return the name for logs, as in "store" or "otlp"."""
        ...

    @property
    def is_local(self) -> bool:
        """Return whether the sink stores all records on this machine, where queries find them."""
        ...

    def write(self, batch: Sequence[Record]) -> int:
        """Take a batch; return how many of its spans are safe. The pipeline counts and logs what this raises."""
        ...

    def flush(self, timeout: float) -> bool:
        """Deliver what was taken within `timeout` seconds; return whether all of it arrived."""
        ...

    def close(self, timeout: float) -> None:
        """Flush, and release all resources, within `timeout` seconds."""
        ...

    def after_fork(self) -> None:
        """In a forked child, close the parent's descriptors and forget its threads; leave its data alone."""
        ...


@public("llmops_sdk")
@dataclass(frozen=True, slots=True, kw_only=True)
class FlushReport:
    """The number of spans stored, exported, pending and dropped since the process began.

    Attributes:
        stored: Spans safe in the local store.
        exported: Spans that the OTLP backend accepted.
        pending: Spans not yet in the store or at a backend.
        dropped: Spans lost because the queue was full or all sinks failed.
        errors: The latest failures, oldest first, at most 20.
    """

    stored: int = 0
    exported: int = 0
    pending: int = 0
    dropped: int = 0
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineBounds:
    """The queue's limits, and the seconds between two batches."""

    spans: int = 65_536
    bytes: int = 64 * 1024 * 1024
    interval: float = 0.05
