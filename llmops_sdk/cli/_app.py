"""The commands that look, and the way into all of them. Each command's work is in a module of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk._version import __version__
from llmops_sdk.cli._app_store import add_store_commands
from llmops_sdk.cli._examples import EXAMPLES
from llmops_sdk.cli._options import (
    Debug,
    Form,
    Kind,
    Limit,
    Model,
    Score,
    Search,
    Session,
    Since,
    Status,
    Store,
    Tag,
    Until,
    User,
    reported,
)
from llmops_sdk.cli.inspect._stats import Grouping
from llmops_sdk.cli.output._formats import Format

__all__ = ["run"]

app = typer.Typer(
    name="llmops",
    help="Look at the traces of LLM applications, with SQL or without.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: it starts fast and reads well in a pipe
    pretty_exceptions_enable=False,
)


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

    with reported("--debug" in context.args):
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
    from llmops_sdk.cli.inspect._sql import run_sql

    with reported(debug):
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
    from llmops_sdk.cli.inspect._traces import list_traces

    with reported(debug):
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
    from llmops_sdk.cli.inspect._show import show_trace

    with reported(debug):
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
    from llmops_sdk.cli.inspect._stats import show_stats

    with reported(debug):
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
    with reported(debug), suppress(KeyboardInterrupt):
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
        from llmops_sdk.cli.inspect._tail import tail as run_tail

        run_tail(wanted, spans=spans, follow=follow, last=last, form=form, store=store)


@app.command()
def doctor(
    form: Form = Format.TABLE,
    store: Store = None,
    explain: Annotated[
        str | None,
        typer.Option("--explain", metavar="MODEL", help="Every value that holds for a model, and what sets it."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Check installation, settings, store and exporter, or explain what holds for a model."""
    from llmops_sdk.cli.inspect._doctor import examine
    from llmops_sdk.cli.inspect._explain import explain as run_explain

    if explain is not None:
        with reported(debug):
            run_explain(explain, form=form)
        return
    with reported(debug):
        healthy = examine(form=form, store=store)
    raise typer.Exit(0 if healthy else 1)


add_store_commands(app)
