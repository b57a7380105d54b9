"""What of a span may leave the machine when content must not.

Every vocabulary that reaches the pipeline is covered, for other libraries' spans pass through it too: the GenAI
conventions and their older names, OpenInference, Traceloop, and what Langfuse, MLflow, Logfire and pydantic-ai write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_sdk.tracing.records import _semconv as names

__all__ = ["event_without_content", "is_content"]

_KEYS = names.CONTENT_ATTRIBUTES | {
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
_PREFIXES = (
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
# These fall under a prefix above and carry no content.
_SAFE = frozenset({names.PROMPT_NAME, names.PROMPT_VERSION, "input.mime_type", "output.mime_type"})

# Of an event, only what is known to be free of content leaves: `gen_ai.user.message` and its like carry it under
# names as plain as "content", and an application's own events may carry anything.
_EVENT_KEYS = frozenset(
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
_OWN_EVENT_KEYS = frozenset(
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
    """Whether an attribute of a span holds, or may hold, a prompt, an answer, arguments or a result."""
    if key in _SAFE:
        return False
    # JSON that travels as bytes is messages.
    return isinstance(value, bytes) or key in _KEYS or key.startswith(_PREFIXES)


def event_without_content(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an event that may leave."""
    allowed = _OWN_EVENT_KEYS if name in _OWN_EVENTS else _EVENT_KEYS
    return {key: value for key, value in attributes.items() if key in allowed and not isinstance(value, bytes)}
