"""Tell which attributes of a span are content, which must not leave the machine by default.

`is_content` knows the names under which libraries keep content: the GenAI conventions and their older names,
OpenInference, Traceloop, Langfuse, MLflow, Logfire, pydantic-ai and others. It is the rule for our own spans, on which
other libraries may set attributes too. Of other libraries' spans `ContentRule` lets pass only what is known to be no
content.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from llmops_sdk.tracing.privacy._allowed import (
    ALLOWED_EVENT_KEYS,
    ALLOWED_KEYS,
    ALLOWED_OWN_EVENT_KEYS,
    MAX_ALLOWED_TEXT,
)
from llmops_sdk.tracing.records import _semconv as names
from llmops_sdk.tracing.records._losses import record_loss
from llmops_sdk.tracing.records._records import SCOPE

__all__ = ["ContentRule", "event_without_content", "is_content"]

_CONTENT_KEYS = names.CONTENT_ATTRIBUTES | {
    "ai.prompt",
    "ai.prompt.messages",
    "ai.response.object",
    "ai.response.text",
    "ai.response.toolCalls",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "all_messages_events",
    "code.stacktrace",
    "db.query.text",
    "db.statement",
    "embedding.text",
    "embedding.vector",
    "error.message",
    "exception.message",
    "exception.stacktrace",
    "final_result",
    "gen_ai.completion",
    "gen_ai.evaluation.explanation",
    "gen_ai.headers",
    "gen_ai.prompt",
    "gen_ai.request.structured_output_schema",
    "gen_ai.retrieval.query.text",
    "graphql.document",
    "input",
    "langfuse.observation.status_message",
    "llm.headers",
    "llm.invocation_parameters",
    "log.record.original",
    "logfire.msg",
    "message.content",
    "model_request_parameters",
    "otel.status_description",
    "output",
    "request_data",
    "response_data",
    "tool.parameters",
    "tool_arguments",
    "tool_call.function.arguments",
    "tool_response",
}
_CONTENT_PREFIXES = (
    "annotation.",
    "annotations",
    "db.operation.parameter",
    "db.query.parameter",
    "document.",
    "embedding.embeddings",
    "evaluation.",
    "evaluations",
    "gcp.vertex.agent.data",
    "gcp.vertex.agent.llm_re",
    "gcp.vertex.agent.tool_",
    "gen_ai.completion.",
    "gen_ai.input.",
    "gen_ai.memory.",
    "gen_ai.output.messages",
    "gen_ai.prompt.",
    "gen_ai.retrieval.documents",
    "gen_ai.task.input",
    "gen_ai.task.output",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "http.request.header",
    "http.response.header",
    "input.",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.trace.input",
    "langfuse.trace.output",
    "llm.choices",
    "llm.function_call",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompt_template",
    "llm.prompts",
    "llm.request.functions",
    "llm.completions",
    "llm.tools",
    "mcp.request.argument",
    "mcp.response.value",
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
    "traceloop.prompt.template",
)
# These match a prefix above but are not content.
_SAFE_KEYS = frozenset(
    {
        names.EVALUATION_NAME,
        names.PROMPT_NAME,
        names.PROMPT_VERSION,
        "document.id",
        "document.score",
        "evaluation.name",
        "evaluation.score",
        "input.mime_type",
        "llm.prompt_template.version",
        "output.mime_type",
    }
)

# The names that this SDK gives, which collected spans of it have.
_OWN_KEYS = frozenset({names.CACHE, names.KIND, names.SCORE_DOCUMENT, names.SCORE_SOURCE, names.STATUS})
_OWN_EVENTS = frozenset(
    {names.EVENT_ATTEMPT, names.EVENT_CACHE_LOOKUP, names.EVENT_GUARD_VERDICT, names.EVENT_ROUTE, names.EVENT_TRAFFIC}
)


def is_content(key: str, value: Any) -> bool:
    """Tell whether a span's attribute may hold a prompt, an answer, arguments or a result."""
    if key in _SAFE_KEYS:
        return False
    # Only messages are JSON in bytes.
    return isinstance(value, bytes) or key in _CONTENT_KEYS or key.startswith(_CONTENT_PREFIXES)


def event_without_content(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's attributes that are not content."""
    allowed = ALLOWED_OWN_EVENT_KEYS if name in _OWN_EVENTS else ALLOWED_EVENT_KEYS
    return {key: value for key, value in attributes.items() if key in allowed and not isinstance(value, bytes)}


class ContentRule:
    """Select what may leave, or be kept, where content may not.

    Of our own spans everything passes but the known content. Of other libraries' spans numbers and flags pass, and
    texts only under the names of `_allowed`: a list of content would always lag behind the libraries.

    Args:
        allow_attributes: Further names that pass, of attributes and of attributes of events; `*` matches any
            characters.
        on_loss: Counts the attributes of other libraries that are withheld, as `record_loss` does.
    """

    def __init__(
        self, allow_attributes: Iterable[str] = (), on_loss: Callable[[str, str, int, int], None] = record_loss
    ) -> None:
        patterns = [fnmatch.translate(name) for name in allow_attributes]
        self._added = re.compile("|".join(patterns)).match if patterns else None
        self._on_loss = on_loss

    def attributes(self, attributes: Mapping[str, Any], scope: str) -> dict[str, Any]:
        """Return the attributes of a span or a link that are not content.

        Args:
            attributes: The attributes.
            scope: The name of the library that made the span.
        """
        if scope == SCOPE:
            return {key: value for key, value in attributes.items() if self._adds(key) or not is_content(key, value)}
        return self._counted(
            attributes, {key: value for key, value in attributes.items() if self._adds(key) or _is_safe(key, value)}
        )

    def event(self, name: str, attributes: Mapping[str, Any], scope: str) -> dict[str, Any]:
        """Return the attributes of an event that are not content."""
        kept = event_without_content(name, attributes)
        if self._added is not None:
            kept = {key: value for key, value in attributes.items() if key in kept or self._adds(key)}
        if scope == SCOPE:
            return kept
        return self._counted(
            attributes, {key: value for key, value in kept.items() if self._adds(key) or _is_short(value)}
        )

    def _adds(self, key: str) -> bool:
        return self._added is not None and self._added(key) is not None

    def _counted(self, attributes: Mapping[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
        withheld = len(attributes) - len(kept)
        if withheld:
            self._on_loss("attribute", "withheld", withheld, 0)
        return kept


def _is_safe(key: str, value: Any) -> bool:
    """Tell whether an attribute of another library is no content."""
    if value is None or isinstance(value, (bool, int, float)):
        return not is_content(key, value)
    return (key in ALLOWED_KEYS or key in _OWN_KEYS) and _is_short(value)


def _is_short(value: Any) -> bool:
    """Tell whether a value is a flag, a number, a short text, or a list of these."""
    if isinstance(value, str):
        return len(value) <= MAX_ALLOWED_TEXT
    if isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        return all(isinstance(item, str) and len(item) <= MAX_ALLOWED_TEXT for item in items)
    return value is None or isinstance(value, (bool, int, float))
