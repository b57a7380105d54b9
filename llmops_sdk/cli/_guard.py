"""`llmops guard check` and `llmops guard list`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from llmops_sdk.cli._options import Form
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._text import defuse

__all__ = ["check", "list_"]

_MOST_BYTES = 64 * 1024**2


def check(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The text, a file with it, or - for the standard input.")
    ] = "-",
    guards: Annotated[
        str, typer.Option("--guards", "-g", metavar="NAMES", help="The guards, e.g. cards,cards:block.")
    ] = "",
    rail: Annotated[
        str, typer.Option("--rail", help="input, documents, tool_arguments, tool_results or output.")
    ] = "input",
    form: Form = Format.TABLE,
) -> bool:
    """Check a text, and exit with 1 if a guard refuses it.

    The text as the guards leave it goes to stdout below the verdicts; with --format json it is part of them.
    """
    names = [name.strip() for name in guards.split(",") if name.strip()]
    if not names:
        raise UsageError("name the guards: --guards cards,…; `llmops guard list` shows them")
    from llmops_sdk.guardrails import check as check_text

    given: Any = rail  # `check` refuses an unknown one
    done = check_text(_read(text), names, rail=given)
    columns = ("guard", "action", "score", "threshold", "reason", "findings", "duration_ms")
    rows = [
        (
            one.guard,
            one.action,
            one.score,
            one.threshold,
            one.reason,
            ", ".join(f"{found.kind} {found.start}-{found.end}" for found in one.findings),
            round(one.duration_ms, 3),
        )
        for one in done.verdicts
    ]
    if form is Format.TABLE:
        write_rows(form, columns, rows, sys.stdout)
        if done.text:
            print(f"\n{defuse(done.text)}")
    else:
        write_rows(form, (*columns, "text"), [(*row, done.text) for row in rows], sys.stdout)
    return done.action not in {"block", "reask", "fallback"}


def list_(form: Form = Format.TABLE) -> None:
    """List the guards that have names."""
    from llmops_sdk.guardrails._registry import KINDS

    rows = [(name, kind.does, kind.default, ", ".join(kind.actions)) for name, kind in KINDS.items()]
    write_rows(form, ("guard", "finds", "default action", "actions"), rows, sys.stdout)


def _read(text: str) -> str:
    if text == "-":
        return _decoded(sys.stdin.buffer.read(_MOST_BYTES + 1))
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # too long for a name, or a NUL in it
        is_file = False
    if not is_file:
        return text
    with path.open("rb") as file:
        return _decoded(file.read(_MOST_BYTES + 1))


def _decoded(content: bytes) -> str:
    if len(content) > _MOST_BYTES:
        raise UsageError(f"the text has more than {_MOST_BYTES // 1024**2} MB: check it in parts")
    return content.decode("utf-8", "replace")
