"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk.cli.output._formats import Format

__all__ = [
    "DryRun",
    "FileFormat",
    "Force",
    "Form",
    "Kind",
    "Limit",
    "MinCost",
    "MinDuration",
    "Model",
    "Name",
    "Score",
    "Search",
    "Session",
    "Since",
    "Status",
    "Store",
    "Tag",
    "Until",
    "User",
    "WhereSql",
]

Store = Annotated[
    Path | None, typer.Option("--store", metavar="PATH", help="The store's folder. Default: the configured store.")
]
Form = Annotated[Format, typer.Option("--format", help="Output format. Plain tables cut cells at 200 characters.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="Show at most this many rows; 0 shows all.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Started at or after this age (30s, 5m, 2h, 7d) or UTC time."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Started before this age or UTC time.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name of the trace, span or call.")]
MinCost = Annotated[
    float | None, typer.Option("--min-cost", metavar="USD", help="Cost at least this much; not those of unknown cost.")
]
MinDuration = Annotated[
    float | None, typer.Option("--min-duration", metavar="SECONDS", help="Took at least this long.")
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="The model asked for or served, or its name in [models]."),
]
Session = Annotated[str | None, typer.Option("--session", metavar="ID", help="The session id.")]
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="The user id.")]
Status = Annotated[
    str | None, typer.Option("--status", metavar="STATUS", help="ok, error, cancelled, closed or unset.")
]
Kind = Annotated[
    str | None, typer.Option("--kind", metavar="KIND", help="The span kind, e.g. llm, tool, retriever, agent.")
]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Require this tag. Repeat to require several.")
]
Score = Annotated[
    list[str] | None,
    typer.Option(
        "--score",
        metavar="NAME[<>=]VALUE",
        help='Filter by score, e.g. "helpful<0.5". NAME alone matches any trace with that score.',
    ),
]
Search = Annotated[
    str | None,
    typer.Option("--search", metavar="TEXT", help="Text to search for in names, inputs, outputs and attributes."),
]
FileFormat = Annotated[
    str | None, typer.Option("--format", help="parquet, jsonl, csv or otlp. Default: taken from FILE's extension.")
]
WhereSql = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Only rows that match, e.g. \"model = 'gpt'\".")
]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count only; change nothing.")]
