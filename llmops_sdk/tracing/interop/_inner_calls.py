"""Detect a model call that two libraries describe, each with a span."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._span_kinds import CALLS, kind_of
from llmops_sdk.tracing.spans._span import Span

__all__ = ["is_call", "is_described"]

# OpenInference's instrumentors set these when a call starts, and its kind only at the end.
_OPENINFERENCE_CALL = ("llm.system", "llm.provider", "llm.invocation_parameters", "embedding.invocation_parameters")

# Clients that create spans of their own, and the instrumentors whose spans describe the same calls in more detail. If
# the instrumentor is on, its span counts; it is not always above the client's.
_INSTRUMENTORS = {
    "com.anthropic.sdk.python": (
        ("openinference.instrumentation.anthropic", "AnthropicInstrumentor"),
        ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor"),
    ),
}


def is_described(scope: str) -> bool:
    """Return whether an active instrumentor describes the calls of this client too."""
    for module, name in _INSTRUMENTORS.get(scope, ()):
        instrumentor = getattr(sys.modules.get(module), name, None)
        if instrumentor is not None and instrumentor().is_instrumented_by_opentelemetry:
            return True
    return False


def is_call(span: object) -> bool:
    """Return whether an open span is known by now to be a model call.

    A function declared `@trace(kind="llm")` does not count: its calls are below it.
    """
    if type(span) is Span:
        return span.kind in CALLS and span.has_attribute(sc.OPERATION)
    attributes = getattr(span, "attributes", None)
    if not isinstance(attributes, Mapping):
        return False
    known = cast("Mapping[str, Any]", attributes)
    return kind_of(known) in CALLS or any(name in known for name in _OPENINFERENCE_CALL)
