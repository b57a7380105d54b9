"""What a span keeps of a result, and its record once it has ended: what waited is encoded on the pipeline's thread."""

# The other half of `_span`.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._static_reads import class_of
from llmops_sdk.tracing.capture._deferrable import INT_LIMIT, MAX_DEFERRED_TEXT, MAX_DEFERRED_VALUES, can_defer
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records._records import SCOPE, RecordedSpan

if TYPE_CHECKING:
    from llmops_sdk.tracing.spans._span import Span

__all__ = ["input_json", "joined", "keep", "keep_items", "output_json", "to_record"]

_new = object.__new__
_TEXT = {str}


def joined(items: list[Any]) -> Any:
    """What was yielded, as one text where all of it is text."""
    return "".join(items) if set(map(type, items)) == _TEXT else items


def keep(span: Span, value: Any) -> None:
    """Take the output, or let it wait."""
    runtime = span._runtime
    if not runtime.content:
        return
    # As `can_defer`, of the one value.
    kind = class_of(value)
    if kind is str:
        waits = runtime.waits and len(value) <= MAX_DEFERRED_TEXT
    elif kind is int:
        waits = runtime.waits and -INT_LIMIT <= value < INT_LIMIT
    elif value is None:
        span._output = b"null"
        return
    else:
        waits = False
    span._output = value if waits else encode(value, runtime.bounds)


def keep_items(span: Span, items: list[Any]) -> None:
    """Take what was yielded, a list of the SDK's own, or let it wait."""
    runtime = span._runtime
    if runtime.content:
        waits = runtime.waits and len(items) <= MAX_DEFERRED_VALUES and can_defer(items)
        span._output = items if waits else encode(joined(items), runtime.bounds)


def input_json(span: Span) -> bytes | None:
    """What went in, as JSON; None where nothing was kept."""
    kept: Any = span._input
    if kept is None or type(kept) is bytes:
        return kept
    return span._parameters.encode_deferred(span._bound, kept, span._kwargs, span._runtime.bounds)


def output_json(span: Span) -> bytes | None:
    """What came out, as JSON; None where nothing was kept."""
    kept = span._output
    if kept is None or type(kept) is bytes:
        return kept
    return encode(joined(cast("list[Any]", kept)) if type(kept) is list else kept, span._runtime.bounds)


def to_record(span: Span) -> RecordedSpan:
    """The ended span as the sinks read it."""
    # Not by its constructor, whose twenty keyword arguments take four times as long; and without a call where most
    # spans need none.
    runtime = span._runtime
    record = _new(RecordedSpan)
    record.name = span.name
    record.kind = span.kind
    record.trace_id = span._trace_number
    record.span_id = span._span_number
    record.parent_id = span._parent_number
    record.start_ns = span._start_ns
    record.duration_ns = span.duration_ns
    record.status = span.status
    record.status_message = span.status_message
    record.error_type = span.error_type
    given: Any = span._input
    if given is not None and type(given) is not bytes:
        given = span._parameters.encode_deferred(span._bound, given, span._kwargs, runtime.bounds)
    record.input = given
    output: Any = span._output
    if output is not None and type(output) is not bytes:
        output = b"%d" % output if type(output) is int else output_json(span)
    record.output = output
    record.attributes = span._attributes
    record.events = span._events
    record.links = span._links
    record.stamp = span._stamp
    record.otel_kind = span.otel_kind
    record.scope = SCOPE
    record.resource = runtime.resource
    return record
