"""Rows on a terminal: a table where it fits, else records, one column a line. Only this module imports rich."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmops_sdk.cli.output._text import cell, cut, is_numeric

__all__ = ["cell_len", "fitted", "folded", "print_rows", "record_lines", "terminal_width"]

_MAX_CELL = 1_000
_MIN_VALUE = 34
"""Columns for a value beside its name: an id of 32 digits stays whole."""


def terminal_width(out: TextIO) -> int:
    """Return the number of columns: of `COLUMNS`, else of the terminal."""
    return Console(file=out).width


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO) -> None:
    """Print rows as a table if it fits the terminal, else each row as a record."""
    console = Console(file=out)
    names = [cell(name) for name in columns]
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(names, *texts, strict=True)]
    if not rows:
        print_lines(_names_only(names, console.width), out)
    elif sum(widths) + 3 * len(widths) + 1 <= console.width:
        table = Table(header_style="bold")
        for index, name in enumerate(names):
            table.add_column(Text(name), justify="right" if is_numeric(rows, index) else "left", no_wrap=True)
        for row in texts:
            # Text, not str: rich must not take trace content for markup.
            table.add_row(*(Text(text) for text in row))
        console.print(table)
    else:
        for number, row in enumerate(texts, 1):
            print_lines(record_lines(names, row, console.width, title=str(number)), out)


def print_lines(lines: Iterator[str], out: TextIO) -> None:
    """Write lines."""
    out.writelines(f"{line.rstrip()}\n" for line in lines)


def _names_only(names: Sequence[str], width: int) -> Iterator[str]:
    yield from folded("  ".join(names), width)


def record_lines(names: Sequence[str], texts: Sequence[str], width: int, *, title: str) -> Iterator[str]:
    """Yield the lines of one row: a rule, then each column that has a value.

    Args:
        names: The names of the columns.
        texts: The values as text; an empty one is left out.
        width: The columns of the terminal.
        title: The text of the rule.
    """
    yield f"── {title} ".ljust(min(width, 60), "─")[:width]
    left = max(map(cell_len, names), default=0)
    for name, text in zip(names, texts, strict=True):
        if not text:
            continue
        if width - left - 2 >= min(cell_len(text), _MIN_VALUE):
            first, *rest = folded(cut(text, _MAX_CELL), width - left - 2)
            yield name + " " * (left - cell_len(name) + 2) + first
            yield from (" " * (left + 2) + line for line in rest)
        else:
            yield from folded(name, width)
            yield from ("  " + line for line in folded(cut(text, _MAX_CELL), width - 2))


def folded(text: str, width: int) -> list[str]:
    """Return a text in lines of at most `width` columns, broken at blanks where there are some."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = chop_cells(word, max(width, 2)) or [""]
        lines += whole
    return [*lines, line]


def fitted(text: str, width: int) -> str:
    """Return a line of at most `width` columns, cut with "…"."""
    if cell_len(text) <= width:
        return text
    return (chop_cells(text, max(width - 1, 1)) or [""])[0] + "…"
