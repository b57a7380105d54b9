"""Show instrumentors' spans to the application's span processors too, without content.

This happens only if the application has its own SDK provider. `tracer_provider()` is then a different one, and the
application's traces would lack the spans that instrumentors create there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Status

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.interop._foreign_span import PendingForeignSpan
from llmops_sdk.tracing.interop._host_spans import HostSpans, sdk_provider
from llmops_sdk.tracing.spans import _runtime

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan

__all__ = ["ForwardedSpan", "HostForwarder"]

_MAX_OPEN = 65_536


class ForwardedSpan(ReadableSpan):
    """A span as the application's processors see it: while it is open, only its name and its ids."""

    added: dict[str, Any]
    """Attributes that the processors set."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute, as a processor may when a span starts."""
        self.added[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.added.update(attributes)


class HostForwarder(SpanProcessor):
    """Starts and ends each span at the application's processors."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, Any]] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        guarded("showing a span to the application", None, self._start, span, parent_context)

    def _start(self, span: SdkSpan, parent_context: Context | None) -> None:
        host, processor = _application()
        if host is None or processor is None or len(self._open) >= _MAX_OPEN:
            return
        shown = _copy(host, span)
        self._open[span.get_span_context().span_id] = shown.added
        processor.on_start(shown, parent_context)  # pyright: ignore[reportArgumentType] - it has all that processors read

    def on_end(self, span: ReadableSpan) -> None:
        guarded("showing a span to the application", None, self._end, span)

    def _end(self, span: ReadableSpan) -> None:
        own = span.get_span_context()
        added = None if own is None else self._open.pop(own.span_id, None)
        host, processor = _application()
        if own is None or added is None or host is None or processor is None or not own.trace_flags.sampled:
            return
        shown = _copy(host, span, host.without_content(PendingForeignSpan(span)), added)
        processor.on_end(shown)


def _application() -> tuple[HostSpans | None, SpanProcessor | None]:
    runtime = _runtime.current
    host = None if runtime is None else runtime.span_starter
    # Processors on our own provider see its spans without us.
    if not isinstance(host, HostSpans) or host.on_our_provider:
        return None, None
    provider = sdk_provider(host.provider)
    if provider is None:
        return None, None
    # The SDK has no public way to a provider's processors.
    processor = getattr(provider, "_active_span_processor", None)
    return host, processor if isinstance(processor, SpanProcessor) else None


def _copy(
    host: HostSpans, span: ReadableSpan, visible: ReadableSpan | None = None, added: dict[str, Any] | None = None
) -> ForwardedSpan:
    provider: Any = sdk_provider(host.provider)
    copy = ForwardedSpan(
        name=span.name if visible is None else visible.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=provider.resource,
        attributes={} if visible is None else {**(visible.attributes or {}), **(added or {})},
        events=() if visible is None else visible.events,
        links=() if visible is None else visible.links,
        kind=span.kind,
        status=Status() if visible is None else visible.status,
        start_time=span.start_time,
        end_time=None if visible is None else span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    copy.added = {}
    return copy
