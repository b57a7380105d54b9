"""The commands and their options: the one module that imports typer. Each command's work is in a module of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk._version import __version__
from llmops_sdk.cli._examples import EXAMPLES
from llmops_sdk.cli._formats import Format
from llmops_sdk.cli._stats import Grouping
from llmops_sdk.cli._text import defuse
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.errors import LLMOpsError

__all__ = ["run"]

app = typer.Typer(
    name="llmops",
    help="Look at the traces of LLM applications, with SQL or without.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: it starts fast and reads well in a pipe
    pretty_exceptions_enable=False,
)

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


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments` (by default those of the process); returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks is shown escaped; it is no reason to stop.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        app(arguments)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    return 0


@contextmanager
def _reported(debug: bool) -> Generator[None]:
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


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    del version  # done by its callback


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def demo(context: typer.Context) -> None:
    """Run an example program and report on it in SQL."""
    from llmops_sdk.cli._demo import run_demo

    with _reported("--debug" in context.args):
        status = run_demo([argument for argument in context.args if argument != "--debug"])
    raise typer.Exit(status)


@app.command(epilog=EXAMPLES["sql"])
def sql(
    statement: Annotated[
        str | None, typer.Argument(metavar="SQL", help='The query, or "-" to read it from stdin.', show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="A file with the query.")
    ] = None,
    form: Form = Format.TABLE,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=0, help="Rows shown at most, 0 for all; a table on a terminal shows 100."),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds that the query may take.")] = 60.0,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Query the traces with SQL, also while programs are writing them."""
    from llmops_sdk.cli._sql import run_sql

    with _reported(debug):
        run_sql(statement, file=file, form=form, limit=limit, timeout=timeout, store=store)


@app.command(epilog=EXAMPLES["traces"])
def traces(
    since: Since = None,
    until: Until = None,
    model: Model = None,
    session: Session = None,
    user: User = None,
    status: Status = None,
    kind: Kind = None,
    tag: Tag = None,
    score: Score = None,
    search: Search = None,
    limit: Limit = 20,
    form: Form = Format.TABLE,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """List the latest traces: those of which one span fits each filter."""
    from llmops_sdk.cli._filters import parse_filter
    from llmops_sdk.cli._traces import list_traces

    with _reported(debug):
        wanted = parse_filter(
            since=since,
            until=until,
            model=model,
            session=session,
            user=user,
            status=status,
            kind=kind,
            search=search,
            tags=tag or (),
            scores=score or (),
        )
        list_traces(wanted, limit=limit, form=form, store=store)


@app.command(epilog=EXAMPLES["show"])
def show(
    trace_id: Annotated[str, typer.Argument(metavar="TRACE_ID", help="The id, or as much of its start as is unique.")],
    full: Annotated[bool, typer.Option("--full", help="Do not cut the content.")] = False,
    form: Form = Format.TABLE,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Show one trace as a tree, with what happened in it."""
    from llmops_sdk.cli._show import show_trace

    with _reported(debug):
        show_trace(trace_id, full=full, form=form, store=store)


@app.command(epilog=EXAMPLES["stats"])
def stats(
    by: Annotated[Grouping, typer.Option("--by", help="What the calls are grouped by.")] = Grouping.MODEL,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    session: Session = None,
    user: User = None,
    status: Status = None,
    kind: Kind = None,
    tag: Tag = None,
    score: Score = None,
    search: Search = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="Count simulated calls in the total's cost.")] = False,
    limit: Limit = 50,
    form: Form = Format.TABLE,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Sum the calls up: errors, cache hits, latency, tokens and cost."""
    from llmops_sdk.cli._filters import parse_filter
    from llmops_sdk.cli._stats import show_stats

    with _reported(debug):
        wanted = parse_filter(
            since=since,
            until=until,
            model=model,
            session=session,
            user=user,
            status=status,
            kind=kind,
            search=search,
            tags=tag or (),
            scores=score or (),
        )
        show_stats(by, wanted, simulated=simulated, limit=limit, form=form, store=store)


@app.command(epilog=EXAMPLES["tail"])
def tail(
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C; or show the latest.")
    ] = True,
    spans: Annotated[bool, typer.Option("--spans", help="Each span, not each trace.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="How many of the latest to begin with.")] = 10,
    since: Since = None,
    until: Until = None,
    model: Model = None,
    session: Session = None,
    user: User = None,
    status: Status = None,
    kind: Kind = None,
    tag: Tag = None,
    score: Score = None,
    search: Search = None,
    form: Annotated[
        Format, typer.Option("--format", help="How rows are written; JSON is one object a line.")
    ] = Format.TABLE,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Show traces as they end, whichever process makes them."""
    from llmops_sdk.cli._filters import parse_filter

    # Ctrl-C is the way to end it, so no failure.
    with _reported(debug), suppress(KeyboardInterrupt):
        wanted = parse_filter(
            since=since,
            until=until,
            model=model,
            session=session,
            user=user,
            status=status,
            kind=kind,
            search=search,
            tags=tag or (),
            scores=score or (),
        )
        from llmops_sdk.cli._tail import tail as run_tail

        run_tail(wanted, spans=spans, follow=follow, last=last, form=form, store=store)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends with .parquet, .jsonl, .csv, or .json for OTLP.")],
    what: Annotated[str, typer.Option("--what", help="spans, scores or losses.")] = "spans",
    form: Annotated[
        str | None, typer.Option("--format", help="parquet, jsonl, csv or otlp, whatever FILE's end.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only where this holds, as in: \"model = 'gpt'\".")
    ] = None,
    since: Since = None,
    until: Until = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Write spans, scores or losses to a file: Parquet, JSON lines, CSV or OTLP."""
    from llmops_sdk.cli._export import run_export

    with _reported(debug):
        run_export(
            file,
            what=what,
            form=form,
            where=where,
            since=since,
            until=until,
            force=force,
            store=store,
        )


@app.command()
def doctor(form: Form = Format.TABLE, store: Store = None, debug: Debug = False) -> None:
    """Check installation, settings, store and exporter."""
    from llmops_sdk.cli._doctor import examine

    with _reported(debug):
        healthy = examine(form=form, store=store)
    raise typer.Exit(0 if healthy else 1)
