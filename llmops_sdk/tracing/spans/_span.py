"""The lean span: an OpenTelemetry span that costs a tenth of the SDK's.

Mapping to attributes and encoding happen later, on the pipeline's thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import orjson
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from llmops_sdk._util._guard import guarded
from llmops_sdk._util._public import public
from llmops_sdk._util._static_reads import class_of, qualname_of
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.records._ids import new_span_id, new_trace_id
from llmops_sdk.tracing.spans import _active
from llmops_sdk.tracing.spans._attributes import (
    attribute_value,
    attribute_values,
    exception_attributes,
    message_of,
    status_of,
    text_of,
)
from llmops_sdk.tracing.spans._content import SpanContent
from llmops_sdk.tracing.spans._remote import is_local_only, state_of
from llmops_sdk.tracing.spans._usage_and_scores import UsageAndScores

if TYPE_CHECKING:
    from llmops_sdk.tracing.records._records import Stamp
    from llmops_sdk.tracing.spans._runtime import Runtime

__all__ = ["SILENT", "Span", "new_span"]

_EXCEPTION_TEXTS = ("exception.message", "exception.stacktrace")
_perf = time.perf_counter_ns
_now = time.time_ns
_new = object.__new__


@public("llmops_sdk")
class Span(SpanContent, UsageAndScores):
    """A span: made by `llmops.span`, `llmops.trace` and calls to models, not directly.

    It is an `opentelemetry.trace.Span`: `set_attribute`, `add_event`, `record_exception`, `set_status` and the rest
    work as there. An ended span ignores changes.

    Attributes:
        name: The span's name.
        kind: chain, agent, tool, retriever, llm, embedding, reranker, guardrail or evaluator.
        recording: False when the span is not sampled, or the SDK is off: then nothing is recorded.
        status: "unset" until its end; then "ok", "error", "cancelled" or "closed".

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.span("rank", kind="reranker", input=["a", "b"]) as span:
        ...     span.output = ["b", "a"]
        ...     span.set({"rank.method": "bm25"})
        >>> len(span.trace_id), span.status
        (32, 'ok')
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("a span is made by llmops.span(...), llmops.trace or a call to a model")

    @staticmethod
    def _create(
        runtime: Runtime,
        name: str,
        kind: str,
        trace_number: int,
        parent_number: int,
        stamp: Stamp | None,
        start_ns: int,
        recording: bool,
    ) -> Span:
        """Return a span that began at `start_ns`, nanoseconds since the epoch; `parent_number` is 0 for a root."""
        # Not in __init__: calling a class takes three times as long.
        span = _new(Span)
        span.name = name
        span.kind = kind
        span.trace_number = trace_number
        span.span_number = new_span_id()
        span.recording = recording
        span.status = "unset"
        span.status_message = None
        span.error_type = None
        span.otel_kind = "internal"
        span._input = None
        span._output = None
        if not recording:
            span._ended = True  # nothing reads the other attributes
            return span
        span._ended = False
        span._runtime = runtime
        span._parent_number = parent_number
        span._stamp = stamp
        span.start_ns = start_ns
        span._attributes = None
        span._events = None
        span._links = None
        span._perf_start = _perf()
        return span

    # --- ids --------------------------------------------------------------------------------------------------

    @property
    def trace_id(self) -> str:
        """Return the trace's id: 32 lower-case hex digits."""
        return f"{self.trace_number:032x}"

    @property
    def span_id(self) -> str:
        """Return the span's id: 16 lower-case hex digits."""
        return f"{self.span_number:016x}"

    def get_span_context(self) -> SpanContext:
        """Return the ids as OpenTelemetry has them."""
        if self.host_span is not None:
            return self.host_span.get_span_context()
        number = self.trace_number
        flags = TraceFlags.SAMPLED if self.recording and not is_local_only(number) else TraceFlags.DEFAULT
        return SpanContext(number, self.span_number, False, TraceFlags(flags), self.trace_state or state_of(number))

    def is_recording(self) -> bool:
        """Return whether the span still takes changes."""
        return not self._ended

    # --- content ----------------------------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """Return the input as it was when it was set: setting it takes a snapshot."""
        snapshot = self.input_json()
        return None if snapshot is None else orjson.loads(snapshot)

    @input.setter
    def input(self, value: object) -> None:
        if not self._ended and self._runtime.content:
            self._input = encode(value, self._runtime.bounds)

    @property
    def output(self) -> Any:
        """Return the output as it was when it was set: setting it takes a snapshot."""
        snapshot = self.output_json()
        return None if snapshot is None else orjson.loads(snapshot)

    @output.setter
    def output(self, value: object) -> None:
        if not self._ended and self._runtime.content:
            self._output = encode(value, self._runtime.bounds)

    # --- OpenTelemetry's interface ----------------------------------------------------------------------------

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        if self._ended:
            return
        if self._attributes is None:
            self._attributes = {}
        key = text_of(key)
        self._attributes[key] = attribute_value(value, self._runtime.bounds, key)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event.

        Args:
            name: The event's name.
            attributes: The event's attributes.
            timestamp: Nanoseconds since the epoch; now by default.
        """
        if self._ended:
            return
        if self._events is None:
            self._events = []
        bounds = self._runtime.bounds
        if len(self._events) >= bounds.max_items:
            self._runtime.record_loss("event", "too_many")
            return
        self._events.append((text_of(name), timestamp or _now(), attribute_values(attributes, bounds)))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Link to a span of this or another trace."""
        if self._ended or not context.is_valid:
            return
        if self._links is None:
            self._links = []
        self._links.append((context.trace_id, context.span_id, attribute_values(attributes, self._runtime.bounds)))

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if not self._ended:
            self.name = text_of(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status as OpenTelemetry does: "ok" is final."""
        if self._ended or self.status == "ok":
            return
        code = status.status_code if isinstance(status, Status) else status
        if code is StatusCode.UNSET:
            return
        self.status = "ok" if code is StatusCode.OK else "error"
        if self._runtime.content:  # a description often quotes what the call was about
            given = status.description if isinstance(status, Status) else description
            self.status_message = None if given is None else text_of(given) or None

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an `exception` event; it does not change the status."""
        if not self._ended:
            described = guarded("describing an exception", None, exception_attributes, exception, escaped) or {}
            described.update(attributes or {})
            if not self._runtime.content:
                described = {key: value for key, value in described.items() if key not in _EXCEPTION_TEXTS}
            self.add_event(_semconv.EVENT_EXCEPTION, described, timestamp)

    # --- end --------------------------------------------------------------------------------------------------

    def end(self, end_time: int | None = None, *, status: str = "ok") -> None:
        """End the span. Later changes are ignored.

        Args:
            end_time: Nanoseconds since the epoch; now by default.
            status: The status if none was set before.
        """
        if self._ended:
            return
        self._ended = True
        self.duration_ns = max(end_time - self.start_ns, 0) if end_time else _perf() - self._perf_start
        if self.status == "unset":
            self.status = status
        self._enqueue()

    def fail(self, error: BaseException) -> None:
        """End the span with an exception: "error", or "cancelled" or "closed" if the exception is not a failure."""
        if self._ended:
            return
        status = status_of(error)
        if status != "closed":
            self.error_type = qualname_of(class_of(error))
        if status == "error":
            self.record_exception(error, escaped=True)
            self.status_message = message_of(error) if self._runtime.content else None
        self.status = status
        self.end()

    def activate(self) -> _active.Activation:
        """Return a context manager that makes this the current span. It does not end the span or record errors."""
        return _active.Activation(self)

    def __enter__(self) -> Self:
        """Return the span, as OpenTelemetry does; it does not become the current span."""
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span, with the exception that leaves the block."""
        if error is None:
            self.end()
        else:
            self.fail(error)


new_span = Span._create  # pyright: ignore[reportPrivateUsage] - private on the class, which users see

SILENT = new_span(cast("Any", None), "", "chain", new_trace_id(time.time_ns()), 0, None, 0, recording=False)
"""Is current while the SDK calls a function of the application for its own work: spans below are not recorded."""
