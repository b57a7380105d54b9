"""Whether a span of another library describes a call to a model that a second span describes too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._span_kinds import CALLS, kind_of
from llmops_sdk.tracing.spans._span import Span

__all__ = ["is_call", "is_described"]

# What OpenInference's instrumentors know of a call when it begins; its kind they set at the end.
_OPENINFERENCE_CALL = ("llm.system", "llm.provider", "llm.invocation_parameters", "embedding.invocation_parameters")


# Clients that make spans of their own, and the instrumentors that describe the same calls with more. Where the
# instrumentor is on, its span is the call; it does not always stand above the client's.
_INSTRUMENTORS = {
    "com.anthropic.sdk.python": (
        ("openinference.instrumentation.anthropic", "AnthropicInstrumentor"),
        ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor"),
    ),
}


def is_described(scope: str) -> bool:
    """Whether an instrumentor that is on describes the calls that this client makes spans of by itself."""
    for module, name in _INSTRUMENTORS.get(scope, ()):
        instrumentor = getattr(sys.modules.get(module), name, None)
        if instrumentor is not None and instrumentor().is_instrumented_by_opentelemetry:
            return True
    return False


def is_call(span: object) -> bool:
    """Whether an open span is that of a call to a model, as far as it says so by now.

    A function that was only declared `@trace(kind="llm")` is none: its calls are those below it.
    """
    if type(span) is Span:
        attributes: Any = span._attributes  # pyright: ignore[reportPrivateUsage] - a friend
        return span.kind in CALLS and attributes is not None and sc.OPERATION in attributes
    attributes = getattr(span, "attributes", None)
    if not isinstance(attributes, Mapping):
        return False
    known = cast("Mapping[str, Any]", attributes)
    return kind_of(known) in CALLS or any(name in known for name in _OPENINFERENCE_CALL)
