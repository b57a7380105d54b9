"""The lean span: an OpenTelemetry span that costs a tenth of the SDK's.

It holds what was measured and nothing that can be worked out later; mapping to attributes and encoding happen on the
pipeline's thread.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import orjson
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from llmops_sdk._util._guard import guarded
from llmops_sdk._util._ids import new_span_id, new_trace_id
from llmops_sdk._util._public import public
from llmops_sdk._util._static_reads import class_of, qualname_of
from llmops_sdk.tracing.capture._deferrable import MAX_DEFERRED_VALUES, can_defer
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.records import _semconv
from llmops_sdk.tracing.spans import _active
from llmops_sdk.tracing.spans._attributes import (
    attribute_value,
    attribute_values,
    exception_attributes,
    message_of,
    status_of,
    text_of,
)
from llmops_sdk.tracing.spans._content import input_json, keep, keep_items, output_json, to_record
from llmops_sdk.tracing.spans._measures import Measures

if TYPE_CHECKING:
    from opentelemetry.trace import TraceState

    from llmops_sdk.tracing.capture._arguments import Parameters
    from llmops_sdk.tracing.records._records import Event, Link, Stamp
    from llmops_sdk.tracing.spans._runtime import Runtime

__all__ = ["SILENT", "Span", "new_span"]

_perf = time.perf_counter_ns
_now = time.time_ns
_new = object.__new__
_BARE = 1_024  # bytes of memory of a span, with content that is small enough to wait as it is, about


@public("llmops_sdk")
class Span(Measures, OtelSpan):
    """A span. Made by `llmops.span`, `llmops.trace` and the calls to models, not directly.

    It is an `opentelemetry.trace.Span`: `set_attribute`, `add_event`, `record_exception`, `set_status` and the rest
    work as there. After its end nothing changes any more.

    Attributes:
        name: The span's name.
        kind: chain, agent, tool, retriever, llm, embedding, reranker, guardrail or evaluator.
        recording: Whether anything is kept of it: False when it is not sampled, or the SDK is off.
        status: "unset" until its end; then "ok", "error", "cancelled" or "closed".

    Example:
        >>> import llmops_sdk as llmops
        >>> with llmops.span("rank", kind="reranker", input=["a", "b"]) as span:
        ...     span.output = ["b", "a"]
        ...     span.set({"rank.method": "bm25"})
        >>> len(span.trace_id), span.status
        (32, 'ok')
    """

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
        "_runtime",
        "_span_number",
        "_stamp",
        "_start_ns",
        "_started",
        "_trace_number",
        "duration_ns",
        "error_type",
        "kind",
        "name",
        "otel_kind",
        "recording",
        "size",
        "status",
        "status_message",
    )

    otel_kind: str
    status_message: str | None
    error_type: str | None
    _attributes: dict[str, Any] | None
    _events: list[Event] | None
    _links: list[Link] | None
    # What waits to be encoded is kept bare, since each tuple around it is one more thing for the collector to visit:
    # as an input the arguments, with the next three; as an output a number, a text, or the list of what was yielded.
    _input: bytes | tuple[object, ...] | None
    _parameters: Parameters
    _bound: bool
    _kwargs: dict[str, object] | None
    _output: bytes | float | str | list[object] | None
    # What few spans ever set stands on the class and costs nothing at their start; the base class has no slots, so
    # that an instance has a dictionary when one of these is set.
    _trace_state: TraceState | None = None
    # The span of the same call at the application's own tracer provider, and whether it is kept only there: `_host`.
    _outer: OtelSpan | None = None
    _outer_only: bool = False

    def __init__(self) -> None:
        raise TypeError("a span is made by llmops.span(...), llmops.trace or a call to a model")

    @staticmethod
    def _begun(
        runtime: Runtime,
        name: str,
        kind: str,
        trace_number: int,
        parent_number: int,
        stamp: Stamp | None,
        start_ns: int,
        recording: bool,
    ) -> Span:
        """A span that began at `start_ns`, nanoseconds since the epoch; `parent_number` is 0 for a root."""
        # Not in __init__: a class that is called takes three times as long as this.
        span = _new(Span)
        span.name = name
        span.kind = kind
        span._trace_number = trace_number
        span._span_number = new_span_id()
        span.recording = recording
        span.status = "unset"
        span.status_message = None
        span.error_type = None
        span.otel_kind = "internal"
        span._input = None
        span._output = None
        if not recording:
            span._ended = True  # and nobody asks for the rest
            return span
        span._ended = False
        span._runtime = runtime
        span._parent_number = parent_number
        span._stamp = stamp
        span._start_ns = start_ns
        span._attributes = None
        span._events = None
        span._links = None
        span._started = _perf()
        return span

    # --- ids --------------------------------------------------------------------------------------------------

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 lower-case hex digits."""
        return f"{self._trace_number:032x}"

    @property
    def span_id(self) -> str:
        """The span's id, 16 lower-case hex digits."""
        return f"{self._span_number:016x}"

    def get_span_context(self) -> SpanContext:
        """The ids as OpenTelemetry has them."""
        if self._outer is not None:
            return self._outer.get_span_context()
        flags = TraceFlags.SAMPLED if self.recording else TraceFlags.DEFAULT
        return SpanContext(self._trace_number, self._span_number, False, TraceFlags(flags), self._trace_state)

    def is_recording(self) -> bool:
        """Whether what is set on it is still kept."""
        return not self._ended

    # --- content ----------------------------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """What went in. Setting it takes a snapshot at once; reading gives that snapshot back."""
        kept = input_json(self)
        return None if kept is None else orjson.loads(kept)

    @input.setter
    def input(self, value: object) -> None:
        if not self._ended and self._runtime.content:
            self._input = encode(value, self._runtime.bounds)

    @property
    def output(self) -> Any:
        """What came out. Setting it takes a snapshot at once; reading gives that snapshot back."""
        kept = output_json(self)
        return None if kept is None else orjson.loads(kept)

    @output.setter
    def output(self, value: object) -> None:
        if not self._ended and self._runtime.content:
            self._output = encode(value, self._runtime.bounds)

    def _take_arguments(
        self, parameters: Parameters, bound: bool, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        """Take the arguments of a call as its input; see `Parameters.encode`."""
        if self._ended or not self._runtime.content:
            return
        runtime = self._runtime
        if (
            runtime.waits
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

    _keep = keep
    _keep_items = keep_items

    def set(self, attributes: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set attributes; dotted names go in the mapping.

        Args:
            attributes: Names and values. `bytes` are taken as JSON and kept as they are.
            more: Further ones whose names are identifiers.
        """
        if not self._ended:
            self.set_attributes({**(attributes or {}), **more})

    # --- OpenTelemetry's interface ----------------------------------------------------------------------------

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        if self._ended:
            return
        if self._attributes is None:
            self._attributes = {}
        self._attributes[text_of(key)] = attribute_value(value, self._runtime.bounds)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def _add_plain(self, attributes: dict[str, Any]) -> None:
        """Set attributes that are plain numbers and texts of our own."""
        if not self._ended:
            self._attributes = {**self._attributes, **attributes} if self._attributes else attributes

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event.

        Args:
            name: Its name.
            attributes: Its attributes.
            timestamp: Nanoseconds since the epoch; now, when left out.
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
        kept = attribute_values(attributes, self._runtime.bounds)
        self._links.append((context.trace_id, context.span_id, kept))

    def update_name(self, name: str) -> None:
        """Give it another name."""
        if not self._ended:
            self.name = text_of(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status as OpenTelemetry does: once ok, always ok."""
        if self._ended or self.status == "ok":
            return
        code = status.status_code if isinstance(status, Status) else status
        if code is StatusCode.UNSET:
            return
        self.status = "ok" if code is StatusCode.OK else "error"
        self.status_message = (status.description if isinstance(status, Status) else description) or None

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
            self.add_event(_semconv.EVENT_EXCEPTION, {**described, **(attributes or {})}, timestamp)

    # --- its end ----------------------------------------------------------------------------------------------

    def end(self, end_time: int | None = None, *, status: str = "ok") -> None:
        """End it; what comes later is ignored.

        Args:
            end_time: Nanoseconds since the epoch; now, when left out.
            status: Its status, unless one was set before.
        """
        if self._ended:
            return
        self._ended = True
        self.duration_ns = max(end_time - self._start_ns, 0) if end_time else _perf() - self._started
        if self.status == "unset":
            self.status = status
        self._hand_over()

    def _return(self, result: object, kept: bool) -> None:
        """End it with what the call returned; `kept` says whether that is its output."""
        if self._ended:
            return
        self.duration_ns = _perf() - self._started
        if kept:
            self._keep(result)
        self._ended = True
        if self.status == "unset":
            self.status = "ok"
        self._hand_over()

    def _hand_over(self) -> None:
        size = _BARE
        if type(self._input) is bytes:
            size += len(self._input)
        if type(self._output) is bytes:
            size += len(self._output)
        if self._attributes is not None:
            size += 64 * len(self._attributes)
        self.size = size
        self._runtime.put(self, size)

    def fail(self, error: BaseException) -> None:
        """End it with the exception that left it: "error", or "cancelled" or "closed" where that is no failure."""
        if self._ended:
            return
        status = status_of(error)
        if status != "closed":
            self.error_type = qualname_of(class_of(error))
        if status == "error":
            self.record_exception(error, escaped=True)
            self.status_message = message_of(error)
        self.status = status
        self.end()

    def activate(self) -> _active.Activation:
        """A context manager inside which this is the current span; it neither ends it nor records errors."""
        return _active.Activation(self)

    def __enter__(self) -> Self:
        """Itself: as OpenTelemetry has it, without becoming the current span."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, with the exception that leaves the block."""
        if error is None:
            self.end()
        else:
            self.fail(error)

    _to_record = to_record


new_span = Span._begun  # pyright: ignore[reportPrivateUsage] - for `begin` alone

SILENT = new_span(cast("Any", None), "", "chain", new_trace_id(time.time_ns()), 0, None, 0, recording=False)
"""The current span where the SDK calls a function of the application's for its own work: nothing below it is kept."""
