"""Tell the kind of a span from the attributes of any vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["CALLS", "kind_of"]

# By attribute: the first one with a known value decides. Values are in lower case.
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


def kind_of(attributes: Mapping[str, Any], *, inner: bool = False) -> str:
    """Return the kind of another library's span.

    Args:
        attributes: Its attributes.
        inner: Whether another span, usually the parent, represents the same call. The inner span then becomes a
            "chain", so that a call traced by two libraries counts once.
    """
    kind = "chain"
    for name, kinds in _KINDS.items():
        value = attributes.get(name)
        known = kinds.get(value.lower()) if isinstance(value, str) else None
        if known is not None:
            kind = known
            break
    return "chain" if inner and kind in CALLS else kind
