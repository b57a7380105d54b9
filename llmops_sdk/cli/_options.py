"""The options that commands share, and how what they raise reaches the shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.errors import LLMOpsError

__all__ = [
    "Debug",
    "Form",
    "Kind",
    "Limit",
    "Model",
    "Score",
    "Search",
    "Session",
    "Since",
    "Status",
    "Store",
    "Tag",
    "Until",
    "User",
    "reported",
]

Store = Annotated[
    Path | None, typer.Option("--store", metavar="PATH", help="The store's folder; by default that of the settings.")
]
Form = Annotated[Format, typer.Option("--format", help="How rows are written; cells of a plain table are cut at 200.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows shown at most; 0 is all of them.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="Began at or after: an age (30s, 5m, 2h, 7d) or a time.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Began before: an age, or an ISO time (UTC).")
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="A model that was asked for or that served.")
]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="The session's id.")]
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="The user's id.")]
Status = Annotated[
    str | None, typer.Option("--status", metavar="STATUS", help="ok, error, cancelled, closed or unset.")
]
Kind = Annotated[
    str | None, typer.Option("--kind", metavar="KIND", help="The kind of a span: llm, tool, retriever, agent, …")
]
Tag = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; given again, each must be there.")]
Score = Annotated[
    list[str] | None,
    typer.Option("--score", metavar="NAME[<>=]VALUE", help='A score, as in "helpful<0.5"; NAME alone: it has one.'),
]
Search = Annotated[str | None, typer.Option("--search", metavar="TEXT", help="In a name, input, output, attribute.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@contextmanager
def reported(debug: bool) -> Generator[None]:
    """Turn what a command raises into one line on stderr and an exit status."""
    try:
        yield
        sys.stdout.flush()
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    except LLMOpsError as error:
        if debug:
            raise
        # DuckDB points with a line of carets; on one line there is nothing to point at.
        lines = [line.strip() for line in defuse(str(error)).splitlines() if line.strip(" ^")]
        print(f"llmops: {'; '.join(lines)}", file=sys.stderr)
        raise typer.Exit(1) from error
    except BrokenPipeError as error:
        # The reader of the pipe (`head`) has had enough. Nothing may be written when the interpreter flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
