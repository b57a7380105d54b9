"""Spans at a tracer provider of the application's own, besides ours.

Where there is one, each of our spans is begun with its tracer too and takes the ids of the span that it made: its
sampler, its ids and its processors hold as for any library, and what is below, ours or not, has one parent on both
sides. At the end it gets what may leave the pipeline: content and the names of sessions and users stay here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace as otel_trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, SpanKind
from opentelemetry.trace import Span as OtelSpan

from llmops_sdk._util._guard import guarded
from llmops_sdk._util._ids import new_span_id, new_trace_id
from llmops_sdk._version import __version__
from llmops_sdk.tracing.records._records import SCOPE
from llmops_sdk.tracing.spans import _active
from llmops_sdk.tracing.spans._runtime import Runtime
from llmops_sdk.tracing.spans._span import Span, new_span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from llmops_sdk.tracing.records._records import LossRecord, Recordable, RecordedSpan, ScoreRecord

__all__ = ["Host", "Off", "Watch"]

_KINDS = {kind.name.lower(): kind for kind in SpanKind}


class Host:
    """Begins and ends our spans at the application's provider too.

    Args:
        runtime: Whose spans; its `put` is led through here.
        provider: The application's.
        beside: Whether that is our own provider, to which the application added processors.
    """

    def __init__(self, runtime: Runtime, provider: otel_trace.TracerProvider, *, beside: bool = False) -> None:
        # Here, not at the first end of a span.
        from llmops_sdk.tracing.interop._convert import SpanConverter
        from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

        self.provider = provider
        self.beside = beside
        self._tracer = provider.get_tracer(SCOPE, __version__)
        self._content = runtime.settings.export.host_content
        self._convert = SpanConverter(content=self._content)
        redaction = runtime.settings.redaction
        # What it finds is counted where the pipeline finds it too.
        self._redact = RedactionStage(redaction.patterns, _uncounted) if redaction.enabled else None
        self._pipeline_put = runtime.pipeline.put

    def begin(self, runtime: Runtime, context: _active.Context, name: str, kind: str, otel_kind: str) -> Span:
        """A new span below the current one of `context`, with the ids that the application's tracer gave it."""
        outer = guarded("beginning a span at the application's tracer", None, self._start, context, name, otel_kind)
        return _span(runtime, context, name, kind, outer)

    def _start(self, context: _active.Context, name: str, otel_kind: str) -> OtelSpan:
        return self._tracer.start_span(name, context=context, kind=_KINDS.get(otel_kind, SpanKind.INTERNAL))

    def put(self, record: ScoreRecord | LossRecord | Recordable, size: int) -> None:
        """Queue a record for the pipeline; a span ends at the application's provider first, in its own thread."""
        if type(record) is Span:
            outer = record._outer  # pyright: ignore[reportPrivateUsage] - a friend
            if outer is not None:
                guarded("ending a span at the application's tracer", None, self._end, record, outer)
                if record._outer_only:  # pyright: ignore[reportPrivateUsage]
                    return
        self._pipeline_put(record, size)

    def _end(self, span: Span, outer: OtelSpan) -> None:
        end_time = span._start_ns + span.duration_ns  # pyright: ignore[reportPrivateUsage]
        if outer.is_recording():
            guarded("showing a span to the application's tracer", None, self._show, span, outer)
        outer.end(end_time)

    def without_content(self, span: Recordable) -> ReadableSpan:
        """What the application may see of a span: content only where `[export] host_content` says so."""
        record = cast("RecordedSpan", span._to_record())  # pyright: ignore[reportPrivateUsage] - a friend
        record.stamp = None  # sessions and users are named in our pipeline only
        if not self._content:
            record.input = record.output = None
        return self._convert(record if self._redact is None else cast("RecordedSpan", self._redact([record])[0]))

    def _show(self, span: Span, outer: OtelSpan) -> None:
        shown = self.without_content(span)
        outer.update_name(shown.name)
        outer.set_attributes(shown.attributes or {})
        for event in shown.events:
            outer.add_event(event.name, event.attributes, event.timestamp)
        for link in shown.links:
            outer.add_link(link.context, link.attributes)
        outer.set_status(shown.status)


class Watch:
    """Looks for the application's provider at each root until there is one, where we leave the place free for it.

    Args:
        adopt: Joins the provider that is there and gives the runtime another beginner, or none.
    """

    def __init__(self, adopt: Callable[[Runtime], None]) -> None:
        self._adopt = adopt

    def begin(self, runtime: Runtime, context: _active.Context, name: str, kind: str, otel_kind: str) -> Span | None:
        """A new span at the application's provider too once there is one; the ordinary way until then."""
        if type(context.get(_active.SPAN_KEY)) is Span:
            return None
        if not isinstance(otel_trace.get_tracer_provider(), otel_trace.ProxyTracerProvider):
            guarded("joining the application's tracer provider", None, self._adopt, runtime)
        host = runtime.host
        return None if host is None or host is self else host.begin(runtime, context, name, kind, otel_kind)


class Off:
    """Begins spans that are none, where the SDK is turned off: other libraries' spans join what is above them."""

    def begin(self, runtime: Runtime, context: _active.Context, name: str, kind: str, otel_kind: str) -> Span:  # noqa: ARG002 - as a `Beginner`
        """A span of which nothing is kept and that stands for the one above it."""
        above = _above(context)
        start = time.time_ns()
        trace_number = above.trace_id or new_trace_id(start)
        span = new_span(runtime, name, kind, trace_number, above.span_id, None, start, recording=False)
        span._outer = NonRecordingSpan(above)  # pyright: ignore[reportPrivateUsage] - a friend
        return span


def _above(context: _active.Context) -> SpanContext:
    parent = context.get(_active.SPAN_KEY)
    return parent.get_span_context() if isinstance(parent, OtelSpan) else INVALID_SPAN_CONTEXT


def _span(runtime: Runtime, context: _active.Context, name: str, kind: str, outer: OtelSpan | None) -> Span:
    """Our span of a call that has the span `outer` at the application's provider, or none there."""
    above = _above(context)
    start = time.time_ns()
    found = INVALID_SPAN_CONTEXT if outer is None else outer.get_span_context()
    if not found.is_valid or found.span_id == above.span_id:
        outer = None  # its tracer is turned off
        trace_number = above.trace_id or new_trace_id(start)
        found = SpanContext(trace_number, new_span_id(), is_remote=False, trace_state=above.trace_state)
    kept = runtime.enabled and _kept(runtime, context.get(_active.SPAN_KEY), above, found.trace_id)
    outer_only = not kept and outer is not None and outer.is_recording()
    parent_number = above.span_id if found.trace_id == above.trace_id else 0
    stamp: Any = context.get(_active.STAMP_KEY)
    span = new_span(runtime, name, kind, found.trace_id, parent_number, stamp, start, kept or outer_only)
    span._span_number = found.span_id  # pyright: ignore[reportPrivateUsage] - a friend
    span._trace_state = found.trace_state  # pyright: ignore[reportPrivateUsage] - a friend
    if outer is not None:
        span._outer = outer  # pyright: ignore[reportPrivateUsage]
        span._outer_only = outer_only  # pyright: ignore[reportPrivateUsage]
    return span


def _kept(runtime: Runtime, parent: object, above: SpanContext, trace_number: int) -> bool:
    """What `OTEL_TRACES_SAMPLER` says for our pipeline; the application's sampler decides for its own provider."""
    wanted: bool | None = None
    if type(parent) is Span:
        wanted = parent.recording and not parent._outer_only  # pyright: ignore[reportPrivateUsage] - a friend
    elif above.is_valid:
        wanted = bool(above.trace_flags.sampled)
    return wanted is not False if runtime.sampler is None else runtime.sampler.keeps(trace_number, wanted)


def _uncounted(_what: str, _reason: str, _count: int, _bytes: int) -> None:
    """Counts nothing."""
