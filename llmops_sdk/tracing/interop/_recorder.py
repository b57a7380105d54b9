"""Spans of other libraries, through an OpenTelemetry SDK TracerProvider, into the same pipeline.

Where the application has a provider of its own, our processor is added to it and our spans are begun at it too
(`_host`); where there is none, one is installed so that instrumented libraries have somewhere to send to. An
application that sets its own later is told by OpenTelemetry's warning; `[tracing] global_provider = "never"` leaves
the place free for it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.sdk.trace.sampling import _get_from_env_or_default as environment_sampler  # pyright: ignore[reportPrivateUsage] - there is no public way

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.interop._foreign_span import ForeignSpan
from llmops_sdk.tracing.interop._forward import Forwarded, Forwarder
from llmops_sdk.tracing.interop._host import SCOPE, Host, Watch
from llmops_sdk.tracing.interop._inner_calls import is_call, is_described
from llmops_sdk.tracing.records._records import Stamp
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._span import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import Link, SpanKind
    from opentelemetry.trace.span import TraceState
    from opentelemetry.util.types import Attributes

    from llmops_sdk.tracing.spans._runtime import Runtime

__all__ = ["ForeignRecorder", "adopt", "own_provider"]

_MAX_OPEN = 65_536
_lock = threading.Lock()
_own: _OwnProvider | None = None


def adopt(runtime: Runtime) -> None:
    """Join the process's tracer provider, or become it where there is none: as often as a runtime is made."""
    provider = otel_trace.get_tracer_provider()
    if isinstance(provider, otel_trace.ProxyTracerProvider):
        if runtime.settings.tracing.global_provider == "never":
            runtime.host = Watch(adopt)
            return
        otel_trace.set_tracer_provider(own_provider(runtime))
        provider = otel_trace.get_tracer_provider()
    runtime.host = None
    if isinstance(provider, otel_trace.NoOpTracerProvider) or (isinstance(provider, _OwnProvider) and provider.alone):
        return
    if isinstance(provider, TracerProvider) and not isinstance(provider, _OwnProvider):
        _record_from(provider)
    host = Host(runtime, provider, beside=isinstance(provider, _OwnProvider))
    runtime.put = host.put
    runtime.host = host


def _record_from(provider: TracerProvider) -> None:
    """Add our processor, once."""
    with _lock:
        if not getattr(provider, "_llmops_recorder", False):
            provider._llmops_recorder = True  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            provider.add_span_processor(ForeignRecorder())


def own_provider(runtime: Runtime) -> TracerProvider:
    """The provider of ours, made at first use: the global one, or one beside the application's."""
    global _own
    with _lock:
        if _own is None:
            _own = _OwnProvider(dict(runtime.resource))
        return _own


class _OwnProvider(TracerProvider):
    """Feeds our pipeline. A processor that the application adds to it makes it the application's provider as well."""

    alone = True

    def __init__(self, resource: dict[str, Any]) -> None:
        super().__init__(sampler=_WithOurs(), resource=Resource.create(resource), shutdown_on_exit=False)
        super().add_span_processor(ForeignRecorder(unsampled=True))
        super().add_span_processor(Forwarder())

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor of the application's."""
        super().add_span_processor(span_processor)
        self.alone = False
        runtime = _runtime.current
        if runtime is not None and runtime.enabled:
            guarded("joining the application's span processor", None, adopt, runtime)


class _WithOurs(Sampler):
    """Keeps for our pipeline what is below a span that is recorded; else the environment's sampler decides.

    The flag that other services see stays that of the application's sampler.
    """

    def __init__(self) -> None:
        self._roots = environment_sampler()

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,  # noqa: ARG002 - as OpenTelemetry calls it
    ) -> SamplingResult:
        """The environment's decision, but for what is below a span of ours that is kept."""
        result = self._roots.should_sample(parent_context, trace_id, name, kind, attributes, links)
        above = otel_trace.get_current_span(parent_context)
        ours = type(above) is not Span or not above._outer_only  # pyright: ignore[reportPrivateUsage] - a friend
        if result.decision is Decision.DROP and above.is_recording() and ours:
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        """For OpenTelemetry's own use."""
        return f"llmops({self._roots.get_description()})"


class ForeignRecorder(SpanProcessor):
    """Queues every ended SDK span for the pipeline, with the stamp that was in force at its start.

    Args:
        unsampled: Take those too that are recorded but not sampled.
    """

    def __init__(self, *, unsampled: bool = False) -> None:
        self._unsampled = unsampled
        self._starts: dict[int, tuple[Stamp | None, bool]] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Remember what stands around it: the span may end in another context."""
        if isinstance(span, Forwarded) or _is_ours(span):
            return
        context = _active.get() if parent_context is None else parent_context
        stamp = context.get(_active.STAMP_KEY)
        known = stamp if isinstance(stamp, Stamp) else None
        inner = guarded("looking above another library's span", False, _is_inner, span, context)
        if (known is not None or inner) and len(self._starts) < _MAX_OPEN:
            self._starts[span.get_span_context().span_id] = known, inner

    def on_end(self, span: ReadableSpan) -> None:
        """Queue it."""
        runtime = _runtime.current
        own = span.get_span_context()
        if own is None or isinstance(span, Forwarded) or _is_ours(span):
            return
        stamp, inner = self._starts.pop(own.span_id, (None, False))
        if runtime is not None and runtime.enabled and (own.trace_flags.sampled or self._unsampled):
            foreign = ForeignSpan(span, stamp, inner, content=runtime.content)
            guarded("taking in another library's span", None, runtime.put, foreign, foreign.size)

    def shutdown(self) -> None:
        """Nothing of its own to release."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Bring what is queued to its place."""
        runtime = _runtime.current
        return runtime is None or runtime.pipeline.flush(timeout_millis / 1000).pending == 0


def _is_inner(span: ReadableSpan, context: Context) -> bool:
    scope = span.instrumentation_scope
    return is_call(context.get(_active.SPAN_KEY)) or (scope is not None and is_described(scope.name))


def _is_ours(span: ReadableSpan) -> bool:
    """Whether it is the twin of a span of ours, which our pipeline has already."""
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE
