"""What a span holds: its ids and times, its input and output, and the record that the pipeline makes of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._static_reads import class_of
from llmops_sdk.tracing.capture._deferrable import INT_LIMIT, MAX_DEFERRED_TEXT, MAX_DEFERRED_VALUES, can_defer
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import SCOPE, Json, RecordedSpan
from llmops_sdk.tracing.spans._remote import is_local_only

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import TraceState

    from llmops_sdk.tracing.capture._arguments import Parameters
    from llmops_sdk.tracing.records._records import Event, Link, Stamp
    from llmops_sdk.tracing.spans._runtime import Runtime

__all__ = ["SpanContent", "join_texts"]

_new = object.__new__
_perf = time.perf_counter_ns
_TEXT = {str}
_BASE_BYTES = 1_024  # memory of a span with small content, about


def join_texts(items: list[Any]) -> Any:
    """Return the items as one text if all of them are texts, else the list."""
    return "".join(items) if set(map(type, items)) == _TEXT else items


class SpanContent:
    """The state of a span. Values that cannot change are encoded later, on the pipeline's thread."""

    __slots__ = (
        "_attributes",
        "_bound",
        "_ended",
        "_events",
        "_input",
        "_kwargs",
        "_links",
        "_output",
        "_parameters",
        "_parent_number",
        "_perf_start",
        "_runtime",
        "_stamp",
        "duration_ns",
        "error_type",
        "kind",
        "name",
        "otel_kind",
        "recording",
        "size",
        "span_number",
        "start_ns",
        "status",
        "status_message",
        "trace_number",
    )

    name: str
    kind: str
    otel_kind: str
    recording: bool
    status: str
    trace_number: int
    span_number: int
    start_ns: int
    duration_ns: int
    size: int
    status_message: str | None
    error_type: str | None
    _runtime: Runtime
    _attributes: dict[str, Any] | None
    _events: list[Event] | None
    _links: list[Link] | None
    _stamp: Stamp | None
    # A value that is encoded later is kept bare: each tuple around it is one more object for the collector to visit.
    # As an input these are the arguments, with the next three; as an output a number, a text, or the list of what was
    # yielded.
    _input: bytes | tuple[object, ...] | None
    _parameters: Parameters
    _bound: bool
    _kwargs: dict[str, object] | None
    _output: bytes | float | str | list[object] | None
    # Few spans set these. They stand on the class and cost nothing at the start; OpenTelemetry's base class gives an
    # instance a dictionary when one is set.
    trace_state: TraceState | None = None
    # The twin of this span at the application's own tracer provider, and whether only that one is kept.
    host_span: OtelSpan | None = None
    host_only: bool = False

    def capture_arguments(
        self, parameters: Parameters, bound: bool, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        """Take the arguments of a call as the input; see `Parameters.encode`."""
        if self._ended:  # also a span that is not recorded, which has no runtime
            return
        runtime = self._runtime
        if not runtime.content:
            return
        if (
            runtime.defers_encoding
            and len(args) + len(kwargs) <= MAX_DEFERRED_VALUES
            and can_defer(args)
            and (not kwargs or can_defer(kwargs.values()))
        ):
            self._parameters = parameters
            self._bound = bound
            self._kwargs = kwargs or None
            self._input = args
        else:
            self._input = parameters.encode(bound, args, kwargs, runtime.bounds)

    def capture_output(self, value: Any) -> None:
        """Take a result as the output."""
        runtime = self._runtime
        if not runtime.content:
            return
        # `can_defer` inlined, for one value.
        cls = class_of(value)
        if cls is str:
            deferred = runtime.defers_encoding and len(value) <= MAX_DEFERRED_TEXT
        elif cls is int:
            deferred = runtime.defers_encoding and -INT_LIMIT <= value < INT_LIMIT
        elif value is None:
            self._output = b"null"
            return
        else:
            deferred = False
        self._output = value if deferred else encode(value, runtime.bounds)

    def capture_items(self, items: list[Any]) -> None:
        """Take what a generator yielded as the output. The list must not change afterwards."""
        runtime = self._runtime
        if runtime.content:
            deferred = runtime.defers_encoding and len(items) <= MAX_DEFERRED_VALUES and can_defer(items)
            self._output = items if deferred else encode(join_texts(items), runtime.bounds)

    def add_plain_attributes(self, attributes: dict[str, Any]) -> None:
        """Set attributes that need no conversion: numbers and texts of our own."""
        if not self._ended:
            self._attributes = {**self._attributes, **attributes} if self._attributes else attributes

    def add_plain_event(self, name: str, attributes: dict[str, Any]) -> None:
        """Add an event whose attributes need no conversion: numbers and short texts of our own."""
        if self._ended:
            return
        if self._events is None:
            self._events = []
        if len(self._events) >= self._runtime.bounds.max_items:
            self._runtime.record_loss("event", "too_many")
            return
        self._events.append((name, time.time_ns(), attributes))

    def remove_attribute(self, key: str) -> None:
        """Remove an attribute, which OpenTelemetry's interface cannot."""
        if not self._ended and self._attributes is not None:
            self._attributes.pop(key, None)

    def has_attribute(self, key: str) -> bool:
        """Return whether an attribute is set."""
        return self.recording and self._attributes is not None and key in self._attributes

    def seconds_until(self, perf_ns: int) -> float:
        """Return the seconds from the start of the span to a reading of `time.perf_counter_ns`."""
        return (perf_ns - self._perf_start) / 1e9

    def return_result(self, result: object, captured: bool) -> None:
        """End the span of a call that returned; `captured` tells whether the result becomes the output."""
        if self._ended:
            return
        self.duration_ns = _perf() - self._perf_start
        if captured:
            self.capture_output(result)
        self._ended = True
        if self.status == "unset":
            self.status = "ok"
        self._enqueue()

    def _enqueue(self) -> None:
        size = _BASE_BYTES
        if type(self._input) is bytes:
            size += len(self._input)
        if type(self._output) is bytes:
            size += len(self._output)
        if self._attributes is not None:
            size += 64 * len(self._attributes)
            for value in self._attributes.values():
                if type(value) is Json:  # messages
                    size += len(value)
        self.size = size
        self._runtime.put(self, size)

    def input_json(self) -> bytes | None:
        """Return the input as JSON, or None if there is no input."""
        value: Any = self._input
        if value is None or type(value) is bytes:
            return value
        return self._parameters.encode_deferred(self._bound, value, self._kwargs, self._runtime.bounds)

    def output_json(self) -> bytes | None:
        """Return the output as JSON, or None if there is no output."""
        value: Any = self._output
        if value is None or type(value) is bytes:
            return value
        return encode(join_texts(cast("list[Any]", value)) if type(value) is list else value, self._runtime.bounds)

    def to_record(self) -> RecordedSpan:
        """Return the ended span as the sinks read it."""
        # Attributes are set one by one: the constructor with its twenty keyword arguments takes four times as long.
        runtime = self._runtime
        record = _new(RecordedSpan)
        record.name = self.name
        record.kind = self.kind
        record.trace_id = self.trace_number
        record.span_id = self.span_number
        record.parent_id = self._parent_number
        record.start_ns = self.start_ns
        record.duration_ns = self.duration_ns
        record.status = self.status
        record.status_message = self.status_message
        record.error_type = self.error_type
        # As `input_json` and `output_json`, without the call.
        value: Any = self._input
        if value is not None and type(value) is not bytes:
            value = self._parameters.encode_deferred(self._bound, value, self._kwargs, runtime.bounds)
        record.input = value
        value = self._output
        if value is not None and type(value) is not bytes:
            value = b"%d" % value if type(value) is int else self.output_json()
        record.output = value
        record.attributes = self._attributes
        if is_local_only(self.trace_number):
            record.attributes = {**(self._attributes or {}), sc.UNSAMPLED: True}
        record.events = self._events
        record.links = self._links
        record.stamp = self._stamp
        record.otel_kind = self.otel_kind
        record.scope = SCOPE
        record.resource = runtime.resource
        return record
