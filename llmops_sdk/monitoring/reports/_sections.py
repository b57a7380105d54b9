"""A report's parts before they become HTML or Markdown: notes, tables and plots, without private ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Section", "Table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table. The first cell of a row names it.

    Attributes:
        caption: What it shows.
        header: The titles of its columns.
        rows: Its cells: texts, numbers or `Cell`s.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its title.
        notes: Sentences above the tables.
        tables: Its tables; one without rows is left out.
        plots: Pictures as SVG, for HTML alone.
    """

    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = field(default=())
    plots: Sequence[str] = ()
