"""Traces in memory: the spans of a test, as objects and through the views of the store."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from llmops_sdk._util._public import public
from llmops_sdk.store import StoreSink, query
from llmops_sdk.store.lines._encode import Encoder, is_span
from llmops_sdk.tracing.records._records import Record, SpanRecord
from llmops_sdk.tracing.runtime._start import record_into
from llmops_sdk.tracing.spans._runtime import RecordPipeline

if TYPE_CHECKING:
    from llmops_sdk.store import Result
    from llmops_sdk.store.reading._statement import Parameters

__all__ = ["TracedEvent", "TracedSpan", "Traces", "capture_traces"]

_FLUSH_SECONDS = 30.0


@public("llmops_sdk.testing")
@dataclass(frozen=True, slots=True, kw_only=True)
class TracedEvent:
    """An event on a span.

    Attributes:
        name: Its name, as in "exception" or "llmops.attempt".
        time_ns: When, in nanoseconds since the epoch.
        attributes: Its attributes.
    """

    name: str
    time_ns: int
    attributes: Mapping[str, Any]


@public("llmops_sdk.testing")
@dataclass(frozen=True, slots=True, kw_only=True)
class TracedSpan:
    """An ended span, for a test to inspect; `Traces.sql` has further columns.

    Attributes:
        name: Its name.
        kind: chain, agent, tool, retriever, llm, embedding, reranker, guardrail or evaluator.
        status: "ok", "error", "cancelled", "closed" or "unset".
        status_message: The error's message, or None.
        error_type: The class of the error, or None.
        input: The decoded input, or None.
        output: The decoded output, or None.
        attributes: Every attribute by its OpenTelemetry name; messages are decoded.
        events: Its events, oldest first.
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        parent_span_id: 16 lower-case hex digits, or None for a root.
        parent: The span above it, or None for a root and for a parent that was not recorded here.
        start_ns: When it began, nanoseconds since the epoch.
        duration_ms: How long it took.
        session_id: The conversation, or None.
        user_id: The end user, or None.
        tags: The tags, those of outer contexts first.
        otel_kind: "internal", "client", "server", "producer" or "consumer".
        scope: The instrumentation's name, "llmops_sdk" for our own spans.
    """

    name: str
    kind: str
    status: str
    status_message: str | None
    error_type: str | None
    input: Any
    output: Any
    attributes: Mapping[str, Any]
    events: tuple[TracedEvent, ...]
    trace_id: str
    span_id: str
    parent_span_id: str | None
    parent: TracedSpan | None = field(repr=False, compare=False)
    start_ns: int
    duration_ms: float
    session_id: str | None
    user_id: str | None
    tags: tuple[str, ...]
    otel_kind: str
    scope: str


@public("llmops_sdk.testing")
class Traces:
    """The records since the block began, or since `clear`; made by `capture_traces` and `llmops_traces`.

    Each access first flushes the ended spans, so that no test waits or sleeps for them.
    """

    def __init__(self, pipeline: RecordPipeline, sink: _MemorySink) -> None:
        self._pipeline = pipeline
        self._sink = sink

    @property
    def spans(self) -> list[TracedSpan]:
        """Return every ended span, in the order in which they began."""
        return _traced([record for record in self._records() if is_span(record)])

    def named(self, name: str) -> list[TracedSpan]:
        """Return the spans of that name, in the order in which they began."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> TracedSpan:
        """Return the span of that name.

        Raises:
            AssertionError: There is no such span, or more than one; the message lists the recorded names.

        Example:
            >>> import llmops_sdk as llmops
            >>> from llmops_sdk.testing import capture_traces
            >>> with capture_traces() as traces:
            ...     with llmops.span("rank", kind="reranker", input=["b", "a"]):
            ...         pass
            ...     traces.one("rank").input
            ['b', 'a']
        """
        spans = self.spans
        found = [span for span in spans if span.name == name]
        if len(found) != 1:
            there = ", ".join(repr(span.name) for span in spans) or "none"
            raise AssertionError(f"{len(found)} spans are named {name!r}; recorded, by their start: {there}")
        return found[0]

    def sql(self, sql: str, params: Parameters | None = None) -> Result:
        """Return the rows of one SELECT over the records, with the views and columns of the store.

        Args:
            sql: One statement, as in `llmops.query`.
            params: Values for `?` or `$1` (a sequence) or for `$name` (a mapping).

        Raises:
            QueryError: The SQL is not valid or not allowed.

        Example:
            >>> import llmops_sdk as llmops
            >>> from llmops_sdk.testing import capture_traces
            >>> with capture_traces() as traces:
            ...     answer = llmops.chat("Hi", model="offline/echo")
            ...     traces.sql("SELECT model, finish_reason FROM llm_calls WHERE cost IS NULL").rows()
            [('echo', 'stop')]
        """
        records = self._records()
        # The store's own writer and reader: the views exist only once.
        with tempfile.TemporaryDirectory(prefix="llmops-traces-") as folder:
            path = Path(folder) / "store"
            sink = StoreSink(path, retention_days=None)
            sink.write(records)
            sink.close(_FLUSH_SECONDS)
            return query(sql, params, path=path)

    def clear(self) -> None:
        """Remove the records so far."""
        self._pipeline.flush(_FLUSH_SECONDS)
        self._sink.records.clear()

    def _records(self) -> list[Record]:
        self._pipeline.flush(_FLUSH_SECONDS)
        return list(self._sink.records)

    def __repr__(self) -> str:
        return f"Traces({', '.join(span.name for span in self.spans)})"


class _MemorySink:
    """Keeps every record."""

    name = "memory"
    is_local = True  # `llmops.flush().stored` counts its spans

    def __init__(self) -> None:
        self.records: list[Record] = []

    def write(self, batch: Sequence[Record]) -> int:
        self.records += batch
        return sum(map(is_span, batch))

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - it never waits
        return True

    def close(self, timeout: float) -> None:
        """Keep the records: a test may inspect them after the block."""

    def after_fork(self) -> None:
        """Drop the parent's records in a forked child."""
        self.records = []


@contextmanager
def capture_traces() -> Generator[Traces]:
    """Record into memory while the `with` block runs, in place of the store and every export.

    It writes nothing to disk and sends nothing; the earlier store and exports return afterwards. It uses the settings
    in force and follows `llmops.configure`, but also records where `enabled` is false around a test.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import capture_traces
        >>> @llmops.trace
        ... def answer(question: str) -> str:
        ...     return llmops.chat(question, model="offline/echo").text
        >>> with capture_traces() as traces:
        ...     answer("Hi")
        'Hi'
        >>> (call,) = (span for span in traces.spans if span.kind == "llm")
        >>> call.parent.name, call.attributes["gen_ai.request.model"]
        ('answer', 'echo')
    """
    sink = _MemorySink()
    with record_into([sink]) as pipeline:
        yield Traces(pipeline, sink)


def _traced(records: Sequence[SpanRecord]) -> list[TracedSpan]:
    by_id = {(record.trace_id, record.span_id): record for record in records}
    encoder = Encoder()
    made: dict[int, tuple[int, int, TracedSpan]] = {}
    for record in records:
        above: dict[int, SpanRecord] = {}
        at: SpanRecord | None = record
        # Not recursive: traces may be deeper than the stack. A cycle of parents ends at its second turn.
        while at is not None and id(at) not in made and id(at) not in above:
            above[id(at)] = at
            at = by_id.get((at.trace_id, at.parent_id))
        for one in reversed(above.values()):
            _, depth, parent = made.get(id(by_id.get((one.trace_id, one.parent_id))), (0, 0, None))
            made[id(one)] = (one.start_ns, depth + 1, _span(one, parent, encoder))
    # With a coarse clock a span may begin at the same time as its parent.
    return [span for _, _, span in sorted(made.values(), key=lambda known: known[:2])]


def _span(record: SpanRecord, parent: TracedSpan | None, encoder: Encoder) -> TracedSpan:
    # The store's encoder decides which values come from the span and which from its context.
    row: dict[str, Any] = orjson.loads(encoder.span_line(record))
    return TracedSpan(
        name=row["name"],
        kind=row["kind"],
        status=row["status"],
        status_message=row.get("status_message"),
        error_type=row.get("error_type"),
        input=row.get("input"),
        output=row.get("output"),
        attributes={key: _decoded(value) for key, value in (record.attributes or {}).items()},
        events=tuple(
            TracedEvent(name=name, time_ns=time_ns, attributes=dict(attributes))
            for name, time_ns, attributes in record.events or ()
        ),
        trace_id=row["trace_id"],
        span_id=row["span_id"],
        parent_span_id=row.get("parent_span_id"),
        parent=parent,
        start_ns=record.start_ns,
        duration_ms=record.duration_ns / 1e6,
        session_id=row.get("session_id"),
        user_id=row.get("user_id"),
        tags=tuple(row.get("tags", ())),
        otel_kind=record.otel_kind,
        scope=record.scope,
    )


def _decoded(value: Any) -> Any:
    return orjson.loads(bytes(value)) if isinstance(value, bytes) else value
