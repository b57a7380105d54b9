"""What another library's span is, by whatever vocabulary it speaks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.tracing import _semconv as sc
from llmops_sdk.tracing._span import Span

__all__ = ["CALLS", "is_call", "is_described", "kind_of"]

# By attribute, the first that says something decides. Values in lower case.
_KINDS: Mapping[str, Mapping[str, str]] = {
    sc.KIND: {kind: kind for kind in sc.KINDS},
    # OpenInference
    "openinference.span.kind": {**{kind: kind for kind in sc.KINDS}, "prompt": "chain"},
    # Traceloop
    "traceloop.span.kind": {"workflow": "chain", "task": "chain", "agent": "agent", "tool": "tool"},
    # The GenAI conventions, older names of operations included
    sc.OPERATION: {
        "chat": "llm",
        "text_completion": "llm",
        "completion": "llm",
        "generate_content": "llm",
        "embeddings": "embedding",
        "embedding": "embedding",
        "execute_tool": "tool",
        "invoke_agent": "agent",
        "create_agent": "agent",
        "invoke_workflow": "chain",
        "plan": "chain",
        "retrieval": "retriever",
        "rerank": "reranker",
    },
    # Traceloop, before the conventions
    "llm.request.type": {"chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "reranker"},
}
CALLS = ("llm", "embedding")
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


def kind_of(attributes: Mapping[str, Any], *, inner: bool = False) -> str:
    """The kind of another library's span.

    Args:
        attributes: Its attributes.
        inner: Whether another span stands for the call, the one above it most often. A call that two libraries
            describe is counted once: this one is of the kind "chain".
    """
    kind = "chain"
    for name, kinds in _KINDS.items():
        value = attributes.get(name)
        known = kinds.get(value.lower()) if isinstance(value, str) else None
        if known is not None:
            kind = known
            break
    return "chain" if inner and kind in CALLS else kind


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
