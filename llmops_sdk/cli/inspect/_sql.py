"""`llmops sql`: any query on the views."""

from __future__ import annotations

import sys
from pathlib import Path

from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._reading import query, show

__all__ = ["run_sql"]

_TERMINAL_ROWS = 100


def _statement(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise UsageError('give one query: llmops sql "SELECT …", -f FILE, or - to read it from stdin')
    if file is not None:
        try:
            return file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}") from error
    return sys.stdin.read() if text == "-" else str(text)


def run_sql(
    text: str | None, *, file: Path | None, form: Format, limit: int | None, timeout: float, store: Path | None
) -> None:
    """Run one query and write its rows to stdout.

    Raises:
        UsageError: There is no query, or more than one source of it.
        QueryError: The SQL is not valid, not allowed, or took longer than `timeout` seconds.
        StoreError: There is no store, or it cannot be read.
    """
    statement = _statement(text, file)
    if limit is None:
        limit = _TERMINAL_ROWS if form is Format.TABLE and sys.stdout.isatty() else 0
    result = query(statement, store=store, timeout=timeout)
    show(form, result.columns, result.rows(), limit)
