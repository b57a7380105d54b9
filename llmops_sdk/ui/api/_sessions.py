"""Sessions, and one session as a conversation: of each turn only the messages that the turn before did not have."""
# ruff: noqa: S608 - conditions have parameters

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from llmops_sdk.ui._answers import MAX_TEXT, Answer, cut, seconds
from llmops_sdk.ui._asked import Asked, NotFoundError, sql_command, with_values
from llmops_sdk.ui._sheets import with_period

__all__ = ["list_sessions", "new_messages", "session", "session_lines"]

_MAX_ROWS = 200
_MAX_TURNS = 200
_COLUMNS = (
    "session_id, user_id, start_time, end_time, duration_ms, traces, spans, llm_calls, errors, input_tokens, "
    "output_tokens, cost, simulated, tags, models"
)
# A call below another call is not a turn of the person.
_TURNS = """SELECT trace_id, span_id, start_time, duration_ms, status, status_message, error_type, model, input_tokens,
    output_tokens, cost, cache, simulated, name, input_messages, output_messages
FROM llm_calls WHERE session_id = $session AND kind = 'llm' ORDER BY start_ns LIMIT $limit OFFSET $offset"""
_SCORES = """SELECT name, value, label, comment, source, time, target, trace_id, span_id FROM scores
WHERE session_id = $session OR trace_id IN (SELECT trace_id FROM spans WHERE session_id = $session) ORDER BY time"""


def list_sessions(asked: Asked) -> Answer:
    """Return the newest sessions that have a span that matches."""
    rows, shown, notes = session_lines(asked, asked.whole("limit", 50, _MAX_ROWS))
    return Answer({"rows": rows}, shown, sql_command(shown), notes=notes)


def session_lines(
    asked: Asked, limit: int, further: str = "true", values: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], str, list[str]]:
    """Return the newest sessions that have a span that matches, the SQL that gives them, and notes.

    Args:
        asked: The request.
        limit: The most sessions.
        further: A further condition on rows of `spans`.
        values: Its values.
    """
    wanted, notes = with_period(asked.filter)
    where = wanted.where("spans")
    params = {**where.params, **(values or {})}
    # The view rolls up every span of the store; only the newest sessions are wanted.
    sql = f"""SELECT {_COLUMNS} FROM sessions WHERE session_id IN (
    SELECT session_id FROM spans WHERE session_id IS NOT NULL AND {where.sql} AND {further}
    GROUP BY session_id ORDER BY max(start_ns) DESC LIMIT {limit})
ORDER BY end_time DESC, session_id"""
    return [_line(row) for row in asked.rows(sql, params)], with_values(sql, params), notes


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "session_id": row["session_id"],
        "user_id": row["user_id"],
        "start_time": row["start_time"],
        "end_time": row["end_time"],
        "duration_s": seconds(row["duration_ms"]),
        "traces": row["traces"],
        "spans": row["spans"],
        "calls": row["llm_calls"],
        "errors": row["errors"],
        "tokens": (row["input_tokens"] or 0) + (row["output_tokens"] or 0),
        "cost_usd": row["cost"],
        "simulated": row["simulated"],
        "tags": row["tags"],
        "models": row["models"],
    }


def session(asked: Asked) -> Answer:
    """Return one session as a conversation."""
    session_id = asked.path["session"]
    offset, most = asked.whole("cursor", 1, 10**9) - 1, asked.whole("limit", _MAX_TURNS, _MAX_TURNS)
    params = {"session": session_id}
    summary = asked.rows(f"SELECT {_COLUMNS} FROM sessions WHERE session_id = $session", params)
    if not summary:
        raise NotFoundError("the store has no such session")
    # One turn more before the page, so that its first turn too shows only what is new.
    before = 1 if offset else 0
    page = {**params, "limit": most + before + 1, "offset": offset - before}
    found = asked.rows(_TURNS, page)
    turns: list[dict[str, Any]] = []
    known: list[Any] = []
    for number, row in enumerate(found[: most + before]):
        said, answered = _parsed(row.pop("input_messages")), _parsed(row.pop("output_messages"))
        fresh = new_messages(known, said)
        known = [*said, *answered]
        if number >= before:
            turns.append(_turn(row, [*map(_shown, fresh)], [*map(_shown, answered)], len(said) - len(fresh)))
    following = str(offset + most + 1) if len(found) > most + before else None
    data = {
        "summary": _line(summary[0]),
        "turns": turns,
        "scores": asked.rows(_SCORES, params),
    }
    return Answer(data, with_values(_TURNS, page), asked.command("traces", f"--session={session_id}"), following)


def new_messages(known: Sequence[Any], said: Sequence[Any]) -> list[Any]:
    """Return the messages of a turn that the turn before did not have.

    A program sends the conversation again with each call, often with older messages cut away or one changed. So the
    messages that come in the same order in both are left out.

    Args:
        known: The messages of the turn before, with its answer.
        said: The messages of this turn.
    """
    places: dict[bytes, list[int]] = defaultdict(list)
    for place, message in enumerate(known):
        places[_key(message)].append(place)
    fresh: list[Any] = []
    after = -1
    for message in said:
        found = places.get(_key(message), [])
        at = bisect_right(found, after)
        if at < len(found):
            after = found[at]
        else:
            fresh.append(message)
    return fresh


def _key(message: Any) -> bytes:
    if isinstance(message, dict):
        fields = cast("dict[str, Any]", message)
        return orjson.dumps([fields.get("role"), fields.get("parts", fields.get("content"))])
    return orjson.dumps(message)


def _parsed(stored: str | None) -> list[Any]:
    try:
        found: Any = orjson.loads(stored) if stored else []
    except orjson.JSONDecodeError:
        return [{"role": "message", "parts": [{"type": "text", "content": stored}]}]
    return cast("list[Any]", found) if isinstance(found, list) else [found]


def _shown(message: Any) -> Any:
    if not isinstance(message, dict):
        return {"role": "message", "parts": [{"type": "text", "content": cut(str(message))}]}
    fields = cast("dict[str, Any]", message)
    parts: Any = fields.get("parts", fields.get("content"))
    listed = cast("list[Any]", parts) if isinstance(parts, list) else [parts]
    return {"role": str(fields.get("role", "message")), "parts": [_part(one) for one in listed if one is not None]}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "content": cut(part)}
    if isinstance(part, dict):
        fields = cast("dict[str, Any]", part)
        if len(orjson.dumps(fields)) <= MAX_TEXT:
            return fields
        return {name: cut(one if isinstance(one, str) else orjson.dumps(one).decode()) for name, one in fields.items()}
    return {"type": "json", "content": cut(orjson.dumps(part).decode())}


def _turn(row: dict[str, Any], said: list[Any], answered: list[Any], repeated: int) -> dict[str, Any]:
    tokens = (row["input_tokens"] or 0) + (row["output_tokens"] or 0)
    return {
        "trace_id": row["trace_id"],
        "span_id": row["span_id"],
        "start_time": row["start_time"],
        "duration_s": seconds(row["duration_ms"]),
        "name": row["name"],
        "status": row["status"],
        "error_type": row["error_type"],
        "error_message": cut(row["status_message"]),
        "model": row["model"],
        "tokens": tokens,
        "cost_usd": row["cost"],
        "cache": row["cache"],
        "simulated": row["simulated"],
        "said": said,
        "answered": answered,
        "repeated": repeated,
    }
