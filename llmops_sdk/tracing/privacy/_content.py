"""Tell which attributes of a span are content, which must not leave the machine by default.

Other libraries' spans pass through the pipeline too. So this covers the GenAI conventions and their older names,
OpenInference, Traceloop, and the attributes of Langfuse, MLflow, Logfire and pydantic-ai.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.tracing.records import _semconv as names

__all__ = ["event_without_content", "is_content"]

_CONTENT_KEYS = names.CONTENT_ATTRIBUTES | {
    "all_messages_events",
    "embedding.text",
    "embedding.vector",
    "exception.message",
    "exception.stacktrace",
    "final_result",
    "gen_ai.completion",
    "gen_ai.evaluation.explanation",
    "gen_ai.prompt",
    "gen_ai.retrieval.query.text",
    "input",
    "llm.invocation_parameters",
    "logfire.msg",
    "message.content",
    "model_request_parameters",
    "output",
    "request_data",
    "response_data",
    "tool.parameters",
    "tool_arguments",
    "tool_call.function.arguments",
    "tool_response",
}
_CONTENT_PREFIXES = (
    "embedding.embeddings",
    "gen_ai.completion.",
    "gen_ai.input.",
    "gen_ai.output.messages",
    "gen_ai.prompt.",
    "gen_ai.retrieval.documents",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "input.",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "llm.function_call",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompt_template",
    "llm.prompts",
    "llm.completions",
    "llm.tools",
    "mlflow.chat.messages",
    "mlflow.chat.tools",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "output.",
    "pydantic_ai.all_messages",
    "reranker.input_documents",
    "reranker.output_documents",
    "reranker.query",
    "retrieval.documents",
    "traceloop.entity.input",
    "traceloop.entity.output",
)
# These match a prefix above but are not content.
_SAFE_KEYS = frozenset({names.PROMPT_NAME, names.PROMPT_VERSION, "input.mime_type", "output.mime_type"})

# Events use an allowlist: `gen_ai.user.message` and similar events hold content under plain names such as
# "content", and an application's own events may hold anything.
_SAFE_EVENT_KEYS = frozenset(
    {
        "error.type",
        "exception.escaped",
        "exception.type",
        "finish_reason",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.label",
        "gen_ai.evaluation.score.value",
        "gen_ai.provider.name",
        "gen_ai.response.id",
        "gen_ai.system",
        "index",
        "role",
    }
)
_SAFE_OWN_EVENT_KEYS = frozenset(
    {
        "action",
        "age_s",
        "attempt",
        "cost",
        "decision",
        "duration_ms",
        "error_type",
        "guard",
        "hit",
        "model",
        "provider",
        "rail",
        "reason",
        "retry_after",
        "saved_cost",
        "similarity",
        "start_time",
        "status",
        "status_code",
        "tier",
    }
)
_OWN_EVENTS = frozenset({names.EVENT_ATTEMPT, names.EVENT_CACHE_LOOKUP, names.EVENT_GUARD_VERDICT})


def is_content(key: str, value: Any) -> bool:
    """Tell whether a span's attribute may hold a prompt, an answer, arguments or a result."""
    if key in _SAFE_KEYS:
        return False
    # Only messages are JSON in bytes.
    return isinstance(value, bytes) or key in _CONTENT_KEYS or key.startswith(_CONTENT_PREFIXES)


def event_without_content(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's attributes that are not content."""
    allowed = _SAFE_OWN_EVENT_KEYS if name in _OWN_EVENTS else _SAFE_EVENT_KEYS
    return {key: value for key, value in attributes.items() if key in allowed and not isinstance(value, bytes)}
