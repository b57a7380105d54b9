"""Markdown in which no text becomes a link, a mention or HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["markdown_table", "markdown_text"]

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_{}[]<>#|~@!$&"} | {"\n": " ", "\r": " "})
_LONGEST = 800  # characters


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table.

    Args:
        header: The titles of the columns.
        rows: The cells.
    """
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(markdown_text(str(cell)) for cell in row) + " |" for row in rows]


def markdown_text(text: str) -> str:
    """Return a text on one line, cut and escaped.

    Args:
        text: Any text.
    """
    cut = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    shown = "".join(char if char.isprintable() else " " for char in cut)
    return shown.translate(_SPECIAL)
