"""Tables on a terminal. Only this module imports rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from llmops_sdk.cli.output._text import cell, is_numeric

__all__ = ["print_table"]


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: TextIO) -> None:
    """Print rows as a table of the terminal's width, with long cells folded."""
    table = Table(header_style="bold")
    for index, name in enumerate(columns):
        table.add_column(Text(cell(name)), justify="right" if is_numeric(rows, index) else "left", overflow="fold")
    for row in rows:
        # Text, not str: rich must not take trace content for markup.
        table.add_row(*(Text(cell(value)) for value in row))
    Console(file=out).print(table)
