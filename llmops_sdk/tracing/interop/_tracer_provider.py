"""The tracer provider that feeds the pipeline, for instrumentors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk.tracing.spans import _runtime

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["tracer_provider"]


def tracer_provider() -> TracerProvider:
    """The OpenTelemetry tracer provider whose spans come into the local store, to be handed to an instrumentor.

    It is the global one where the application has none of its own. Where it has one, this is another, so that what
    instrumentors put on their spans, prompts and answers above all, goes to our pipeline only.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.tracing import tracer_provider
        >>> tracer = tracer_provider().get_tracer("my.instrumentor")
        >>> with llmops.span("above") as above, tracer.start_as_current_span("below") as below:
        ...     format(below.parent.span_id, "016x") == above.span_id
        True
    """
    from llmops_sdk.tracing.interop._recorder import own_provider

    return own_provider(_runtime.current or _runtime.start())
