"""The store's schema: the one place from which everything about its columns comes.

The lines' keys with their types and attributes (`_keys`), the views over them, and `docs/schema.md`
(`python -m llmops_sdk.store._reference`) are all made from these tables. A change that an older reader would misread
raises `SCHEMA_VERSION`.
"""
# ruff: noqa: S608 - these statements are put together from the tables below, never from a user's text

from __future__ import annotations

from dataclasses import dataclass

from llmops_sdk.store.schema._columns import LOSS_KEYS, SCORE_KEYS, SEAL, SPAN_KEYS, STREAMS, Key, Stream
from llmops_sdk.tracing.records import _semconv as sc

__all__ = [
    "SCHEMA_VERSION",
    "SEAL",
    "SHOWN",
    "SPAN_KEYS",
    "STREAMS",
    "VIEWS",
    "Column",
    "Key",
    "Stream",
    "View",
    "traces_sql",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view, as it is documented and as a test finds it."""

    name: str
    type: str
    doc: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A view: what `llmops.query` sees."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    sql: str
    example: str

    @property
    def fixed(self) -> frozenset[str]:
        """The columns that stay, whatever the version: docs/stability.md promises them."""
        return frozenset(_FIXED.get(self.name, "").split())


_FIXED_SPANS = (
    "trace_id span_id parent_span_id name kind start_time start_ns duration_ms status status_message error_type "
    "input output service session_id user_id tags simulated attributes"
)
_FIXED = {
    "spans": _FIXED_SPANS,
    "llm_calls": f"{_FIXED_SPANS} operation provider request_model model input_tokens output_tokens cache_read_tokens "
    "reasoning_tokens cost ttft_ms finish_reason cache attempts prompt_name prompt_version input_messages "
    "output_messages",
    "attempts": "trace_id span_id attempt provider model start_time duration_ms status status_code error_type "
    "retry_after reason cost",
    "cache_lookups": "trace_id span_id tier hit similarity age_s decision reason saved_cost",
    "guard_verdicts": "trace_id span_id guard rail action reason duration_ms",
    "scores": "trace_id span_id name value label comment source time",
    "losses": "time what reason count bytes",
}

_START = Column("start_time", "TIMESTAMP", "When it began, in UTC.")
_DURATION = Column("duration_ms", "DOUBLE", "How long it took.", "ms")
_WEIGHT = Column(
    "weight",
    "DOUBLE",
    "How many spans it stands for: 1, or more of an old trace of which `[store.thinning]` keeps a share.",
)
_COMPUTED = {
    "duration_ms": "duration_ns / 1e6",
    "tags": "coalesce(tags, [])",
    "simulated": "coalesce(simulated, false)",
    "model": "coalesce(model, request_model)",
    # A call's prompt and answer are written once, as messages.
    "input": "coalesce(input, input_messages)",
    "output": "coalesce(output, output_messages)",
}


def _columns(names: str, keys: tuple[Key, ...] = SPAN_KEYS) -> tuple[Column, ...]:
    known = {key.name: Column(key.name, key.type, key.doc, key.unit) for key in keys}
    known |= {"start_time": _START, "duration_ms": _DURATION, "weight": _WEIGHT}
    return tuple(known[name] for name in names.split())


def _select(columns: tuple[Column, ...]) -> str:
    return ", ".join(f"{_COMPUTED[c.name]} AS {c.name}" if c.name in _COMPUTED else c.name for c in columns)


_SPANS = _columns(
    "trace_id span_id parent_span_id name kind start_time start_ns duration_ms status status_message error_type "
    "input output service session_id user_id tags simulated attributes events links otel_kind scope resource "
    "weight"
)
_CALLS = _SPANS + _columns(
    "operation provider request_model model input_tokens output_tokens cache_read_tokens reasoning_tokens cost "
    "saved_cost ttft_ms finish_reason cache attempts prompt_name prompt_version input_messages output_messages"
)
_IDS = _columns("trace_id span_id")
SHOWN = _select(_CALLS)
"""What the views show of a line of `spans`, as the list of a SELECT from `store.spans`."""
_WHEN = Column("time", "TIMESTAMP", "When, in UTC.")
_EVENT = _IDS + (
    _WHEN,
    Column("name", "VARCHAR", "The event's name."),
    Column("attributes", "JSON", "Its attributes, as one JSON object."),
)
_ATTEMPT = _IDS + (
    Column("attempt", "BIGINT", "1 for the first."),
    Column("provider", "VARCHAR", "The provider tried."),
    Column("model", "VARCHAR", "The model tried, without its provider."),
    _START,
    _DURATION,
    Column("status", "VARCHAR", "ok, error or cancelled."),
    Column("status_code", "BIGINT", "The HTTP status of an error."),
    Column("error_type", "VARCHAR", "The error's class."),
    Column("retry_after", "DOUBLE", "How long the provider asked to wait.", "s"),
    Column("reason", "VARCHAR", "Why it was made: first, retry, fallback or reask."),
    Column("cost", "DOUBLE", "What it cost; NULL when unknown.", "USD"),
)
_LOOKUP = _IDS + (
    Column("tier", "VARCHAR", "exact or semantic."),
    Column("hit", "BOOLEAN", "Whether the cache answered."),
    Column("similarity", "DOUBLE", "How near the nearest stored prompt was, 0 to 1; NULL for the exact tier."),
    Column("age_s", "DOUBLE", "How old the stored answer was.", "s"),
    Column("decision", "VARCHAR", "What was done: hit, miss, bypass, …"),
    Column("reason", "VARCHAR", "Why."),
    Column("saved_cost", "DOUBLE", "What it saved.", "USD"),
    _WHEN,
)
_VERDICT = _IDS + (
    Column("guard", "VARCHAR", "The guard's name."),
    Column("rail", "VARCHAR", "input or output."),
    Column("action", "VARCHAR", "What was done: allow, redact, block, …"),
    Column("reason", "VARCHAR", "Why, without the content itself."),
    Column("duration_ms", "DOUBLE", "How long the check took.", "ms"),
    _WHEN,
)
_MESSAGE = _IDS + (
    Column("direction", "VARCHAR", "input or output."),
    Column("position", "BIGINT", "0 for the first message of that direction."),
    Column("role", "VARCHAR", "system, user, assistant or tool."),
    Column("content", "VARCHAR", "The text parts, joined by line breaks; NULL when there is none."),
    Column("parts", "JSON", "Every part, as in the GenAI conventions."),
    Column("tool_calls", "JSON", "The tool calls among them, as a list; NULL when there is none."),
    Column("finish_reason", "VARCHAR", "Why it ended, on an answer."),
    Column("start_time", "TIMESTAMP", "When the call began, in UTC."),
    *_columns("session_id user_id"),
)
_SCORE = _columns("trace_id span_id name value label comment source", SCORE_KEYS) + (_WHEN,)
_LOSS = (Column("time", "TIMESTAMP", "When, in UTC; NULL for lines that cannot be read."),) + _columns(
    "what reason count bytes", LOSS_KEYS
)
_TRACE = (
    Column("trace_id", "VARCHAR", "The trace's id, 32 lower-case hex digits."),
    Column("name", "VARCHAR", "The root span's name; the earliest span's while the root is still running."),
    _START,
    Column("duration_ms", "DOUBLE", "From the first start to the last end.", "ms"),
    Column("status", "VARCHAR", "The root span's status; NULL while the root is still running."),
    Column("service", "VARCHAR", "The service's name."),
    Column("session_id", "VARCHAR", "The session."),
    Column("user_id", "VARCHAR", "The end user."),
    Column("simulated", "BOOLEAN", "Whether a call in it was answered by no real model."),
    Column("spans", "BIGINT", "How many spans."),
    Column("llm_calls", "BIGINT", "How many of them are calls to models."),
    Column("errors", "BIGINT", "How many of them have the status error."),
    Column("input_tokens", "BIGINT", "Tokens of all prompts.", "tokens"),
    Column("output_tokens", "BIGINT", "Tokens of all answers.", "tokens"),
    Column("cost", "DOUBLE", "What the calls of known price cost; NULL when none is known.", "USD"),
    Column("input", "JSON", "The first input in it: the root's, where it has one."),
    Column("output", "JSON", "The last output in it: the root's, where it has one."),
)


def traces_sql(further: str = "") -> str:
    """The view `traces`, with further aggregates over a trace's spans, each with a comma before it."""
    return f"""SELECT trace_id,
    coalesce(arg_min(name, start_ns) FILTER (parent_span_id IS NULL), arg_min(name, start_ns)) AS name,
    make_timestamp(min(start_ns) // 1000) AS start_time,
    (max(start_ns + duration_ns) - min(start_ns)) / 1e6 AS duration_ms,
    arg_min(status, start_ns) FILTER (parent_span_id IS NULL) AS status,
    arg_min(service, start_ns) AS service,
    arg_min(session_id, start_ns) AS session_id,
    arg_min(user_id, start_ns) AS user_id,
    coalesce(bool_or(simulated), false) AS simulated,
    count(*) AS spans,
    count(*) FILTER (kind IN ('llm', 'embedding')) AS llm_calls,
    count(*) FILTER (status = 'error') AS errors,
    TRY_CAST(coalesce(sum(input_tokens) FILTER (kind IN ('llm', 'embedding')), 0) AS BIGINT) AS input_tokens,
    TRY_CAST(coalesce(sum(output_tokens) FILTER (kind IN ('llm', 'embedding')), 0) AS BIGINT) AS output_tokens,
    sum(cost) FILTER (kind IN ('llm', 'embedding')) AS cost,
    coalesce(arg_min(said, start_ns) FILTER (parent_span_id IS NULL), arg_min(said, start_ns)) AS input,
    coalesce(arg_max(answered, start_ns + duration_ns) FILTER (parent_span_id IS NULL),
             arg_max(answered, start_ns + duration_ns)) AS output{further}
FROM (SELECT *, coalesce(input, input_messages) AS said, coalesce(output, output_messages) AS answered
      FROM store.spans)
GROUP BY trace_id"""


def _event_view(event: str, flag: str, columns: tuple[Column, ...]) -> str:
    # Only the rows that have such an event are parsed: the flag was written beside it.
    times = {
        _START: "make_timestamp(coalesce(e.attributes.start_ns, e.time_ns) // 1000)",
        _WHEN: "make_timestamp(e.time_ns // 1000)",
    }
    own = [column for column in columns if column not in _IDS]
    picked = ", ".join(f"{times.get(column, f'e.attributes.{column.name}')} AS {column.name}" for column in own)
    fields = [f'"{column.name}":"{column.type}"' for column in own if column not in times]
    fields += ['"start_ns":"BIGINT"'] if _START in columns else []
    shape = '[{"name":"VARCHAR","time_ns":"BIGINT","attributes":{' + ",".join(fields) + "}}]"
    return (
        f"SELECT trace_id, span_id, {picked} FROM (SELECT trace_id, span_id, unnest(from_json(events, '{shape}')) AS e "
        f"FROM store.spans WHERE {flag} > 0) WHERE e.name = '{event}'"
    )


_EVENTS_SQL = """SELECT trace_id, span_id, make_timestamp(e.time_ns // 1000) AS time, e.name AS name,
    e.attributes AS attributes
FROM (SELECT trace_id, span_id,
        unnest(from_json(events, '[{"name":"VARCHAR","time_ns":"BIGINT","attributes":"JSON"}]')) AS e
    FROM store.spans WHERE event_count > 0)"""

# Both shapes are read: {role, parts} of the GenAI conventions, and {role, content, tool_calls} of the OpenAI chat API.
_MESSAGES_SQL = """SELECT trace_id, span_id, direction, position, message->>'$.role' AS role,
    CASE WHEN json_type(message, '$.content') = 'VARCHAR' THEN message->>'$.content'
         ELSE nullif(array_to_string(list_transform(
            list_filter(parts_list, lambda part: part->>'$.type' = 'text'),
            lambda part: coalesce(part->>'$.content', part->>'$.text')), chr(10)), '') END AS content,
    coalesce(message->'$.parts', CASE json_type(message, '$.content') WHEN 'ARRAY' THEN message->'$.content'
        WHEN 'VARCHAR' THEN json_array(json_object('type', 'text', 'content', message->>'$.content')) END) AS parts,
    coalesce(CASE WHEN json_type(message, '$.tool_calls') = 'ARRAY' THEN message->'$.tool_calls' END,
        CASE WHEN len(list_filter(parts_list, lambda part: part->>'$.type' = 'tool_call')) > 0
        THEN to_json(list_filter(parts_list, lambda part: part->>'$.type' = 'tool_call')) END) AS tool_calls,
    message->>'$.finish_reason' AS finish_reason, make_timestamp(start_ns // 1000) AS start_time, session_id, user_id
FROM (SELECT *,
        from_json(coalesce(message->'$.parts', message->'$.content'), '["JSON"]') AS parts_list
    FROM (SELECT * EXCLUDE (list), unnest(list) AS message, generate_subscripts(list, 1) - 1 AS position
        FROM (SELECT trace_id, span_id, start_ns, session_id, user_id, 'input' AS direction,
                from_json(input_messages, '["JSON"]') AS list
            FROM store.spans WHERE input_messages IS NOT NULL
            UNION ALL
            SELECT trace_id, span_id, start_ns, session_id, user_id, 'output', from_json(output_messages, '["JSON"]')
            FROM store.spans WHERE output_messages IS NOT NULL)))"""

# The latest judgement wins: a score is changed by giving it again.
_SCORES_SQL = """SELECT trace_id, span_id, name, value, label, comment, source, make_timestamp(time_ns // 1000) AS time
FROM store.scores
QUALIFY row_number() OVER (PARTITION BY coalesce(span_id, trace_id), name, source ORDER BY time_ns DESC) = 1"""

_LOSSES_SQL = """SELECT make_timestamp(time_ns // 1000) AS time, what, reason, count, bytes FROM store.losses
UNION ALL
SELECT NULL, 'line', 'unreadable', lines, NULL FROM store.unreadable WHERE lines > 0"""

VIEWS: tuple[View, ...] = (
    View("spans", "Every span.", _SPANS, f"SELECT {_select(_SPANS)} FROM store.spans",
         "SELECT name, count(*), avg(duration_ms) FROM spans GROUP BY ALL ORDER BY 3 DESC"),
    View("traces", "One row a trace, rolled up from its spans.", _TRACE, traces_sql(),
         "SELECT name, duration_ms, cost FROM traces WHERE errors > 0 ORDER BY start_time DESC"),
    View("llm_calls", "The spans that are calls to models (kind llm or embedding).", _CALLS,
         f"SELECT {SHOWN} FROM store.spans WHERE kind IN ('llm', 'embedding')",
         "SELECT model, count(*), sum(cost), quantile_cont(duration_ms, 0.95) FROM llm_calls GROUP BY ALL"),
    View("attempts", "Every try at a provider.", _ATTEMPT,
         _event_view(sc.EVENT_ATTEMPT, "attempt_events", _ATTEMPT),
         "SELECT provider, status_code, count(*) FROM attempts WHERE status = 'error' GROUP BY ALL"),
    View("cache_lookups", "Every question to our cache.", _LOOKUP,
         _event_view(sc.EVENT_CACHE_LOOKUP, "lookup_events", _LOOKUP),
         "SELECT tier, avg(hit::INT) AS hit_rate, sum(saved_cost) FROM cache_lookups GROUP BY ALL"),
    View("guard_verdicts", "Every verdict of a guard.", _VERDICT,
         _event_view(sc.EVENT_GUARD_VERDICT, "verdict_events", _VERDICT),
         "SELECT guard, action, count(*) FROM guard_verdicts GROUP BY ALL"),
    View("events", "Every event on a span.", _EVENT, _EVENTS_SQL,
         "SELECT time, attributes->>'$.\"exception.type\"' FROM events WHERE name = 'exception'"),
    View("messages", "Every message of every call, one a row.", _MESSAGE, _MESSAGES_SQL,
         "SELECT role, avg(length(content)) FROM messages GROUP BY ALL"),
    View("scores", "The latest score by target, name and source.", _SCORE, _SCORES_SQL,
         "SELECT c.model, s.name, avg(s.value) FROM scores s JOIN llm_calls c USING (span_id) GROUP BY ALL"),
    View("losses", "What was dropped, truncated, redacted or cannot be read, and why.", _LOSS, _LOSSES_SQL,
         "SELECT what, reason, sum(count), sum(bytes) FROM losses GROUP BY ALL"),
)  # fmt: skip
