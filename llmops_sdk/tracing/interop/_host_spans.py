"""Twins of our spans at the application's own tracer provider.

If the application has its own provider, its tracer starts a twin of each of our spans, and our span takes the twin's
ids. The application's sampler, id generator and processors then work as for any library, and spans below have the same
parent on both sides. The twin gets no content and no session or user names, unless the configuration allows content.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, SpanKind
from opentelemetry.trace import Span as OtelSpan

from llmops_sdk._util._guard import guarded
from llmops_sdk._version import __version__
from llmops_sdk.tracing.records._ids import new_span_id, new_trace_id
from llmops_sdk.tracing.records._records import SCOPE
from llmops_sdk.tracing.spans import _active
from llmops_sdk.tracing.spans._remote import note_remote, samples_below
from llmops_sdk.tracing.spans._runtime import Runtime
from llmops_sdk.tracing.spans._span import Span, new_span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from llmops_sdk.tracing.records._records import LossRecord, Recordable, RecordedSpan, ScoreRecord

__all__ = ["DisabledStarter", "HostSpans", "HostWatcher", "sdk_provider"]

_MAX_PROXIES = 4
_OTEL_KINDS = {kind.name.lower(): kind for kind in SpanKind}


class HostSpans:
    """Starts and ends a twin of each of our spans at the application's provider.

    Args:
        runtime: The runtime whose `put` passes through here.
        provider: The application's provider.
        on_our_provider: Whether this is our own provider, to which the application added processors.
    """

    def __init__(self, runtime: Runtime, provider: otel_trace.TracerProvider, *, on_our_provider: bool = False) -> None:
        # Imported here, not when the first span ends.
        from llmops_sdk.tracing.interop._convert import SpanConverter
        from llmops_sdk.tracing.privacy._hash_key import hash_key
        from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

        self.provider = provider
        self.on_our_provider = on_our_provider
        self._tracer = provider.get_tracer(SCOPE, __version__)
        self._content = runtime.settings.export.host_content
        self._convert = SpanConverter(content=self._content, allow_attributes=runtime.settings.export.allow_attributes)
        redaction = runtime.settings.redaction
        # The pipeline counts what it redacts; this must not count it again.
        self._redact = None
        if redaction.enabled:
            self._redact = RedactionStage(redaction.patterns, _ignore, hash_key(redaction))
        self._pipeline_put = runtime.pipeline.put

    def start_child(self, runtime: Runtime, context: _active.Context, name: str, kind: str, otel_kind: str) -> Span:
        """Start a span below the current one of `context`, with the ids of its twin."""
        twin = guarded("starting a span at the application's tracer", None, self._start, context, name, otel_kind)
        return _with_twin(runtime, context, name, kind, twin)

    def _start(self, context: _active.Context, name: str, otel_kind: str) -> OtelSpan:
        return self._tracer.start_span(name, context=context, kind=_OTEL_KINDS.get(otel_kind, SpanKind.INTERNAL))

    def put(self, record: ScoreRecord | LossRecord | Recordable, size: int) -> None:
        """Enqueue a record for the pipeline. The twin of a span ends first, in the caller's thread."""
        if type(record) is Span:
            twin = record.host_span
            if twin is not None:
                guarded("ending a span at the application's tracer", None, self._end, record, twin)
                if record.host_only:
                    return
        self._pipeline_put(record, size)

    def _end(self, span: Span, twin: OtelSpan) -> None:
        end_time = span.start_ns + span.duration_ns
        if twin.is_recording():
            guarded("showing a span to the application's tracer", None, self._show, span, twin)
        twin.end(end_time)

    def without_content(self, span: Recordable) -> ReadableSpan:
        """Return a span as the application may see it: with content only if `[export] host_content` is on."""
        record = cast("RecordedSpan", span.to_record())
        record.stamp = None  # session and user names stay in our pipeline
        if not self._content:
            record.input = record.output = None
        return self._convert(record if self._redact is None else cast("RecordedSpan", self._redact([record])[0]))

    def _show(self, span: Span, twin: OtelSpan) -> None:
        shown = self.without_content(span)
        twin.update_name(shown.name)
        twin.set_attributes(shown.attributes or {})
        for event in shown.events:
            twin.add_event(event.name, event.attributes, event.timestamp)
        for link in shown.links:
            twin.add_link(link.context, link.attributes)
        twin.set_status(shown.status)


def sdk_provider(provider: object) -> TracerProvider | None:
    """Return the SDK's provider, also behind a proxy such as Logfire's, or None."""
    for _ in range(_MAX_PROXIES):
        if isinstance(provider, TracerProvider):
            return provider
        provider = getattr(provider, "provider", None)
    return None


class HostWatcher:
    """Checks at each root span whether the application has set a provider by now, and then joins it."""

    def __init__(self, join: Callable[[Runtime], None]) -> None:
        self._join = join

    def start_child(
        self, runtime: Runtime, context: _active.Context, name: str, kind: str, otel_kind: str
    ) -> Span | None:
        """Start a span with a twin once there is a provider; until then, return None for the default way."""
        if type(context.get(_active.SPAN_KEY)) is Span:
            return None
        if not isinstance(otel_trace.get_tracer_provider(), otel_trace.ProxyTracerProvider):
            guarded("joining the application's tracer provider", None, self._join, runtime)
        starter = runtime.span_starter
        if starter is None or starter is self:
            return None
        return starter.start_child(runtime, context, name, kind, otel_kind)


class DisabledStarter:
    """Starts inert spans while the SDK is off. Other libraries' spans below join the span above."""

    def start_child(self, runtime: Runtime, context: _active.Context, name: str, kind: str, otel_kind: str) -> Span:  # noqa: ARG002 - as in `SpanStarter`
        """Start a span that records nothing and passes the ids of the span above to those below."""
        above = _above(context)
        start = time.time_ns()
        trace_number = above.trace_id or new_trace_id(start)
        span = new_span(runtime, name, kind, trace_number, above.span_id, None, start, recording=False)
        span.host_span = NonRecordingSpan(above)
        return span


def _above(context: _active.Context) -> SpanContext:
    parent = context.get(_active.SPAN_KEY)
    return parent.get_span_context() if isinstance(parent, OtelSpan) else INVALID_SPAN_CONTEXT


def _with_twin(runtime: Runtime, context: _active.Context, name: str, kind: str, twin: OtelSpan | None) -> Span:
    above = _above(context)
    start = time.time_ns()
    ids = INVALID_SPAN_CONTEXT if twin is None else twin.get_span_context()
    if not ids.is_valid or ids.span_id == above.span_id:
        twin = None  # the application's tracer is off
        trace_number = above.trace_id or new_trace_id(start)
        ids = SpanContext(trace_number, new_span_id(), is_remote=False, trace_state=above.trace_state)
    sampled = runtime.enabled and _is_sampled(runtime, context.get(_active.SPAN_KEY), above, ids.trace_id)
    host_only = not sampled and twin is not None and twin.is_recording()
    parent_number = above.span_id if ids.trace_id == above.trace_id else 0
    stamp: Any = _active.stamp_of(context)
    if above.is_remote:
        note_remote(above)
    span = new_span(runtime, name, kind, ids.trace_id, parent_number, stamp, start, sampled or host_only)
    span.span_number = ids.span_id
    span.trace_state = ids.trace_state
    if twin is not None:
        span.host_span = twin
        span.host_only = host_only
    return span


def _is_sampled(runtime: Runtime, parent: object, above: SpanContext, trace_number: int) -> bool:
    """Return the decision of `OTEL_TRACES_SAMPLER`, which counts for our pipeline only."""
    parent_sampled: bool | None = None
    if type(parent) is Span:
        parent_sampled = parent.recording and not parent.host_only
    elif above.is_valid:
        parent_sampled = bool(above.trace_flags.sampled)
    if runtime.sampler is None:
        if above.is_valid and type(parent) is not Span:
            return samples_below(runtime, above)
        return parent_sampled is not False
    return runtime.sampler.samples(trace_number, parent_sampled)


def _ignore(_what: str, _reason: str, _count: int, _bytes: int) -> None:
    return
