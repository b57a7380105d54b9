"""The tracer provider that feeds the pipeline, for instrumentors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk.tracing.spans import _runtime

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["tracer_provider"]


def tracer_provider() -> TracerProvider:
    """Return the OpenTelemetry tracer provider that feeds the local store, for an instrumentor.

    It is the global provider unless the application has its own. Then it is a separate one, so that prompts and answers
    on instrumentors' spans go to our pipeline only.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.tracing import tracer_provider
        >>> tracer = tracer_provider().get_tracer("my.instrumentor")
        >>> with llmops.span("above") as above, tracer.start_as_current_span("below") as below:
        ...     format(below.parent.span_id, "016x") == above.span_id
        True
    """
    from llmops_sdk.tracing.interop._foreign_recorder import own_provider

    return own_provider(_runtime.current or _runtime.start())
