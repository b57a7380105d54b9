"""What instrumentors record for our pipeline, shown to the application's span processors too, without content.

Only where an application has an SDK provider of its own: there `tracer_provider()` is another, and without this the
application's tree would lack the spans between its own and ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Status

from llmops_sdk._util._guard import guarded
from llmops_sdk.tracing.interop._foreign_span import ForeignSpan
from llmops_sdk.tracing.interop._host import Host
from llmops_sdk.tracing.spans import _runtime

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan

__all__ = ["Forwarded", "Forwarder"]

_MAX_OPEN = 65_536


class Forwarded(ReadableSpan):
    """A span as the application's processors see it: while it is open nothing of it but its name and its place."""

    added: dict[str, Any]
    """What the processors set on it."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute, as a processor may when a span begins."""
        self.added[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several."""
        self.added.update(attributes)


class Forwarder(SpanProcessor):
    """Begins and ends each span at the application's processors."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, Any]] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Show that it begins."""
        guarded("showing a span to the application", None, self._start, span, parent_context)

    def _start(self, span: SdkSpan, parent_context: Context | None) -> None:
        host, processor = _application()
        if host is None or processor is None or len(self._open) >= _MAX_OPEN:
            return
        shown = _copy(host, span)
        self._open[span.get_span_context().span_id] = shown.added
        processor.on_start(shown, parent_context)  # pyright: ignore[reportArgumentType] - all that a processor asks of one

    def on_end(self, span: ReadableSpan) -> None:
        """Show what may leave of it."""
        guarded("showing a span to the application", None, self._end, span)

    def _end(self, span: ReadableSpan) -> None:
        own = span.get_span_context()
        added = None if own is None else self._open.pop(own.span_id, None)
        host, processor = _application()
        if own is None or added is None or host is None or processor is None or not own.trace_flags.sampled:
            return
        shown = _copy(host, span, host.without_content(ForeignSpan(span)), added)
        processor.on_end(shown)

    def shutdown(self) -> None:
        """Nothing of its own to release."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - as OpenTelemetry calls it
        """Nothing waits here."""
        return True


def _application() -> tuple[Host | None, SpanProcessor | None]:
    runtime = _runtime.current
    host = None if runtime is None else runtime.host
    # Processors that were added to our own provider see its spans by themselves.
    if not isinstance(host, Host) or not isinstance(host.provider, TracerProvider) or host.beside:
        return None, None
    # The SDK has no public way to a provider's processors.
    processor = getattr(host.provider, "_active_span_processor", None)
    return host, processor if isinstance(processor, SpanProcessor) else None


def _copy(
    host: Host, span: ReadableSpan, shown: ReadableSpan | None = None, added: dict[str, Any] | None = None
) -> Forwarded:
    provider: Any = host.provider
    copy = Forwarded(
        name=span.name if shown is None else shown.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=provider.resource,
        attributes={} if shown is None else {**(shown.attributes or {}), **(added or {})},
        events=() if shown is None else shown.events,
        links=() if shown is None else shown.links,
        kind=span.kind,
        status=Status() if shown is None else shown.status,
        start_time=span.start_time,
        end_time=None if shown is None else span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    copy.added = {}
    return copy
