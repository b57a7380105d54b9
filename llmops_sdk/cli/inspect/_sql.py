"""`llmops sql`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._reading import query, show

__all__ = ["sql"]

_TERMINAL_ROWS = 100


def sql(
    statement: Annotated[
        str | None, typer.Argument(metavar="SQL", help='The query, or "-" to read it from stdin.', show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="Read the query from this file.")
    ] = None,
    form: Form = Format.TABLE,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=0, help="Show at most this many rows; 0 shows all. On a terminal: 100."),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds that the query may take.")] = 60.0,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Run SQL of others in a process with a memory limit.")
    ] = False,
    store: Store = None,
) -> None:
    """Query traces with SQL, also while programs write them."""
    text = _read_statement(statement, file)
    if limit is None:
        limit = _TERMINAL_ROWS if form is Format.TABLE and sys.stdout.isatty() else 0
    result = query(text, store=store, timeout=timeout, isolated=isolated)
    show(form, result.columns, result.rows(), limit)


def _read_statement(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise UsageError('give one query: llmops sql "SELECT …", -f FILE, or - to read it from stdin')
    if file is not None:
        try:
            return file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}") from error
    return sys.stdin.read() if text == "-" else str(text)
