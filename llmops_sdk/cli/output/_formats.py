"""Write rows as a table, JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TextIO

from llmops_sdk.cli.output._text import cell, csv_cell, cut, is_numeric, json_text

__all__ = ["Format", "RowStream", "write_rows"]

_CELL_WIDTH = 200


class Format(StrEnum):
    """The output formats of rows."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def _unique(names: Sequence[str]) -> list[str]:
    """Return column names that can be keys: `SELECT 1 AS a, 2 AS a` has two of the same name."""
    seen: set[str] = set()
    unique: list[str] = []
    for name in names:
        free = next(
            candidate
            for candidate in itertools.chain([name], (f"{name}_{n}" for n in itertools.count(1)))
            if candidate not in seen
        )
        seen.add(free)
        unique.append(free)
    return unique


def _write_json(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    names = _unique(columns)
    separator = "[\n"
    for row in rows:
        out.write(separator + json_text(dict(zip(names, row, strict=True))))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in columns])
    writer.writerows([csv_cell(value) for value in row] for row in rows)


def _markdown_row(values: Iterable[str]) -> str:
    # Escape "<", too: a renderer must not take trace text for HTML.
    return "| " + " | ".join(v.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;") for v in values) + " |\n"


def _write_markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    collected = list(rows)
    out.write(_markdown_row(cell(name) for name in columns))
    out.write("|" + "|".join(" ---: " if is_numeric(collected, i) else " --- " for i in range(len(columns))) + "|\n")
    out.writelines(_markdown_row(cell(value) for value in row) for row in collected)


def _table_lines(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    names = [cell(name) for name in columns]
    # One huge cell must not widen every line; the other formats do not cut.
    texts = [[cut(cell(value), _CELL_WIDTH) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    right = [is_numeric(rows, i) for i in range(len(columns))]
    return [_table_line(line, widths, right) for line in [names, ["-" * w for w in widths], *texts]]


def _table_line(texts: Iterable[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = zip(texts, widths, right, strict=True)
    return "  ".join(text.rjust(w) if r else text.ljust(w) for text, w, r in cells).rstrip() + "\n"


def write_rows(form: Format, columns: Sequence[str], rows: Iterable[Sequence[Any]], out: TextIO) -> None:
    """Write rows to `out`. JSON and CSV are written row by row; tables and Markdown need all rows first."""
    if form is Format.JSON:
        _write_json(columns, rows, out)
    elif form is Format.CSV:
        _write_csv(columns, rows, out)
    elif form is Format.MARKDOWN:
        _write_markdown(columns, rows, out)
    elif out.isatty():
        from llmops_sdk.cli.output._terminal import print_rows

        print_rows(columns, list(rows), out)
    else:
        out.writelines(_table_lines(columns, list(rows)))


class RowStream:
    """Rows written one by one, as lines of a table, Markdown or CSV, or as one JSON object per line.

    The header is written at once.

    Args:
        form: The output format.
        widths: The column names with their widths in a table; a longer cell widens only its own line.
        numbers: The columns of numbers, which are right-aligned.
        out: The target, flushed after each `write`.
    """

    def __init__(self, form: Format, widths: Mapping[str, int], numbers: Collection[str], out: TextIO) -> None:
        self._form = form
        self._widths = [max(width, len(name)) for name, width in widths.items()]
        self._right = [name in numbers for name in widths]
        self._columns = list(widths)
        self._out = out
        self._count = 0
        self._width = 0
        if form is Format.TABLE and out.isatty():
            from llmops_sdk.cli.output._terminal import terminal_width

            self._width = terminal_width(out)
        is_wide = 0 < self._width < sum(self._widths) + 2 * (len(self._widths) - 1)
        self._as_records = is_wide
        if form is Format.CSV:
            _write_csv(self._columns, [], out)
        elif form is Format.MARKDOWN:
            _write_markdown(self._columns, [], out)
        elif form is Format.TABLE and not is_wide:
            out.write(self._line(self._columns))
        out.flush()

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows, each with a value for every column."""
        for row in rows:
            if self._form is Format.JSON:
                self._out.write(json_text(dict(zip(self._columns, row, strict=True))) + "\n")
            elif self._form is Format.CSV:
                csv.writer(self._out, lineterminator="\n").writerow([csv_cell(value) for value in row])
            elif self._form is Format.MARKDOWN:
                self._out.write(_markdown_row(cell(value) for value in row))
            else:
                self._write_line(row)
        self._out.flush()

    def _write_line(self, row: Sequence[Any]) -> None:
        line = self._line(row)
        if not self._width:
            self._out.write(line)
            return
        from llmops_sdk.cli.output._terminal import cell_len, record_lines

        if not self._as_records and cell_len(line.rstrip("\n")) <= self._width:
            self._out.write(line)
            return
        self._count += 1
        lines = record_lines(self._columns, [cell(value) for value in row], self._width, title=str(self._count))
        self._out.writelines(f"{one.rstrip()}\n" for one in lines)

    def _line(self, row: Sequence[Any]) -> str:
        return _table_line([cut(cell(value), _CELL_WIDTH) for value in row], self._widths, self._right)
