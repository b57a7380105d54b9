"""Record other libraries' spans through an OpenTelemetry SDK TracerProvider.

If the application has its own provider, we add our processor to it and start twins of our spans there
(`_host_spans`). Otherwise we install ours, so that instrumented libraries have a provider. If the application sets its
own later, OpenTelemetry warns about it; `[tracing] global_provider = "never"` leaves the place free.
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
from llmops_sdk.tracing.interop._foreign_span import PendingForeignSpan
from llmops_sdk.tracing.interop._host_forwarder import ForwardedSpan, HostForwarder
from llmops_sdk.tracing.interop._host_spans import SCOPE, HostSpans, HostWatcher, sdk_provider
from llmops_sdk.tracing.interop._inner_calls import is_call, is_described
from llmops_sdk.tracing.privacy._content import ContentRule
from llmops_sdk.tracing.records._records import Stamp
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._remote import samples_below
from llmops_sdk.tracing.spans._span import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.trace import Link, SpanKind
    from opentelemetry.trace.span import TraceState
    from opentelemetry.util.types import Attributes

    from llmops_sdk.tracing.spans._runtime import Runtime

__all__ = ["ForeignRecorder", "join_tracer_provider", "own_provider"]

_MAX_OPEN = 65_536
_lock = threading.Lock()
_own: _OwnProvider | None = None


def join_tracer_provider(runtime: Runtime) -> None:
    """Join the process's tracer provider, or install ours if there is none. Each new runtime calls this."""
    provider = otel_trace.get_tracer_provider()
    if isinstance(provider, otel_trace.ProxyTracerProvider):
        if runtime.settings.tracing.global_provider == "never":
            runtime.span_starter = HostWatcher(join_tracer_provider)
            return
        otel_trace.set_tracer_provider(own_provider(runtime))
        provider = otel_trace.get_tracer_provider()
    runtime.span_starter = None
    if isinstance(provider, otel_trace.NoOpTracerProvider) or (
        isinstance(provider, _OwnProvider) and provider.feeds_only_us
    ):
        return
    if not isinstance(provider, _OwnProvider):
        _record_from(sdk_provider(provider) or provider)
    host = HostSpans(runtime, provider, on_our_provider=isinstance(provider, _OwnProvider))
    runtime.put = host.put
    runtime.span_starter = host


def _record_from(provider: Any) -> None:
    """Add our processor to the provider, once. It may be of any class that takes processors."""
    with _lock:
        if callable(getattr(provider, "add_span_processor", None)) and not getattr(provider, "_llmops_recorder", False):
            provider._llmops_recorder = True
            provider.add_span_processor(ForeignRecorder())


def own_provider(runtime: Runtime) -> TracerProvider:
    """Return our provider; the first call creates it. It is the global one if the application has none."""
    global _own
    with _lock:
        if _own is None:
            _own = _OwnProvider(dict(runtime.resource))
        return _own


class _OwnProvider(TracerProvider):
    """Our provider. Once the application adds a processor, it counts as the application's provider too."""

    feeds_only_us = True

    def __init__(self, resource: dict[str, Any]) -> None:
        super().__init__(sampler=_OurSampler(), resource=Resource.create(resource), shutdown_on_exit=False)
        super().add_span_processor(ForeignRecorder(unsampled=True))
        super().add_span_processor(HostForwarder())

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        super().add_span_processor(span_processor)
        self.feeds_only_us = False
        runtime = _runtime.current
        if runtime is not None and runtime.enabled:
            guarded("joining the application's span processor", None, join_tracer_provider, runtime)


class _OurSampler(Sampler):
    """Records spans below a recorded span for our pipeline; otherwise the environment's sampler decides.

    Other services see the flag of the application's sampler.
    """

    def __init__(self) -> None:
        self._inner = environment_sampler()

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
        """Return the inner decision, but record what is below a recorded span."""
        result = self._inner.should_sample(parent_context, trace_id, name, kind, attributes, links)
        above = otel_trace.get_current_span(parent_context)
        ours = type(above) is not Span or not above.host_only
        if result.decision is Decision.DROP and above.is_recording() and ours:
            return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        runtime = _runtime.current
        if result.decision is Decision.DROP and ours and runtime is not None and runtime.sampler is None:
            caller = above.get_span_context()
            if caller.is_valid and caller.is_remote and samples_below(runtime, caller):
                return SamplingResult(Decision.RECORD_ONLY, attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        return f"llmops({self._inner.get_description()})"


class ForeignRecorder(SpanProcessor):
    """Enqueues every ended SDK span, with the stamp from its start; `unsampled` includes unsampled spans."""

    def __init__(self, *, unsampled: bool = False) -> None:
        self._unsampled = unsampled
        self._starts: dict[int, tuple[Stamp | None, bool]] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Remember the context of the start: the span may end in another context."""
        if isinstance(span, ForwardedSpan) or _is_twin(span):
            return
        context = _active.get() if parent_context is None else parent_context
        stamp = _active.stamp_of(context)
        known = stamp if isinstance(stamp, Stamp) else None
        inner = guarded("looking above another library's span", False, _is_inner, span, context)
        if (known is not None or inner) and len(self._starts) < _MAX_OPEN:
            self._starts[span.get_span_context().span_id] = known, inner

    def on_end(self, span: ReadableSpan) -> None:
        runtime = _runtime.current
        own = span.get_span_context()
        if own is None or isinstance(span, ForwardedSpan) or _is_twin(span):
            return
        stamp, inner = self._starts.pop(own.span_id, (None, False))
        if runtime is not None and runtime.enabled and (own.trace_flags.sampled or self._unsampled):
            foreign = PendingForeignSpan(span, stamp, inner, rule=_content_rule(runtime))
            guarded("taking in another library's span", None, runtime.put, foreign, foreign.size)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        runtime = _runtime.current
        return runtime is None or runtime.pipeline.flush(timeout_millis / 1000).pending == 0


def _content_rule(runtime: Runtime) -> ContentRule | None:
    return None if runtime.content else ContentRule(runtime.settings.export.allow_attributes)


def _is_inner(span: ReadableSpan, context: Context) -> bool:
    scope = span.instrumentation_scope
    return is_call(context.get(_active.SPAN_KEY)) or (scope is not None and is_described(scope.name))


def _is_twin(span: ReadableSpan) -> bool:
    """Return whether our pipeline has this span already, as a span of ours."""
    return span.instrumentation_scope is not None and span.instrumentation_scope.name == SCOPE
