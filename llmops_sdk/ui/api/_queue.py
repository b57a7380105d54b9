"""The queue of annotation: traces, spans, calls or sessions that match and that one person has not judged yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from llmops_sdk._util._usage import UsageError
from llmops_sdk.store.reading._filters import trace_filter
from llmops_sdk.store.reading._latest import latest_traces
from llmops_sdk.ui._answers import MAX_TEXT, Answer, cut
from llmops_sdk.ui._asked import Asked, literal, sql_command, with_values
from llmops_sdk.ui.api._sessions import session_lines
from llmops_sdk.ui.api._span import stored_content, stored_messages
from llmops_sdk.ui.api._traces import LIST_COLUMNS, LIST_NAMES, trace_rows, traces_sql
from llmops_sdk.ui.api.changes._scores import source_of

__all__ = ["queue"]

_MAX_ROWS = 100
_MAX_JSON = 100_000  # characters
_JUDGED = "FROM scores WHERE {ids} AND target = '{target}' AND name = $judge AND source = $by"
_ITEM = """SELECT trace_id, span_id, s.name, s.kind, s.start_time, s.status, s.error_type, s.input_chars, s.input,
    s.output_chars, s.output, c.model, c.asked_chars, c.asked, c.said_chars, c.said
FROM (SELECT trace_id, span_id, name, kind, start_time, start_ns, status, error_type, {input}, {output} FROM spans
    WHERE {which}) AS s
LEFT JOIN (SELECT trace_id, span_id, coalesce(model, request_model) AS model, {asked}, {said} FROM llm_calls
    WHERE {which}) AS c USING (trace_id, span_id)
ORDER BY s.start_ns DESC, trace_id, span_id"""


def queue(asked: Asked) -> Answer:
    """Return the newest items without a score of this name by this person, with their content.

    Raises:
        UsageError: `judge` is missing, or another parameter is not valid.
    """
    score, source = asked.text("judge"), source_of(asked.text("by"))
    if score is None:
        raise UsageError("give judge, the name of the score")
    target = asked.text("target", "traces") or ""
    if target not in _ITEMS:
        raise UsageError(f'target "{target[:100]}" must be one of {", ".join(_ITEMS)}')
    limit = asked.whole("limit", 20, _MAX_ROWS)
    answer, more = _ITEMS[target](asked, limit, {"judge": score, "by": source})
    return replace(answer, data={**answer.data, "target": target, "source": source, "more": more})


def _traces(asked: Asked, limit: int, person: Mapping[str, str]) -> tuple[Answer, bool]:
    chosen = trace_filter(asked.filter)
    judged = f"trace_id NOT IN (SELECT trace_id {_JUDGED.format(ids='trace_id IS NOT NULL', target='trace')})"
    chosen = replace(chosen, ids=f"({chosen.ids}) AND {judged}", params={**chosen.params, **person})
    whole = [f"left({name}, {MAX_TEXT + 1}) AS whole_{name}" for name in ("input", "output")]
    page = latest_traces(asked.folder, ", ".join([LIST_COLUMNS, *whole]), limit=limit, chosen=chosen)
    names: tuple[str, ...] = (*LIST_NAMES, "whole_input", "whole_output")
    found = [dict(zip(names, row, strict=True)) for row in page.rows]
    rows = trace_rows(found)
    for row, stored in zip(rows, found, strict=True):
        row["input"], row["output"] = cut(stored["whole_input"]), cut(stored["whole_output"])
        row["score_target"] = {"trace_id": row["trace_id"]}
    command = asked.command("traces", f"--limit={limit}")
    return Answer({"rows": rows}, traces_sql(asked.filter, limit), command), page.next is not None


def _spans(asked: Asked, limit: int, person: Mapping[str, str], view: str = "spans") -> tuple[Answer, bool]:
    """Return spans, or calls: first the newest keys, then the content of these alone."""
    where = asked.filter.where("llm_calls" if view == "llm_calls" else "spans")
    both = "trace_id IS NOT NULL AND span_id IS NOT NULL"
    judged = f"(trace_id, span_id) NOT IN (SELECT (trace_id, span_id) {_JUDGED.format(ids=both, target='span')})"
    rest = f"FROM {view} WHERE {where.sql} AND {judged} ORDER BY start_ns DESC, trace_id, span_id LIMIT {limit + 1}"
    params = {**where.params, **person}
    keys = asked.rows(f"SELECT trace_id, span_id, start_ns {rest}", params)
    rows = [_span_row(row) for row in _contents(asked, keys[:limit])] if keys else []
    shown = with_values(f"SELECT * {rest}", params)
    return Answer({"rows": rows}, shown, sql_command(shown)), len(keys) > limit


def _contents(asked: Asked, keys: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Constants, which DuckDB compares with the statistics of the files.
    starts = [key["start_ns"] or 0 for key in keys]
    pairs = ", ".join(f"({literal(key['trace_id'])}, {literal(key['span_id'])})" for key in keys)
    which = f"(start_ns IS NULL OR start_ns BETWEEN {min(starts):d} AND {max(starts):d}) AND (trace_id, span_id) IN "
    columns: dict[str, str] = {}
    for to, name in (
        ("input", "input"),
        ("output", "output"),
        ("asked", "input_messages"),
        ("said", "output_messages"),
    ):
        text = f"{name}::VARCHAR"
        columns[to] = (
            f"length({text}) AS {to}_chars, "
            f"CASE WHEN length({text}) <= {_MAX_JSON} THEN {text} ELSE left({text}, {MAX_TEXT}) END AS {to}"
        )
    return asked.rows(_ITEM.format(which=f"{which}({pairs})", **columns))


def _span_row(row: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in ("trace_id", "span_id", "name", "kind", "start_time", "status", "error_type")}
    is_call = row["asked"] is not None or row["said"] is not None
    texts = {"input": "asked" if is_call else "input", "output": "said" if is_call else "output"}
    for name, of in texts.items():
        chars = row[f"{of}_chars"] or 0
        shown = stored_messages if is_call else stored_content
        found[name] = shown(row[of]) if chars <= _MAX_JSON else {"text": row[of], "chars": chars, "cut": True}
    target = {"trace_id": row["trace_id"], "span_id": row["span_id"]}
    return {**found, "model": row["model"], "is_call": is_call, "score_target": target}


def _calls(asked: Asked, limit: int, person: Mapping[str, str]) -> tuple[Answer, bool]:
    return _spans(asked, limit, person, "llm_calls")


def _sessions(asked: Asked, limit: int, person: Mapping[str, str]) -> tuple[Answer, bool]:
    judged = _JUDGED.format(ids="session_id IS NOT NULL", target="session")
    rows, shown, notes = session_lines(asked, limit + 1, f"session_id NOT IN (SELECT session_id {judged})", person)
    for row in rows:
        row["score_target"] = {"session_id": row["session_id"]}
    return Answer({"rows": rows[:limit]}, shown, sql_command(shown), notes=notes), len(rows) > limit


_ITEMS: dict[str, Callable[[Asked, int, Mapping[str, str]], tuple[Answer, bool]]] = {
    "traces": _traces,
    "spans": _spans,
    "calls": _calls,
    "sessions": _sessions,
}
