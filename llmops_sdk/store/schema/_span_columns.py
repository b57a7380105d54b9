"""The columns of stored spans: names, types, meaning, and the attributes that fill them."""

from __future__ import annotations

from llmops_sdk.store.schema._types import StoredColumn
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["SPAN_COLUMNS"]

_SESSION = (
    sc.SESSION_ID,
    sc.CONVERSATION_ID,
    "langfuse.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.thread_id",
)
_USER = (
    sc.USER_ID,
    "enduser.id",
    "gen_ai.user",
    "langfuse.user.id",
    "llm.user",
    "traceloop.association.properties.user_id",
)

_INPUT = ("", "input.value", "traceloop.entity.input", sc.TOOL_ARGUMENTS, sc.RETRIEVAL_QUERY)
_OUTPUT = ("", "output.value", "traceloop.entity.output", sc.TOOL_RESULT, sc.RETRIEVAL_DOCUMENTS)

SPAN_COLUMNS: tuple[StoredColumn, ...] = (
    StoredColumn(
        "trace_id", "VARCHAR", "The trace's id, 32 lower-case hex digits; the first 12 are the time in milliseconds."
    ),
    StoredColumn("span_id", "VARCHAR", "The span's id, 16 lower-case hex digits."),
    StoredColumn("parent_span_id", "VARCHAR", "The parent's id; NULL for the root of a trace."),
    StoredColumn("name", "VARCHAR", "The span's name: a function's qualified name, or an operation and a model."),
    StoredColumn("kind", "VARCHAR", "What it is: " + ", ".join(sc.KINDS) + ".", "", (sc.KIND,), "own"),
    StoredColumn("start_ns", "BIGINT", "When it began, since the epoch.", "ns"),
    StoredColumn("duration_ns", "BIGINT", "How long it took.", "ns"),
    StoredColumn(
        "status", "VARCHAR", "ok, error, cancelled, closed (a stream left early) or unset.", "", (sc.STATUS,), "own"
    ),
    StoredColumn("status_message", "VARCHAR", "The error's message."),
    StoredColumn("error_type", "VARCHAR", "The error's class.", "", (sc.ERROR_TYPE,)),
    StoredColumn(
        "input",
        "JSON",
        "The arguments or the prompt, as JSON.",
        "",
        _INPUT,
    ),
    StoredColumn(
        "output",
        "JSON",
        "The result or the answer, as JSON.",
        "",
        _OUTPUT,
    ),
    StoredColumn("service", "VARCHAR", "The service's name (`service.name`)."),
    StoredColumn("session_id", "VARCHAR", "The session.", "", _SESSION),
    StoredColumn("user_id", "VARCHAR", "The end user.", "", _USER),
    StoredColumn("tags", "VARCHAR[]", "The tags; empty when there is none.", "", (sc.TAGS, "tag.tags")),
    StoredColumn("simulated", "BOOLEAN", "Whether no real model answered (the offline provider).", "", (sc.SIMULATED,)),
    StoredColumn("operation", "VARCHAR", "The operation: chat, text_completion, embeddings, …", "", (sc.OPERATION,)),
    StoredColumn(
        "provider", "VARCHAR", "The provider's name.", "", (sc.PROVIDER, "gen_ai.system", "llm.provider", "llm.system")
    ),
    StoredColumn(
        "request_model",
        "VARCHAR",
        "The model that was asked for.",
        "",
        (sc.REQUEST_MODEL, "llm.request.model_name", "llm.request.model"),
    ),
    StoredColumn(
        "model",
        "VARCHAR",
        "The model that served; in `llm_calls` the one asked for when none did.",
        "",
        (sc.RESPONSE_MODEL, "llm.response.model_name", "llm.response.model", "llm.model_name", "embedding.model_name"),
    ),
    StoredColumn(
        "input_tokens",
        "BIGINT",
        "Tokens of the prompt, cached ones included.",
        "tokens",
        (sc.INPUT_TOKENS, "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens"),
    ),
    StoredColumn(
        "output_tokens",
        "BIGINT",
        "Tokens of the answer, reasoning included.",
        "tokens",
        (
            sc.OUTPUT_TOKENS,
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "llm.usage.completion_tokens",
        ),
    ),
    StoredColumn(
        "cache_read_tokens",
        "BIGINT",
        "Of the input, those from the provider's own cache.",
        "tokens",
        (
            sc.CACHE_READ_TOKENS,
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
            "llm.token_count.prompt_details.cache_read",
        ),
    ),
    StoredColumn(
        "cache_write_tokens",
        "BIGINT",
        "Of the input, those written to the provider's own cache.",
        "tokens",
        (
            sc.CACHE_WRITE_TOKENS,
            sc.CACHE_CREATION_TOKENS,
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.details.cache_creation_tokens",
            "gen_ai.usage.details.cache_write_tokens",
            "llm.token_count.prompt_details.cache_write",
        ),
        since=3,
    ),
    StoredColumn(
        "reasoning_tokens",
        "BIGINT",
        "Of the output, those spent on reasoning.",
        "tokens",
        (
            sc.REASONING_TOKENS,
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
        ),
    ),
    StoredColumn(
        "cost",
        "DOUBLE",
        "What it cost; NULL when unknown, 0 when our cache served it.",
        "USD",
        (sc.COST, "operation.cost", "llm.cost.total"),
    ),
    StoredColumn("saved_cost", "DOUBLE", "What our cache saved.", "USD", (sc.SAVED_COST,)),
    StoredColumn(
        "ttft_ms",
        "DOUBLE",
        "Time to the first chunk of a stream.",
        "ms",
        (sc.TIME_TO_FIRST_CHUNK, "gen_ai.server.time_to_first_token"),
        "milliseconds",
    ),
    StoredColumn(
        "finish_reason",
        "VARCHAR",
        "Why the answer ended: stop, length, tool_calls, content_filter.",
        "",
        (
            sc.FINISH_REASONS,
            "llm.finish_reason",
            "llm.response.finish_reason",
            "llm.response.stop_reason",
            "gen_ai.response.finish_reason",
            "gen_ai.response.stop_reason",
            "anthropic.message.stop_reason",
        ),
        "first",
    ),
    StoredColumn(
        "cache",
        "VARCHAR",
        "The tier of our cache that answered: exact or semantic; NULL when none did.",
        "",
        (sc.CACHE,),
    ),
    StoredColumn(
        "attempts",
        "BIGINT",
        "How many tries were made at the provider; 0 when a guard blocked the call before the first.",
        "",
        (sc.ATTEMPTS,),
    ),
    StoredColumn(
        "deployment",
        "VARCHAR",
        "The deployment that served: its name in `[models]`, or its provider and model; NULL for a model without a "
        "name, and where our cache answered.",
        "",
        (sc.DEPLOYMENT,),
        since=4,
    ),
    StoredColumn(
        "prompt_name",
        "VARCHAR",
        "The prompt's name.",
        "",
        (sc.PROMPT_NAME, "llm.prompt_template.name", "traceloop.prompt.key"),
    ),
    StoredColumn(
        "prompt_version",
        "VARCHAR",
        "The prompt's version.",
        "",
        (sc.PROMPT_VERSION, "llm.prompt_template.version", "traceloop.prompt.version"),
    ),
    StoredColumn("input_messages", "JSON", "The conversation sent: a list of {role, parts}.", "", (sc.INPUT_MESSAGES,)),
    StoredColumn(
        "output_messages", "JSON", "The answers: a list of {role, parts, finish_reason}.", "", (sc.OUTPUT_MESSAGES,)
    ),
    StoredColumn("attributes", "JSON", "Every other attribute, as one JSON object."),
    StoredColumn("events", "JSON", "The span's events: a list of {name, time_ns, attributes}."),
    StoredColumn("links", "JSON", "Links to other spans: a list of {trace_id, span_id, attributes}."),
    StoredColumn("event_count", "INTEGER", "How many events the span has."),
    StoredColumn("attempt_events", "INTEGER", f"How many of them are `{sc.EVENT_ATTEMPT}`."),
    StoredColumn("lookup_events", "INTEGER", f"How many of them are `{sc.EVENT_CACHE_LOOKUP}`."),
    StoredColumn("verdict_events", "INTEGER", f"How many of them are `{sc.EVENT_GUARD_VERDICT}`."),
    StoredColumn("traffic_events", "INTEGER", f"How many of them are `{sc.EVENT_TRAFFIC}`.", since=4),
    StoredColumn("route_events", "INTEGER", f"How many of them are `{sc.EVENT_ROUTE}`.", since=7),
    StoredColumn("otel_kind", "VARCHAR", "internal, client, server, producer or consumer."),
    StoredColumn("scope", "VARCHAR", "The library that made the span."),
    StoredColumn("resource", "JSON", "The attributes of the process that made it."),
)
