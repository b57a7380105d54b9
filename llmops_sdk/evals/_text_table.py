"""Results as a plain table, for `print` and for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from llmops_sdk._documents import defuse
from llmops_sdk.stats import Interval

__all__ = ["as_html", "text_table"]


def text_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], notes: Iterable[str] = ()) -> str:
    """Return rows as aligned columns, and notes below them.

    Args:
        columns: The names of the columns.
        rows: Their cells; numbers get three significant digits.
        notes: Lines below the table.

    Example:
        >>> print(text_table(("score", "mean"), [("exact", 2 / 3)], ["2 items failed"]))
        score  mean
        exact  0.667
        2 items failed
    """
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return "\n".join([*lines, *map(defuse, notes)])


def as_html(text: str) -> str:
    """Return a text as HTML for a notebook."""
    return f"<pre>{escape(text)}</pre>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Interval):
        return f"[{value.low:.3g}, {value.high:.3g}]"
    return " ".join(defuse(str(value)).split())
