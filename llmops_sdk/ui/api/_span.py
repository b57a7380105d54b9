"""One span with its content, and the rest of a long text."""
# ruff: noqa: S608 - names of columns are constants

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from llmops_sdk._util._usage import UsageError
from llmops_sdk.ui._answers import MAX_TEXT, Answer, cut, seconds
from llmops_sdk.ui._asked import Asked, NotFoundError, with_values
from llmops_sdk.ui.api._trace import trace_id_of

__all__ = ["span", "stored_content", "stored_messages", "text"]

_SPAN = "SELECT * FROM spans WHERE trace_id = $trace AND span_id = $span ORDER BY start_ns LIMIT 1"
_CALL = """SELECT operation, provider, request_model, model, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, reasoning_tokens, cost, saved_cost, ttft_ms, finish_reason, cache, attempts, prompt_name,
    prompt_version, deployment, input_messages, output_messages
    FROM llm_calls WHERE trace_id = $trace AND span_id = $span ORDER BY start_ns LIMIT 1"""
_DETAILS = {
    "events": "SELECT time, name, attributes FROM events WHERE {} ORDER BY time LIMIT 500",
    "attempts": "SELECT * EXCLUDE (trace_id, span_id) FROM attempts WHERE {} ORDER BY attempt LIMIT 100",
    "cache_lookups": "SELECT * EXCLUDE (trace_id, span_id) FROM cache_lookups WHERE {} LIMIT 100",
    "guard_verdicts": "SELECT * EXCLUDE (trace_id, span_id) FROM guard_verdicts WHERE {} LIMIT 100",
    "traffic": "SELECT * EXCLUDE (trace_id, span_id) FROM traffic WHERE {} ORDER BY time LIMIT 100",
    "routes": "SELECT * EXCLUDE (trace_id, span_id) FROM routes WHERE {} LIMIT 20",
    "scores": "SELECT name, value, label, comment, source, time, document_id FROM scores WHERE span_id = $span "
    "AND (trace_id IS NULL OR trace_id = $trace) ORDER BY time LIMIT 200",
}
_OF_SPAN = "trace_id = $trace AND span_id = $span"
_FIELDS = ("input", "output", "attributes", "status_message", "events", "links", "resource")
_CALL_FIELDS = ("input_messages", "output_messages")
_MAX_JSON = 1_000_000  # characters
_MAX_MESSAGES = 500


def span(asked: Asked) -> Answer:
    """Return all of one span."""
    params = {"trace": trace_id_of(asked), "span": trace_id_of(asked, "span")}
    found = asked.rows(_SPAN, params)
    if not found:
        raise NotFoundError(f"the store has no span {params['span']} in the trace {params['trace']}")
    row = found[0]
    data: dict[str, Any] = {**row, "start_ns": str(row["start_ns"]), "duration_s": seconds(row.pop("duration_ms"))}
    for name in ("input", "output", "attributes", "links", "resource"):
        data[name] = stored_content(row[name])
    data["status_message"] = cut(row["status_message"])
    calls = asked.rows(_CALL, params)
    data["call"] = _call(calls[0]) if calls else None
    for name, sql in _DETAILS.items():
        data[name] = [_detail(one) for one in asked.rows(sql.format(_OF_SPAN), params)]
    return Answer(data, with_values(_SPAN, params), f"llmops show {params['trace']} --full")


def text(asked: Asked) -> Answer:
    """Return a part of one text of a span, from an offset."""
    trace_id, span_id = asked.text("trace"), asked.text("span")
    name = asked.text("field")
    if trace_id is None or span_id is None or name not in (*_FIELDS, *_CALL_FIELDS):
        raise UsageError(f"give trace, span and a field: {', '.join((*_FIELDS, *_CALL_FIELDS))}")
    offset = asked.text("offset", "0") or "0"
    if not re.fullmatch("[0-9]{1,9}", offset):
        raise UsageError(f'offset "{offset}" must be a whole number')
    view = "llm_calls" if name in _CALL_FIELDS else "spans"
    params = {"trace": trace_id, "span": span_id, "offset": int(offset) + 1}
    sql = (
        f"SELECT substr({name}::VARCHAR, $offset, {MAX_TEXT}) AS text, length({name}::VARCHAR) AS chars FROM {view} "
        f"WHERE {_OF_SPAN} ORDER BY start_ns LIMIT 1"
    )
    found = asked.rows(sql, params)
    if not found:
        raise NotFoundError(f"the store has no span {span_id} in the trace {trace_id}")
    chars = found[0]["chars"] or 0
    end = int(offset) + MAX_TEXT
    data = {"text": found[0]["text"], "offset": int(offset), "chars": chars}
    return Answer(data, with_values(sql, params), f"llmops show {trace_id} --full", str(end) if end < chars else None)


def _call(row: dict[str, Any]) -> dict[str, Any]:
    messages = {name: row.pop(f"{name}_messages") for name in ("input", "output")}
    return {**row, "messages": {name: stored_messages(stored) for name, stored in messages.items()}}


def stored_messages(stored: str | None) -> Any:
    """Return messages with their texts cut each, or the beginning of their JSON where it is very long or broken."""
    if stored is None or len(stored) > _MAX_JSON:
        return cut(stored)
    try:
        found = orjson.loads(stored)
    except orjson.JSONDecodeError:
        return cut(stored)
    if not isinstance(found, list):
        return _cut_inside(found)
    listed = cast("list[Any]", found)
    shown = [_cut_inside(message) for message in listed[-_MAX_MESSAGES:]]
    left_out = len(listed) - len(shown)
    return (
        [{"role": "note", "parts": [{"type": "text", "content": f"{left_out} earlier messages"}]}, *shown]
        if (left_out)
        else shown
    )


def stored_content(stored: str | None) -> Any:
    """Return a stored JSON value, or its beginning where it is long."""
    if stored is None or len(stored) > MAX_TEXT:
        return cut(stored)
    try:
        return orjson.loads(stored)
    except orjson.JSONDecodeError:
        return stored


def _cut_inside(value: Any) -> Any:
    """Return a value in which each long text is cut."""
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, list):
        return [_cut_inside(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _cut_inside(one) for key, one in cast("Mapping[str, Any]", value).items()}
    return value


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    parsed = ("attributes", "candidates", "findings")
    return {
        name: stored_content(value) if name in parsed and isinstance(value, str) else _cut_inside(value)
        for name, value in row.items()
    }
