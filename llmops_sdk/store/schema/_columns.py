"""The keys of the store's lines: their names, DuckDB types, meaning, and the attributes that fill them."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["LOSS_KEYS", "SCORE_KEYS", "SEAL", "SPAN_KEYS", "STREAMS", "Key", "Stream"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a line, which DuckDB reads as a column of that type."""

    name: str
    type: str
    doc: str
    unit: str = ""
    attributes: tuple[str, ...] = ()
    """The attribute that fills it, and after it those of older vocabularies."""
    convert: str = ""
    """How the attribute's value becomes the column's, where the type does not say it: see `_promote.CONVERTERS`."""
    since: int = 1
    """The version of the schema that brought it: in files of an older one it is NULL."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A folder of segments whose lines have the same keys."""

    name: str
    folder: str
    keys: tuple[Key, ...]
    required: str
    """A line without this key is none of ours: a seal, or torn."""
    files: str
    """The folder of the Parquet files that segments are compacted into."""
    computed: tuple[tuple[str, str], ...] = ()
    """Columns that a Parquet file has besides the keys, so that its statistics serve a filter on them: name and SQL."""


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

SPAN_KEYS: tuple[Key, ...] = (
    Key("trace_id", "VARCHAR", "The trace's id, 32 lower-case hex digits; the first 12 are the time in milliseconds."),
    Key("span_id", "VARCHAR", "The span's id, 16 lower-case hex digits."),
    Key("parent_span_id", "VARCHAR", "The parent's id; NULL for the root of a trace."),
    Key("name", "VARCHAR", "The span's name: a function's qualified name, or an operation and a model."),
    Key("kind", "VARCHAR", "What it is: " + ", ".join(sc.KINDS) + ".", "", (sc.KIND,), "own"),
    Key("start_ns", "BIGINT", "When it began, since the epoch.", "ns"),
    Key("duration_ns", "BIGINT", "How long it took.", "ns"),
    Key("status", "VARCHAR", "ok, error, cancelled, closed (a stream left early) or unset.", "", (sc.STATUS,), "own"),
    Key("status_message", "VARCHAR", "The error's message."),
    Key("error_type", "VARCHAR", "The error's class.", "", (sc.ERROR_TYPE,)),
    Key("input", "JSON", "The arguments or the prompt, as JSON.", "", ("", "input.value", "traceloop.entity.input")),
    Key("output", "JSON", "The result or the answer, as JSON.", "", ("", "output.value", "traceloop.entity.output")),
    Key("service", "VARCHAR", "The service's name (`service.name`)."),
    Key("session_id", "VARCHAR", "The session.", "", _SESSION),
    Key("user_id", "VARCHAR", "The end user.", "", _USER),
    Key("tags", "VARCHAR[]", "The tags; empty when there is none.", "", (sc.TAGS, "tag.tags")),
    Key("simulated", "BOOLEAN", "Whether no real model answered (the offline provider).", "", (sc.SIMULATED,)),
    Key("operation", "VARCHAR", "The operation: chat, text_completion, embeddings, …", "", (sc.OPERATION,)),
    Key(
        "provider", "VARCHAR", "The provider's name.", "", (sc.PROVIDER, "gen_ai.system", "llm.provider", "llm.system")
    ),
    Key(
        "request_model",
        "VARCHAR",
        "The model that was asked for.",
        "",
        (sc.REQUEST_MODEL, "llm.request.model_name", "llm.request.model"),
    ),
    Key(
        "model",
        "VARCHAR",
        "The model that served; in `llm_calls` the one asked for when none did.",
        "",
        (sc.RESPONSE_MODEL, "llm.response.model_name", "llm.response.model", "llm.model_name", "embedding.model_name"),
    ),
    Key(
        "input_tokens",
        "BIGINT",
        "Tokens of the prompt, cached ones included.",
        "tokens",
        (
            sc.INPUT_TOKENS,
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "llm.usage.prompt_tokens",
        ),
    ),
    Key(
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
    Key(
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
    Key(
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
    Key(
        "cost",
        "DOUBLE",
        "What it cost; NULL when unknown, 0 when our cache served it.",
        "USD",
        (
            sc.COST,
            "operation.cost",
            "llm.cost.total",
        ),
    ),
    Key("saved_cost", "DOUBLE", "What our cache saved.", "USD", (sc.SAVED_COST,)),
    Key(
        "ttft_ms",
        "DOUBLE",
        "Time to the first chunk of a stream.",
        "ms",
        (sc.TIME_TO_FIRST_CHUNK, "gen_ai.server.time_to_first_token"),
        "milliseconds",
    ),
    Key(
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
    Key(
        "cache",
        "VARCHAR",
        "The tier of our cache that answered: exact or semantic; NULL when none did.",
        "",
        (sc.CACHE,),
    ),
    Key("attempts", "BIGINT", "How many tries were made at the provider.", "", (sc.ATTEMPTS,)),
    Key(
        "prompt_name",
        "VARCHAR",
        "The prompt's name.",
        "",
        (sc.PROMPT_NAME, "llm.prompt_template.name", "traceloop.prompt.key"),
    ),
    Key(
        "prompt_version",
        "VARCHAR",
        "The prompt's version.",
        "",
        (sc.PROMPT_VERSION, "llm.prompt_template.version", "traceloop.prompt.version"),
    ),
    Key("input_messages", "JSON", "The conversation sent: a list of {role, parts}.", "", (sc.INPUT_MESSAGES,)),
    Key("output_messages", "JSON", "The answers: a list of {role, parts, finish_reason}.", "", (sc.OUTPUT_MESSAGES,)),
    Key("attributes", "JSON", "Every other attribute, as one JSON object."),
    Key("events", "JSON", "The span's events: a list of {name, time_ns, attributes}."),
    Key("links", "JSON", "Links to other spans: a list of {trace_id, span_id, attributes}."),
    Key("event_count", "INTEGER", "How many events the span has."),
    Key("attempt_events", "INTEGER", f"How many of them are `{sc.EVENT_ATTEMPT}`."),
    Key("lookup_events", "INTEGER", f"How many of them are `{sc.EVENT_CACHE_LOOKUP}`."),
    Key("verdict_events", "INTEGER", f"How many of them are `{sc.EVENT_GUARD_VERDICT}`."),
    Key("otel_kind", "VARCHAR", "internal, client, server, producer or consumer."),
    Key("scope", "VARCHAR", "The library that made the span."),
    Key("resource", "JSON", "The attributes of the process that made it."),
)

SCORE_KEYS: tuple[Key, ...] = (
    Key("trace_id", "VARCHAR", "The trace it is about."),
    Key("span_id", "VARCHAR", "The span it is about; NULL for the whole trace."),
    Key("name", "VARCHAR", "What was judged, as in `helpful`."),
    Key("value", "DOUBLE", "The number; 1 and 0 for true and false; NULL for a label alone."),
    Key("label", "VARCHAR", "The label."),
    Key("comment", "VARCHAR", "The comment."),
    Key("source", "VARCHAR", "Who judged: user, or an evaluator's name."),
    Key("time_ns", "BIGINT", "When, since the epoch.", "ns"),
)

LOSS_KEYS: tuple[Key, ...] = (
    Key("time_ns", "BIGINT", "When, since the epoch.", "ns"),
    Key("what", "VARCHAR", "What was lost: span, input, output, attribute, text, segment, line, …"),
    Key("reason", "VARCHAR", "Why: queue_full, too_large, retention, max_bytes, …; of a redacted text, what it was."),
    Key("count", "BIGINT", "How many (of a segment: the spans in it)."),
    Key("bytes", "BIGINT", "How large they were.", "bytes"),
)

SEAL = Key("seal", "BIGINT", "On the last line of a segment that was closed well: how many lines went before it.")

_COMPUTED = (("start_time", "make_timestamp(start_ns // 1000)"), ("weight", "1.0::DOUBLE"))

STREAMS: tuple[Stream, ...] = (
    Stream("spans", "wal", SPAN_KEYS, "trace_id", "spans", _COMPUTED),
    Stream("scores", "scores", SCORE_KEYS, "name", "scores"),
    Stream("losses", "losses", LOSS_KEYS, "what", "losses"),
)
