"""Name all attributes and events in one place.

The `gen_ai.*` names follow the GenAI semantic conventions 1.37 to 1.41 (status: development). The constants of
`opentelemetry.semconv._incubating` are deprecated, so this module does not import them. Names without a convention are
under `llmops.*`.
"""

from __future__ import annotations

# The kinds of spans; exporters map them to `openinference.span.kind` for Phoenix.
KINDS = ("chain", "agent", "tool", "retriever", "llm", "embedding", "reranker", "guardrail", "evaluator")

# Model calls.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_PREFIX = "gen_ai.request."
OUTPUT_TYPE = "gen_ai.output.type"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # seconds
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"  # the only spelling that Phoenix and Langfuse read
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"  # the newer name of the same
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
OPENINFERENCE_REASONING_TOKENS = "llm.token_count.completion_details.reasoning"  # Phoenix reads it
REASONING_LEVEL = "gen_ai.request.reasoning.level"
EMBEDDING_DIMENSIONS = "gen_ai.embeddings.dimension.count"
OPENAI_REQUEST_SERVICE_TIER = "openai.request.service_tier"
OPENAI_SERVICE_TIER = "openai.response.service_tier"
OPENAI_FINGERPRINT = "openai.response.system_fingerprint"
COST = "gen_ai.usage.cost"  # USD
PROMPT_NAME = "gen_ai.prompt.name"
PROMPT_VERSION = "gen_ai.prompt.version"

# Content: JSON text. Exporters send it only if the configuration allows it.
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
RETRIEVAL_QUERY = "gen_ai.retrieval.query.text"
RETRIEVAL_DOCUMENTS = "gen_ai.retrieval.documents"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
CONTENT_ATTRIBUTES = frozenset(
    {
        INPUT_MESSAGES,
        OUTPUT_MESSAGES,
        TOOL_DEFINITIONS,
        SYSTEM_INSTRUCTIONS,
        RETRIEVAL_DOCUMENTS,
        TOOL_ARGUMENTS,
        TOOL_RESULT,
        "input.value",
        "output.value",
    }
)

# Tools, agents, retrievers.
TOOL_NAME = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
AGENT_NAME = "gen_ai.agent.name"

# Ours.
KIND = "llmops.kind"
STATUS = "llmops.status"  # ok, error, cancelled, closed, unset
CACHE = "llmops.cache"  # exact, semantic
MODEL_NAME = "llmops.model.name"  # as the application wrote it, as in "fast"
MODEL_TARGET = "llmops.model.target"  # provider and model that it stands for
DEPLOYMENT = "llmops.deployment"  # the deployment that served, by its configured name
ATTEMPTS = "llmops.attempts"  # how many
SAVED_COST = "llmops.saved_cost"  # USD
SIMULATED = "llmops.simulated"
TAGS = "llmops.tags"
UNSAMPLED = "llmops.export.unsampled"  # the caller is not sampled: only the local store keeps the span
METADATA_PREFIX = "llmops.metadata."

# Session, user, error and server.
SESSION_ID = "session.id"
CONVERSATION_ID = "gen_ai.conversation.id"
USER_ID = "user.id"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# Events of a span. Their attributes are named like the columns of the views `attempts`, `cache_lookups`,
# `guard_verdicts`, `traffic` and `routes`.
EVENT_ATTEMPT = "llmops.attempt"
EVENT_FALLBACK = "llmops.fallback"
EVENT_CACHE_LOOKUP = "llmops.cache.lookup"
EVENT_GUARD_VERDICT = "llmops.guard.verdict"
EVENT_TRAFFIC = "llmops.traffic"
EVENT_ROUTE = "llmops.route"
EVENT_GUARDRAIL_RESULT = "gen_ai.guardrail.result"  # its name in the conventions, for export
EVENT_EXCEPTION = "exception"
GUARD_STREAM_DELAY = "llmops.guard.stream_delay_ms"

# Metrics of model calls.
METRIC_DURATION = "gen_ai.client.operation.duration"
METRIC_INFERENCE = "gen_ai.client.inference.duration"  # newer, beside the general one
METRIC_EMBEDDINGS = "gen_ai.client.embeddings.duration"
METRIC_TOKENS = "gen_ai.client.token.usage"
METRIC_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
METRIC_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - input or output, of a model
# Newer, beside those above: counters of each kind of token, and histograms of a call's input and output.
METRIC_USAGE = "gen_ai.client.inference.usage."
METRIC_OPERATION_TOKENS = "gen_ai.client.inference.operation."
METRIC_EMBEDDING_TOKENS = "gen_ai.client.embeddings.operation.input_tokens"
METRIC_INFERENCE_FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
METRIC_INFERENCE_CHUNK = "gen_ai.client.inference.time_per_output_chunk"
TOKEN_MODALITY = "gen_ai.token.modality"  # noqa: S105 - of a model's tokens

# The content of a call as a log record.
EVENT_DETAILS = "gen_ai.client.inference.operation.details"
# Up to 1.36: one event a message, of a span or as a log record. With the message's role.
MESSAGE_EVENTS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "assistant",
}
EVENT_CHOICE = "gen_ai.choice"

# A score as a separate event.
EVENT_EVALUATION = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_VALUE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"
SCORE_SOURCE = "llmops.score.source"
SCORE_DOCUMENT = "llmops.score.document_id"
