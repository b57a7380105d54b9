"""HTML that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from llmops_sdk._documents._text import clean

__all__ = ["POLICY", "Cell", "page", "table"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it shows.
        kind: Its class in the style sheet, e.g. "n" for a number.
        lines: Whether line breaks and spaces of the text count.
    """

    text: str
    kind: str = ""
    lines: bool = False


def table(
    header: Iterable[str], rows: Iterable[Sequence[object]], *, caption: str = "", row_headers: bool = False
) -> str:
    """Return a table.

    Args:
        header: The titles of the columns.
        rows: The cells; anything but a `Cell` is shown as its text.
        caption: What the table shows.
        row_headers: Whether the first cell of a row names it.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>" + "".join(_cell(cell, row_headers and place == 0) for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object, is_header: bool) -> str:
    cell = value if isinstance(value, Cell) else Cell(str(value))
    kind = f' class="{escape(cell.kind)}"' if cell.kind else ""
    text = f"<pre>{escape(cell.text)}</pre>" if cell.lines else escape(cell.text)
    return f'<th scope="row"{kind}>{text}</th>' if is_header else f"<td{kind}>{text}</td>"


def page(title: str, style: str, body: str, *, policy: str = POLICY) -> str:
    """Return a whole page.

    Args:
        title: The page's title.
        style: Its style sheet.
        body: The HTML between the tags of the body.
        policy: Its content security policy.
    """
    return clean(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>'
        f"<body>{body}</body></html>\n"
    )
