"""`llmops show`."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import typer

from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._reading import existing_store, query
from llmops_sdk.cli.output._text import cell, cut, defuse, json_text
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.tracing.records._semconv import METADATA_PREFIX

__all__ = ["show"]

Row: TypeAlias = Mapping[str, Any]

_COLUMNS = """span_id, parent_span_id, name, kind, start_time, start_ns, duration_ms, status, status_message,
       error_type, session_id, user_id, tags, simulated, attributes"""
_CALL_COLUMNS = "model, input_tokens, output_tokens, cost, saved_cost, ttft_ms, finish_reason, cache, attempts"
_CONTENT = "input, output, input_messages, output_messages"

# An id may occur twice: a sender repeats a span, or a program makes its ids badly.
_TURN = "row_number() OVER (PARTITION BY span_id, start_ns, kind ORDER BY duration_ms, name)"

_SPANS = f"""
SELECT s.* EXCLUDE (turn), c.* EXCLUDE (span_id, start_ns, kind, turn) FROM
    (SELECT {_COLUMNS}, input, output, {_TURN} AS turn FROM spans WHERE trace_id = $trace) s LEFT JOIN
    (SELECT span_id, start_ns, kind, {_CALL_COLUMNS}, input_messages, output_messages, {_TURN} AS turn
     FROM llm_calls WHERE trace_id = $trace) c
    USING (span_id, start_ns, kind, turn)
ORDER BY start_ns, span_id, turn
"""  # noqa: S608 - constants
_EVENTS = "SELECT span_id, time, name, attributes FROM events WHERE trace_id = $trace ORDER BY time"
_SCORES = """
SELECT span_id, name, value, label, comment, source FROM scores
WHERE trace_id = $trace OR span_id IN (SELECT span_id FROM spans WHERE trace_id = $trace) ORDER BY time, name
"""
_MATCHES = "SELECT DISTINCT trace_id FROM spans WHERE starts_with(trace_id, $prefix) ORDER BY trace_id LIMIT 9"
_CUT = 160
_SHORT = 50
_MAX_GUTTER = 40
"""Levels that are drawn as such. Deeper spans name their level instead: lines must not grow with the depth."""


def show(
    trace_id: Annotated[str, typer.Argument(metavar="TRACE_ID", help="The id, or its first unique digits.")],
    full: Annotated[bool, typer.Option("--full", help="Do not cut the content.")] = False,
    depth: Annotated[int, typer.Option("--depth", min=0, help="Show at most this many levels; 0 shows all.")] = 0,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, help="Draw at most this many spans; 0 draws all.")
    ] = 500,
    html: Annotated[bool, typer.Option("--html", help="Write one self-contained page without scripts.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="With --html: the file. Default: stdout.")
    ] = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Show one trace as a tree of spans with their content."""
    if output is not None and not html:
        raise UsageError("--output goes with --html")
    whole = _complete_id(trace_id, store)
    if html:
        _write_page(output, whole, store)
        return
    result = query(_SPANS, {"trace": whole}, store=store)
    spans: list[Row] = [dict(zip(result.columns, row, strict=True)) for row in result.rows()]
    events: dict[str, list[Row]] = defaultdict(list)
    for span_id, time, name, attributes in query(_EVENTS, {"trace": whole}, store=store).rows():
        events[span_id].append({"time": time, "name": name, "attributes": _parsed(attributes)})
    scores: dict[str | None, list[Row]] = defaultdict(list)
    for span_id, *values in query(_SCORES, {"trace": whole}, store=store).rows():
        scores[span_id].append(dict(zip(("name", "value", "label", "comment", "source"), values, strict=True)))
    if form is Format.TABLE:
        tree = _Tree(spans, events, scores, full=full)
        lines = [f"trace {whole}", *map(_score, scores[None])]
        for line in (*lines, *tree.lines(depth, limit)):
            _print(line, full=full)
        if tree.left:
            sys.stdout.flush()
            print(f"{tree.left:,} more spans; --limit 0 and --depth 0 show all", file=sys.stderr)
    elif form is Format.JSON:
        parsed = [{**_json_span(span, events[span["span_id"]]), "scores": scores[span["span_id"]]} for span in spans]
        sys.stdout.write(json_text({"trace_id": whole, "scores": scores[None], "spans": parsed}, indent=2) + "\n")
    else:
        write_rows(form, result.columns, [list(span.values()) for span in spans], sys.stdout)


def _write_page(file: Path | None, trace_id: str, store: Path | None) -> None:
    from llmops_sdk.evals._experiment_files import write_text
    from llmops_sdk.ui._trace_document import trace_document

    document = trace_document(existing_store(store), trace_id)
    if file is None:
        sys.stdout.write(document)
    else:
        write_text(file, document)


def _complete_id(text: str, store: Path | None) -> str:
    prefix = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
        raise UsageError(f'"{text}" is not a trace id: give 1 to 32 hexadecimal digits, as `llmops traces` lists them')
    found = [row[0] for row in query(_MATCHES, {"prefix": prefix}, store=store).rows()]
    if not found:
        raise LLMOpsError(f"no trace has an id that starts with {prefix}; `llmops traces` lists the latest")
    if len(found) > 1:
        more = ", …" if len(found) > 8 else ""
        raise LLMOpsError(f"more than one trace starts with {prefix}: {', '.join(found[:8])}{more}")
    return str(found[0])


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text  # spans of other programs may have broken JSON


def _json_span(span: Row, events: Sequence[Row]) -> dict[str, Any]:
    content = {name: _parsed(span[name]) for name in _CONTENT.split(", ")}
    return {**span, **content, "events": list(events)}


def _print(line: str, *, full: bool) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write(f"{line}\n")
        return
    from llmops_sdk.cli.output._terminal import fitted, folded, terminal_width

    width = terminal_width(sys.stdout)
    sys.stdout.writelines(f"{part}\n" for part in (folded(line, width) if full else [fitted(line, width)]))


class _Tree:
    """The spans of a trace, drawn as a tree.

    Attributes:
        left: How many spans were not drawn.
    """

    def __init__(
        self,
        spans: Sequence[Row],
        events: Mapping[str, Sequence[Row]],
        scores: Mapping[str | None, Sequence[Row]],
        *,
        full: bool,
    ) -> None:
        self.left = len(spans)
        self._spans = spans
        self._events = events
        self._scores = scores
        self._full = full
        present = {span["span_id"] for span in spans}
        self._children: dict[str | None, list[int]] = defaultdict(list)
        self._first: dict[str, int] = {}
        for number, span in enumerate(spans):
            # If the parent is in another service or has not ended, the span is at the top.
            self._children[span["parent_span_id"] if span["parent_span_id"] in present else None].append(number)
            self._first.setdefault(span["span_id"], number)

    def lines(self, depth: int, limit: int) -> Iterator[str]:
        """Yield the lines of at most `limit` spans in `depth` levels; 0 is no bound."""
        seen: set[int] = set()
        for top in [*self._children[None], *range(len(self._spans))]:  # again all spans: parents may form a circle
            # A stack, not recursion: agents nest deeper than Python's recursion limit.
            stack = [] if top in seen else [(top, "", "", 1)]
            while stack:
                number, before, below, level = stack.pop()
                if number in seen:
                    continue
                seen.add(number)
                inner = self._inner(number)
                if (not depth or level <= depth) and (not limit or len(self._spans) - self.left < limit):
                    self.left -= 1
                    yield from self._drawn(number, before, below + ("│ " if inner else "  "))
                for child in reversed(inner):
                    last = child is inner[-1]
                    if level < _MAX_GUTTER:
                        stack.append(
                            (child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "), level + 1)
                        )
                    else:
                        stack.append((child, f"{below}└─ level {level + 1}: ", below, level + 1))

    def _inner(self, number: int) -> list[int]:
        """Return the children. Of spans with the same id only the first has them."""
        span_id = self._spans[number]["span_id"]
        return self._children[span_id] if self._first[span_id] == number else []

    def _drawn(self, number: int, before: str, gutter: str) -> Iterator[str]:
        span = self._spans[number]
        span_id = span["span_id"]
        is_first = self._first[span_id] == number
        again = "" if is_first else f"  (the id {span_id} again)"
        yield f"{before}{_headline(span)}{again}"
        events, scores = (self._events.get(span_id, ()), self._scores.get(span_id, ())) if is_first else ((), ())
        for line in (*_details(span, events, full=self._full), *map(_score, scores)):
            yield f"{gutter}  {line}"


def _score(score: Row) -> str:
    value = "" if score["value"] is None else f" = {cell(score['value'])}"
    label = f" = {cell(score['label'])}" if score["label"] is not None else ""
    comment = f": {cut(cell(score['comment']), _CUT)}" if score["comment"] else ""
    return f"★ {cell(score['name'])}{value}{label}{comment}" + (
        f"  ({cell(score['source'])})" if score["source"] else ""
    )


def _headline(span: Row) -> str:
    parts = [cell(span["name"]), f"[{cell(span['kind'])}]" if span["kind"] else "", f"{span['duration_ms']:.1f} ms"]
    if span["model"] is not None:
        parts.append(cell(span["model"]) + (" (simulated)" if span["simulated"] else ""))
        # A stream that is closed early often has no count: that is not 0.
        tokens = ["?" if count is None else str(count) for count in (span["input_tokens"], span["output_tokens"])]
        parts.append(" → ".join(tokens) + " tokens")
        parts += [f"${span['cost']:.6f}"] if span["cost"] is not None else []
        parts += [f"cache: {cell(span['cache'])}"] if span["cache"] else []
    if span["status"] not in {"ok", "unset", None}:
        parts.append(cell(span["status"]).upper())
    return "  ".join(part for part in parts if part)


def _details(span: Row, events: Sequence[Row], *, full: bool) -> Iterator[str]:
    who = {"session": span["session_id"], "user": span["user_id"], "tags": ", ".join(span["tags"] or ())}
    if span["parent_span_id"] is None:
        said = [f"{name} {cell(value)}" for name, value in who.items() if value]
        line = "  ".join(said)
        # A long line would be cut on a narrow terminal, and ids stay whole.
        yield from ([line] if line else []) if len(line) <= _SHORT else said
    metadata = _metadata(span["attributes"])
    if metadata:
        line = "  ".join(f"{cell(key)}={cell(value)}" for key, value in metadata.items())
        yield f"metadata {line}" if full else cut(f"metadata {line}", _CUT)
    if span["status_message"] or span["error_type"]:
        yield from _content("error", f"{span['error_type'] or ''}: {span['status_message'] or ''}", full=full)
    for event in events:
        yield f"• {_event(event)}" if full else cut(f"• {_event(event)}", _CUT)
    has_messages = span["input_messages"] is not None
    if has_messages:
        for role, text in [*_messages(span["input_messages"]), *_messages(span["output_messages"])]:
            yield from _content(role, text, full=full)
        return
    for name in ("input", "output"):
        if span[name] is not None:
            yield from _content(name, span[name], full=full)


def _metadata(attributes: str | None) -> dict[str, Any]:
    """Return what `llmops.context(metadata=...)` and attributes of the program's own say about a span."""
    parsed = _parsed(attributes)
    if not isinstance(parsed, dict):
        return {}
    pairs = cast("dict[str, Any]", parsed).items()
    return {
        key.removeprefix(METADATA_PREFIX): value
        for key, value in pairs
        if key.startswith((METADATA_PREFIX, "metadata"))
    }


def _messages(stored: str | None) -> Iterator[tuple[str, str]]:
    """Yield the role and text of each message. Parts without text (a tool call, an image) are JSON."""
    messages = _parsed(stored)
    for message in cast("list[Any]", messages) if isinstance(messages, list) else [messages]:
        if not isinstance(message, dict):
            if message is not None:
                yield "message", json_text(message)
            continue
        fields = cast("dict[str, Any]", message)
        parts: Any = fields.get("parts")
        said = [_part(part) for part in cast("list[Any]", parts)] if isinstance(parts, list) else [json_text(fields)]
        yield str(fields.get("role", "message")), "\n".join(said)


def _part(part: Any) -> str:
    content = cast("dict[str, Any]", part).get("content") if isinstance(part, dict) else None
    return content if isinstance(content, str) else json_text(part)


def _event(event: Row) -> str:
    attributes = event["attributes"]
    if not isinstance(attributes, dict):
        return cell(event["name"])
    pairs = cast("dict[str, Any]", attributes).items()
    known = {key: value for key, value in pairs if value is not None and key != "start_ns"}
    name = str(event["name"]).removeprefix("llmops.")
    return "  ".join([cell(name), *(f"{cell(key)}={cell(value)}" for key, value in known.items())])


def _content(name: str, text: str, *, full: bool) -> Iterator[str]:
    if not full:
        yield f"{cell(name)}: {cut(cell(text), _CUT)}"
        return
    first, *rest = defuse(text).split("\n")
    yield f"{cell(name)}: {first}"
    yield from (f"  {line}" for line in rest)
