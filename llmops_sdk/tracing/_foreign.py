"""Spans of other libraries, through an OpenTelemetry SDK TracerProvider, into the same pipeline.

Where the application has a provider of its own, our processor is added to it; where there is none, one is installed
so that instrumented libraries have somewhere to send to. An application that sets its own later is told by
OpenTelemetry's warning; `[tracing] global_provider = "never"` leaves the place free for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing import _active, _runtime, _semconv
from llmops_sdk.tracing._records import RecordedSpan, Stamp

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan

__all__ = ["ForeignRecorder", "adopt"]

_MAX_OPEN = 65_536


def adopt() -> None:
    """Take in other libraries' spans: once, however often it is called."""
    provider = otel_trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        if not getattr(provider, "_llmops_recorder", False):
            provider.add_span_processor(ForeignRecorder())
            provider._llmops_recorder = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        return
    if not isinstance(provider, otel_trace.ProxyTracerProvider):
        return  # another implementation of the API: its spans do not come from the SDK
    runtime = _runtime.current
    own = TracerProvider(resource=Resource.create(dict(runtime.resource) if runtime else {}), shutdown_on_exit=False)
    own.add_span_processor(ForeignRecorder())
    own._llmops_recorder = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    otel_trace.set_tracer_provider(own)


class ForeignRecorder(SpanProcessor):
    """Queues every ended SDK span for the pipeline, with the stamp that was in force at its start."""

    def __init__(self) -> None:
        self._stamps: dict[int, Stamp] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Remember the stamp: the span may end in another context."""
        context = _active.get() if parent_context is None else parent_context
        stamp = context.get(_active.STAMP_KEY)
        own = span.get_span_context()
        if isinstance(stamp, Stamp) and len(self._stamps) < _MAX_OPEN:
            self._stamps[own.span_id] = stamp

    def on_end(self, span: ReadableSpan) -> None:
        """Queue it."""
        runtime = _runtime.current
        own = span.get_span_context()
        stamp = self._stamps.pop(own.span_id, None) if own is not None else None
        if runtime is not None and runtime.enabled and own is not None and own.trace_flags.sampled:
            foreign = ForeignSpan(span, stamp)
            guarded("taking in another library's span", None, runtime.put, foreign, foreign.size)

    def shutdown(self) -> None:
        """Nothing of its own to release."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Bring what is queued to its place."""
        return _runtime.flush(timeout_millis / 1000).pending == 0


class ForeignSpan:
    """An ended SDK span on its way to the pipeline's thread."""

    __slots__ = ("size", "span", "stamp")

    def __init__(self, span: ReadableSpan, stamp: Stamp | None) -> None:
        self.span = span
        self.stamp = stamp
        self.size = 512 + 64 * len(span.attributes or ())

    def _to_record(self) -> RecordedSpan:
        """The span as the sinks read it."""
        span = self.span
        own = span.get_span_context()
        attributes: Mapping[str, Any] = span.attributes or {}
        error = span.status.status_code is StatusCode.ERROR
        kind = str(attributes.get("openinference.span.kind", "")).lower()
        start = span.start_time or 0
        return RecordedSpan(
            name=span.name,
            kind=kind if kind in _semconv.KINDS else ("llm" if _semconv.OPERATION in attributes else "chain"),
            trace_id=own.trace_id if own else 0,
            span_id=own.span_id if own else 0,
            parent_id=span.parent.span_id if span.parent else 0,
            start_ns=start,
            duration_ns=max((span.end_time or start) - start, 0),
            status="error" if error else ("ok" if span.status.status_code is StatusCode.OK else "unset"),
            status_message=span.status.description,
            error_type=str(attributes[_semconv.ERROR_TYPE]) if _semconv.ERROR_TYPE in attributes else None,
            attributes=dict(attributes),
            events=[(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events],
            links=[(link.context.trace_id, link.context.span_id, dict(link.attributes or {})) for link in span.links],
            stamp=self.stamp,
            otel_kind=span.kind.name.lower(),
            scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
            resource=span.resource.attributes,
        )
