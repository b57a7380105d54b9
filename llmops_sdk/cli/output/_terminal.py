"""What is drawn on a terminal: the one module that imports rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmops_sdk.cli.output._text import cell, is_numeric

__all__ = ["print_table"]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO) -> None:
    """Draw rows as a table of the terminal's width; long cells are folded."""
    table = Table(header_style="bold")
    for index, name in enumerate(columns):
        table.add_column(Text(cell(name)), justify="right" if is_numeric(rows, index) else "left", overflow="fold")
    for row in rows:
        # Text, not str: what stands in a trace is no markup.
        table.add_row(*(Text(cell(value)) for value in row))
    Console(file=out).print(table)
