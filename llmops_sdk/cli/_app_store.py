"""The commands that change a store, or take data out of it and into it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk.cli._examples import EXAMPLES
from llmops_sdk.cli._options import Debug, Session, Since, Store, Until, User, reported

__all__ = ["add_store_commands"]


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
    from llmops_sdk.cli.storage._export import run_export

    with reported(debug):
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


def import_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="As written by export, or OTLP JSON of others.")
    ],
    form: Annotated[
        str | None, typer.Option("--format", help="parquet, jsonl, csv or otlp, whatever FILE's end.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Take also what the store has already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Put files of spans, scores or losses into the store: each file whole or not at all."""
    from llmops_sdk.cli.storage._import import run_import

    with reported(debug):
        run_import(files, form=form, force=force, dry_run=dry_run, store=store)


def collect(
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes any free one.")] = 4318,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be one that other machines reach.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name that senders use besides localhost."),
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option("--token-env", metavar="NAME", help="The variable that holds the bearer token to ask for."),
    ] = None,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Receive OTLP over HTTP from any program into the store, until Ctrl-C."""
    from llmops_sdk.cli.storage._collect import run_collect

    with reported(debug):
        run_collect(
            host=host,
            port=port,
            allow_remote=allow_remote,
            allow_hosts=allow_host or (),
            token_env=token_env,
            store=store,
        )


def compact(store: Store = None, debug: Debug = False) -> None:
    """Turn write-ahead files into Parquet files now; a process beside each application does so by itself."""
    from llmops_sdk.cli.storage._compact import run_compact

    with reported(debug):
        run_compact(store=store)


def prune(
    user: User = None,
    session: Session = None,
    trace: Annotated[str | None, typer.Option("--trace", metavar="ID", help="The trace's id, 32 digits.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="WHEN", help="What began before: an age (90d) or a time.")
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="SIZE", help="The oldest files until it fits, as in 2GB.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_cache: Annotated[
        bool, typer.Option("--keep-cache", help="By user or session: leave the cached answers.")
    ] = False,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Remove the data of a user, a session or a trace, or what is old or too much, from every file."""
    from llmops_sdk.cli.storage._prune import Wanted, run_prune

    wanted = Wanted(user=user, session=session, trace=trace, older_than=older_than, max_bytes=max_bytes)
    with reported(debug):
        clean = run_prune(wanted, dry_run=dry_run, yes=yes, keep_cache=keep_cache, store=store)
    raise typer.Exit(0 if clean else 1)


def replay(
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="A backend's base URL, or a destination's name.")
    ] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="http/protobuf or grpc, for a URL.")] = "http/protobuf",
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="Of each request, for a URL.")
    ] = None,
    content: Annotated[
        bool | None, typer.Option("--content/--no-content", help="Send prompts and answers, or do not.")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only where this holds, as in: \"model = 'gpt'\".")
    ] = None,
    since: Since = None,
    until: Until = None,
    discard: Annotated[
        str | None, typer.Option("--discard", metavar="NAME", help="Remove what waits for a destination.")
    ] = None,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Send what waits for backends that were away, or what the store has to any backend."""
    from llmops_sdk.cli.storage._replay import Asked, run_replay

    asked = Asked(
        to=to,
        protocol=protocol,
        headers=header or (),
        content=content,
        where=where,
        since=since,
        until=until,
        discard=discard,
    )
    with reported(debug):
        clean = run_replay(asked, store=store)
    raise typer.Exit(0 if clean else 1)


def snapshot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new database, as in traces.duckdb.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    store: Store = None,
    debug: Debug = False,
) -> None:
    """Write all rows into one DuckDB database, for heavy analysis and other machines."""
    from llmops_sdk.cli.storage._compact import run_snapshot

    with reported(debug):
        run_snapshot(file, force=force, store=store)


def add_store_commands(app: typer.Typer) -> None:
    """Give them to the command line."""
    for command in (collect, compact, export, prune, replay, snapshot):
        app.command(epilog=EXAMPLES.get(command.__name__))(command)
    app.command("import", epilog=EXAMPLES["import"])(import_files)
