"""One trace as a self-contained HTML file without scripts: waterfall, spans, messages, scores and images."""
# ruff: noqa: S608 - constants

from __future__ import annotations

import base64
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from llmops_sdk._documents import POLICY, defuse, page, svg, svg_rect, svg_text, table
from llmops_sdk.config import current
from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._folders import open_file
from llmops_sdk.tracing.privacy._hash_key import hash_key
from llmops_sdk.tracing.privacy._redactors import redaction_label, registered_redactors
from llmops_sdk.tracing.privacy._text_redactor import TextRedactor
from llmops_sdk.ui._asked import Asked
from llmops_sdk.ui.api._trace import trace

__all__ = ["trace_document"]

_MAX_DRAWN = 1_000  # spans
_MAX_SHOWN = 300  # spans with their content
_MAX_TEXT = 50_000  # characters
_MAX_IMAGES = 20 * 1024 * 1024  # bytes of all together
_ROW, _WIDTH, _LABEL = 18, 1_000, 320
_IMAGE = re.compile(r"blobs/([0-9a-f]{64}\.(png|jpe?g|gif|webp))")
_CONTENT = f"""SELECT span_id, input, output, status_message, session_id, user_id, attributes FROM spans
WHERE trace_id = $trace ORDER BY start_ns LIMIT {_MAX_SHOWN}"""
_STYLE = """
:root{color-scheme:light dark;--line:#d0d7de;--dim:#57606a;--bar:#2456c8;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--line:#3d444d;--dim:#9aa4af;--bar:#6d9bff;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{border-bottom:1px solid var(--line);padding:.25rem .6rem;
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}pre{white-space:pre-wrap;
overflow-wrap:anywhere;margin:.3rem 0;max-height:30rem;overflow:auto}.bad{color:var(--bad)}.dim{color:var(--dim)}
svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}rect.bar{fill:var(--bar)}rect.bad{fill:var(--bad)}
details{border-bottom:1px solid var(--line);padding:.3rem 0}img{max-width:100%;max-height:24rem}
"""


def trace_document(folder: Path, trace_id: str) -> str:
    """Return the file's text. What redaction knows as a secret is replaced again, also in text of other programs.

    Args:
        folder: The store's folder.
        trace_id: The trace.

    Raises:
        NotFoundError: The store has no such trace.
        StoreError: The store cannot be read.
    """
    found = trace(Asked(folder, {}, {"trace": trace_id}))
    data, writer = found.data, _Writer(folder)
    content: dict[str, dict[str, Any]] = {}
    for row in Asked(folder).rows(_CONTENT, {"trace": trace_id}):
        content.setdefault(row["span_id"], row)
    summary, spans = data["summary"], data["spans"]
    scores: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for score in data["scores"]:
        scores[score["span_id"]].append(score)
    title = f"Trace {writer.text(summary['name'] or trace_id)}"
    left_out = max(len(spans) - _MAX_SHOWN, 0)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(summary, writer),
        writer.scores(scores[None]),
        "<h2>Waterfall</h2>",
        _waterfall(spans, writer),
        "<h2>Spans</h2>",
        *(writer.span(one, content.get(one["span_id"], {}), scores[one["span_id"]]) for one in spans[:_MAX_SHOWN]),
        f'<p class="dim">{left_out:,} more spans are not shown.</p>' if left_out else "",
    ]
    return page(title, _STYLE, f"<main>{''.join(parts)}</main>", policy=f"{POLICY}; img-src data:")


def _summary(summary: Mapping[str, Any], writer: _Writer) -> str:
    facts = (
        ("Trace", summary["trace_id"]), ("Began (UTC)", summary["start_time"]),
        ("Took", _seconds(summary["duration_s"])), ("Status", summary["status"] or "running"),
        ("Session", summary["session_id"]), ("User", summary["user_id"]),
        ("Models", ", ".join(summary["models"] or [])),
        ("Spans", f"{summary['spans']:,}"), ("Tokens", f"{summary['tokens']:,}"),
        ("Cost", "unknown" if summary["cost_usd"] is None else f"${summary['cost_usd']:.6f}"),
        ("Simulated", "yes: no real model answered" if summary["simulated"] else None),
    )  # fmt: skip
    rows = [(name, writer.text(str(value))) for name, value in facts if value not in {None, ""}]
    return table(("", ""), rows, row_headers=True)


def _seconds(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value * 1e3:,.1f} ms" if value < 1 else f"{value:,.2f} s"


def _waterfall(spans: Sequence[Mapping[str, Any]], writer: _Writer) -> str:
    drawn = spans[:_MAX_DRAWN]
    begin = min((int(one["start_ns"]) for one in drawn), default=0)
    end = max((int(one["start_ns"]) + one["duration_ns"] for one in drawn), default=1)
    scale = (_WIDTH - _LABEL - 10) / max(end - begin, 1)
    parts: list[str] = []
    for number, one in enumerate(drawn):
        y = number * _ROW
        name = writer.text(str(one["name"]))[:48]
        parts.append(svg_text(min(one["depth"], 20) * 10.0, y + 13, name, "start"))
        x = _LABEL + (int(one["start_ns"]) - begin) * scale
        kind = "bad" if one["status"] == "error" else "bar"
        took = f"{name}: {_seconds(one['duration_ns'] / 1e9)}, alone {_seconds(one['own_ns'] / 1e9)}"
        parts.append(svg_rect(x, y + 3, max(one["duration_ns"] * scale, 1.0), _ROW - 6, kind, took))
    more = f'<p class="dim">The first {_MAX_DRAWN:,} of {len(spans):,} spans.</p>' if len(spans) > _MAX_DRAWN else ""
    return svg(_WIDTH, max(len(drawn), 1) * _ROW, "When each span ran", "".join(parts)) + more


class _Writer:
    """Writes pieces of the page: without secrets, without control characters, and escaped.

    Args:
        folder: The store's folder, for images.
    """

    def __init__(self, folder: Path) -> None:
        settings = current().redaction
        patterns = [(redaction_label(name), re.compile(text)) for name, text in settings.patterns.items()]
        self._redactor = TextRedactor((*patterns, *registered_redactors()), hash_key(settings))
        self._folder = folder
        self._image_bytes = 0

    def text(self, text: str) -> str:
        """Return a text to escape and show."""
        shown = text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}… [{len(text) - _MAX_TEXT:,} more characters]"
        return defuse(self._redactor.text(shown))

    def scores(self, scores: Sequence[Mapping[str, Any]]) -> str:
        """Return scores as a table."""
        if not scores:
            return ""
        keys = ("name", "value", "label", "comment", "source")
        cells = [[self.text("" if one[key] is None else str(one[key])) for key in keys] for one in scores]
        return table(("Score", "Value", "Label", "Comment", "By"), cells)

    def span(self, one: Mapping[str, Any], content: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]) -> str:
        """Return a span with its content, folded."""
        facts = [one["kind"], _seconds(one["duration_ns"] / 1e9), one["model"], one["status"]]
        facts += [] if one["tokens"] is None else [f"{one['tokens']:,} tokens"]
        facts += [] if one["cost_usd"] is None else [f"${one['cost_usd']:.6f}"]
        facts += ["simulated"] if one["simulated"] else []
        facts += [f"{verdict['guard']}: {verdict['action']}" for verdict in one["verdicts"]]
        line = self.text(" · ".join(str(fact) for fact in facts if fact))
        kind = ' class="bad"' if one["status"] == "error" else ""
        body = [self.scores(scores)]
        if one["status"] == "error":
            message = f"{one['error_type'] or 'error'}: {content.get('status_message') or ''}"
            body.append(f'<pre class="bad">{escape(self.text(message))}</pre>')
        for name in ("input", "output", "attributes"):
            stored = content.get(name)
            if stored is not None:
                body.append(f"<h3>{name.title()}</h3><pre>{escape(self.text(stored))}</pre>{self._images(stored)}")
        head = f"<summary{kind}>{'&nbsp;' * 2 * min(one['depth'], 20)}<b>{escape(self.text(str(one['name'])))}</b>"
        return f'<details>{head} <span class="dim">{escape(line)}</span></summary>{"".join(body)}</details>'

    def _images(self, stored: str) -> str:
        """Return the images that a text refers to, as far as the bound allows."""
        shown: list[str] = []
        for name, end in dict.fromkeys(_IMAGE.findall(stored)):
            try:
                descriptor = open_file(self._folder / "blobs" / name, os.O_RDONLY)
            except (OSError, StoreError):
                continue
            with os.fdopen(descriptor, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if self._image_bytes + size > _MAX_IMAGES:
                    shown.append('<p class="dim">An image is left out: the file would be too large.</p>')
                    continue
                self._image_bytes += size
                encoded = base64.b64encode(file.read()).decode()
            kind = "jpeg" if end == "jpg" else end
            shown.append(f'<p><img alt="stored image" src="data:image/{kind};base64,{encoded}"></p>')
        return "".join(shown)
