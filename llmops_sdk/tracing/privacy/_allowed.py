"""The names of attributes of other libraries whose texts are no content: identifiers, enumerations and addresses.

An allow-list, so that a name which a library invents tomorrow stays on this machine. Sources: the semantic conventions
of OpenTelemetry (general and GenAI), OpenInference, Traceloop, and the names of Langfuse, MLflow and the AI SDK.
Not on the list: prompts, answers, arguments and results; free texts such as descriptions and messages of errors;
queries, paths and headers of requests; and documents, schemas and metadata of any shape.
"""

from __future__ import annotations

from llmops_sdk.tracing.records import _semconv as names

__all__ = ["ALLOWED_EVENT_KEYS", "ALLOWED_KEYS", "ALLOWED_OWN_EVENT_KEYS", "MAX_ALLOWED_TEXT"]

MAX_ALLOWED_TEXT = 256
"""Characters. No identifier is longer; a longer text under an allowed name is withheld."""


def _below(prefix: str, endings: str) -> set[str]:
    return {f"{prefix}.{ending}" for ending in endings.split()}


ALLOWED_KEYS = frozenset(
    {
        names.SESSION_ID,
        names.TAGS,
        names.USER_ID,
        "agent_name",
        "artifact.version",
        "deployment.environment",
        "embedding.model_name",
        "enduser.id",
        "enduser.pseudo.id",
        "error.type",
        "event.name",
        "exception.type",
        "gcp.client.service",
        "input.mime_type",
        "jsonrpc.protocol.version",
        "jsonrpc.request.id",
        "model_name",
        "openinference.project.name",
        "openinference.span.kind",
        "output.mime_type",
        "peer.service",
        "prompt.id",
        "prompt.vendor",
        "reranker.model_name",
        "tag.tags",
        "thread.name",
        "tool.id",
        "tool.name",
        "tool_call.id",
        "tool_call.function.name",
        "user.hash",
        *_below("agent", "id name version"),
        *_below("ai", "model.id model.provider operationId response.finishReason response.id response.model"),
        *_below("ai", "telemetry.functionId toolCall.id toolCall.name"),
        *_below("aws", "bedrock.guardrail.id bedrock.knowledge_base.id extended_request_id request_id"),
        *_below("azure", "resource_provider.namespace service.request.id"),
        *_below("az", "namespace service_request_id"),
        *_below("cloud", "availability_zone platform provider region"),
        *_below("code", "file.path filepath function function.name namespace"),
        *_below("db", "collection.name instance.id name namespace operation operation.name"),
        *_below("db", "response.status_code sql.table stored_procedure.name system system.name"),
        *_below("decision", "model_name provider request.model_name response.model_name system"),
        *_below("deployment", "environment.name id name"),
        *_below("faas", "invocation_id invoked_name invoked_provider invoked_region name trigger version"),
        *_below("feature_flag", "key provider.name provider_name result.reason result.variant set.id variant version"),
        *_below("gcp.vertex.agent", "associated_event_ids event_id invocation_id session_id"),
        *_below("gen_ai", "agent.id agent.name agent.version conversation.id data_source.id evaluation.name"),
        *_below("gen_ai", "evaluation.score.label operation.name output.type prompt.name prompt.version provider.name"),
        *_below("gen_ai", "openai.api_type openai.api_version openai.request.response_format"),
        *_below("gen_ai", "openai.request.service_tier openai.response.service_tier"),
        *_below("gen_ai", "openai.response.system_fingerprint openai.system_fingerprint"),
        *_below("gen_ai", "request.encoding_formats request.model request.reasoning.level request.reasoning_effort"),
        *_below("gen_ai", "request.reasoning_summary request.stop_sequences response.finish_reason"),
        *_below("gen_ai", "response.finish_reasons response.id response.model response.reasoning_effort"),
        *_below("gen_ai", "response.stop_reason system task.id task.kind task.name task.parent.id task.status"),
        *_below("gen_ai", "token.type tool.call.id tool.name tool.type usage.token_type user workflow.name"),
        *_below("graph.node", "id name parent_id"),
        *_below("graphql", "operation.name operation.type"),
        *_below("http", "flavor host method request.method request.method_original route scheme server_name"),
        *_below("langfuse", "environment internal.is_app_root observation.completion_start_time observation.level"),
        *_below("langfuse", "observation.cost_details observation.model.name observation.prompt.name observation.type"),
        *_below("langfuse", "observation.usage_details release session.id trace.name trace.tags user.id version"),
        *_below("llm", "finish_reason model_name prompt_template.version provider request.model request.model_name"),
        *_below("llm", "request.reasoning_effort request.type response.finish_reason response.model"),
        *_below("llm", "response.model_name response.stop_reason system usage.token_type user vendor"),
        *_below("logfire", "pending_parent_id span_type tags"),
        *_below("mcp", "method.name protocol.version request.id session.id"),
        *_below("messaging", "client.id consumer.group.name destination.name destination.template operation"),
        *_below("messaging", "message.id operation.name operation.type system"),
        *_below("mlflow", "chat.tokenUsage llm.model llm.provider spanFunctionName spanType traceRequestId"),
        *_below("net", "app.protocol.name app.protocol.version host.name peer.name protocol.name protocol.version"),
        *_below("net", "sock.family sock.peer.name transport"),
        *_below("network", "connection.subtype connection.type io.direction protocol.name protocol.version transport"),
        *_below("network", "peer.address type"),
        *_below("openai", "api.type request.service_tier response.service_tier response.system_fingerprint"),
        *_below("otel", "component.name component.type event.name library.name library.version scope.name"),
        *_below("otel", "scope.version span.parent.origin span.sampling_result status_code"),
        *_below("rpc", "method method_original response.status_code service system system.name"),
        *_below("server", "address socket.address socket.domain"),
        *_below("service", "instance.id name namespace peer.name version"),
        *_below("telemetry", "distro.name distro.version sdk.language sdk.name sdk.version"),
        *_below("traceloop", "association.properties.session_id association.properties.thread_id"),
        *_below("traceloop", "association.properties.user_id correlation.id entity.name entity.path entity.version"),
        *_below("traceloop", "prompt.key prompt.version prompt.version_hash prompt.version_name span.kind"),
        *_below("traceloop", "workflow.name"),
        *_below("url", "domain registered_domain scheme subdomain template top_level_domain"),
    }
)
"""Attributes of other libraries' spans whose texts leave without content. Numbers and flags always do."""

ALLOWED_EVENT_KEYS = frozenset(
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
"""Attributes of events. `gen_ai.user.message` and similar events hold content under plain names such as "content"."""

ALLOWED_OWN_EVENT_KEYS = frozenset(
    {
        "action",
        "age_s",
        "attempt",
        "candidates",
        "cost",
        "decision",
        "default",
        "deployment",
        "duration_ms",
        "error_type",
        "explored",
        "familiarity",
        "findings",
        "guard",
        "hit",
        "limit",
        "mode",
        "model",
        "policy",
        "propensity",
        "provider",
        "rail",
        "reason",
        "retry_after",
        "router",
        "rule",
        "saved_cost",
        "score",
        "serves",
        "similarity",
        "start_time",
        "status",
        "status_code",
        "subject",
        "threshold",
        "tier",
        "truncated",
        "value",
        "version",
        "wait_ms",
    }
)
"""Attributes of the events that this SDK adds: attempts, cache look-ups, verdicts of guards, decisions of traffic
control and of routers."""
