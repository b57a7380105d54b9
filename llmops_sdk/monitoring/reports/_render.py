"""A report as one HTML file and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llmops_sdk._documents import Cell, markdown_table, markdown_text, page, table
from llmops_sdk.monitoring.reports._sections import Section
from llmops_sdk.monitoring.reports._verdict import VerdictLine

__all__ = ["as_html", "as_markdown"]

_CLASSES = {"worse": "bad", "better": "good"}
_LIGHT = "--text:#1f2328;--back:#ffffff;--good:#1a7f37;--bad:#cf222e;--dim:#59636e;--line:#d0d7de;--bar:#0969da"
_DARK = "--text:#e6edf3;--back:#0d1117;--good:#3fb950;--bad:#f85149;--dim:#9198a1;--line:#3d444d;--bar:#4493f8"
_STYLE = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
@media print{{:root{{color-scheme:light;{_LIGHT}}}body{{max-width:none;margin:0;font-size:11px}}
section{{break-inside:avoid-page}}}}
body{{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;
color:var(--text);background:var(--back)}}
table{{border-collapse:collapse;width:100%;margin:1rem 0}}caption{{text-align:left;font-weight:600;padding:.3rem 0}}
th,td{{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top;
overflow-wrap:anywhere}}th{{font-weight:600}}tbody th{{font-weight:400}}thead th{{color:var(--dim)}}
.n{{text-align:right;font-variant-numeric:tabular-nums}}.id{{font-family:ui-monospace,monospace;font-size:.85em}}
.good{{color:var(--good)}}.bad{{color:var(--bad);font-weight:600}}.dim{{color:var(--dim)}}
svg{{width:100%;height:auto;margin:.5rem 0}}svg text{{font-size:12px;fill:var(--text)}}
svg .bar{{fill:var(--bar)}}svg .bad{{fill:var(--bad)}}svg .axis{{stroke:var(--dim)}}
svg .limit{{stroke:var(--text);stroke-width:2;stroke-dasharray:4 3}}
"""


def as_html(title: str, about: Sequence[str], lines: Sequence[VerdictLine], sections: Sequence[Section]) -> str:
    """Return one HTML file that loads nothing and runs nothing.

    Args:
        title: The title.
        about: Sentences below it: the period, the condition.
        lines: The verdict.
        sections: The parts.
    """
    head = f"<h1>{escape(title)}</h1>" + "".join(f'<p class="dim">{escape(one)}</p>' for one in about)
    rows = [(what, text, Cell(found or "–", _CLASSES.get(found or "", ""))) for what, text, found in lines]
    verdict = (
        "<section><h2>Verdict</h2>" + table(("about", "finding", "verdict"), rows, row_headers=True) + "</section>"
    )
    parts = "".join(_section(one) for one in sections)
    return page(title, _STYLE, f"<main>{head}{verdict}{parts}</main>")


def _section(section: Section) -> str:
    notes = "".join(f"<p>{escape(note)}</p>" for note in section.notes)
    tables = "".join(
        table(one.header, one.rows, caption=one.caption, row_headers=True) for one in section.tables if one.rows
    )
    return f"<section><h2>{escape(section.title)}</h2>{notes}{''.join(section.plots)}{tables}</section>"


def as_markdown(title: str, about: Sequence[str], lines: Sequence[VerdictLine], sections: Sequence[Section]) -> str:
    """Return Markdown, without plots.

    Args:
        title: The title.
        about: Sentences below it: the period, the condition.
        lines: The verdict.
        sections: The parts.
    """
    text = [f"# {markdown_text(title)}", "", *(markdown_text(one) + "  " for one in about), "", "## Verdict", ""]
    text += markdown_table(("about", "finding", "verdict"), [(what, said, found or "–") for what, said, found in lines])
    for section in sections:
        text += [*([""] if text[-1] else []), f"## {section.title}", ""]
        text += [line for note in section.notes for line in (markdown_text(note), "")]
        for one in section.tables:
            if one.rows:
                cells = ([cell.text if isinstance(cell, Cell) else str(cell) for cell in row] for row in one.rows)
                text += [f"**{markdown_text(one.caption)}**", "", *markdown_table(one.header, cells), ""]
    while not text[-1]:
        text.pop()
    return "\n".join(text) + "\n"
