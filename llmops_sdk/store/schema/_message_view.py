"""The view `messages`."""

from __future__ import annotations

from llmops_sdk.store.schema._shared_columns import IDS, view_columns
from llmops_sdk.store.schema._types import Column, View

__all__ = ["MESSAGES_VIEW"]

_MESSAGE = IDS + (
    Column("direction", "VARCHAR", "input or output."),
    Column("position", "BIGINT", "0 for the first message of that direction."),
    Column("role", "VARCHAR", "system, user, assistant or tool."),
    Column("content", "VARCHAR", "The text parts, joined by line breaks; NULL when there is none."),
    Column("parts", "JSON", "Every part, as in the GenAI conventions."),
    Column("tool_calls", "JSON", "The tool calls among them, as a list; NULL when there is none."),
    Column("finish_reason", "VARCHAR", "Why it ended, on an answer."),
    Column("start_time", "TIMESTAMP", "When the call began, in UTC."),
    *view_columns("session_id user_id"),
)

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

MESSAGES_VIEW = View(
    "messages",
    "Every message of every call, one a row.",
    _MESSAGE,
    _MESSAGES_SQL,
    "SELECT role, avg(length(content)) FROM messages GROUP BY ALL",
)
