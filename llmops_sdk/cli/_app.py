"""Every command, and `run`, which runs one command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from llmops_sdk._version import __version__
from llmops_sdk.cli import _approvals, _cache
from llmops_sdk.cli._command import add_command
from llmops_sdk.cli._demo import demo
from llmops_sdk.cli._filters import Filter
from llmops_sdk.cli._guard import calibrate, check, list_
from llmops_sdk.cli._options import Form, Limit, Store
from llmops_sdk.cli._trust import trust
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.datasets import _commands as _datasets
from llmops_sdk.cli.drift._canary import canary
from llmops_sdk.cli.drift._concept import concept
from llmops_sdk.cli.drift._data import data
from llmops_sdk.cli.evaluation import _compare, _list, _online, _run
from llmops_sdk.cli.inspect._schema import schema
from llmops_sdk.cli.inspect._show import show
from llmops_sdk.cli.inspect._sql import sql
from llmops_sdk.cli.inspect._stats import stats
from llmops_sdk.cli.inspect._ui import ui
from llmops_sdk.cli.monitoring import _alerts, _export
from llmops_sdk.cli.monitoring._report import report
from llmops_sdk.cli.monitoring._watch import watch
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.routing._explain import explain, simulate
from llmops_sdk.cli.routing._train import report as route_report
from llmops_sdk.cli.routing._train import train
from llmops_sdk.cli.storage._collect import collect
from llmops_sdk.cli.storage._compact import compact, snapshot
from llmops_sdk.cli.storage._export import export
from llmops_sdk.cli.storage._import import import_
from llmops_sdk.cli.storage._prune import prune
from llmops_sdk.cli.storage._replay import replay
from llmops_sdk.cli.storage._reprice import reprice

__all__ = ["run"]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments` (default: those of the process) and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # Escape characters that the terminal's encoding lacks instead of failing.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else arguments
    try:
        _application(given[0] if given else "")(given)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    return 0


def _print_version(requested: bool) -> None:
    if requested:
        print(__version__)
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # its callback has done the work


def traces(*, filters: Filter, limit: Limit = 20, form: Form = Format.TABLE, store: Store = None) -> None:
    """List recent traces that match all filters."""
    from llmops_sdk.cli.inspect._traces import list_traces

    list_traces(filters, limit=limit, form=form, store=store)


def tail(
    follow: Annotated[
        bool,
        typer.Option("--follow/--no-follow", help="Keep following until Ctrl-C, or print the latest and exit."),
    ] = True,
    spans: Annotated[bool, typer.Option("--spans", help="Show spans instead of traces.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Start with this many of the latest.")] = 10,
    *,
    filters: Filter,
    form: Annotated[
        Format, typer.Option("--format", help="Output format. JSON is one object per line.")
    ] = Format.TABLE,
    store: Store = None,
) -> None:
    """Show traces as they end, from every process."""
    # Ctrl-C is the normal way to end it.
    with suppress(KeyboardInterrupt):
        from llmops_sdk.cli.inspect._tail import tail as run_tail

        run_tail(filters, spans=spans, follow=follow, last=last, form=form, store=store)


def doctor(
    form: Form = Format.TABLE,
    store: Store = None,
    explain: Annotated[
        str | None,
        typer.Option("--explain", metavar="MODEL", help="Show every setting of a model and the key that sets it."),
    ] = None,
    problems: Annotated[bool, typer.Option("--problems", help="Show only what is broken or worth a note.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every setting and library, as the other formats do.")
    ] = False,
) -> bool:
    """Check installation, settings, store and exporters."""
    if problems and everything:
        raise UsageError("give one of --problems and --all")
    from llmops_sdk.cli.inspect._doctor import check_everything
    from llmops_sdk.cli.inspect._explain import explain_model

    if explain is None:
        return check_everything(form=form, store=store, problems=problems, everything=everything)
    explain_model(explain, form=form)
    return True


# Heavy imports stay inside the functions: every command pays for what this module imports.
_COMMANDS = (
    sql, traces, show, stats, report, tail, schema, doctor, collect, compact, export, import_, prune, replay, reprice,
    snapshot, trust, ui, watch,
)  # fmt: skip
_GROUPS: dict[str, tuple[str, tuple[Callable[..., bool | None], ...]]] = {
    "guard": ("Try, list and calibrate guards.", (check, list_, calibrate)),
    "guard approvals": (
        "Approve calls of tools that wait for a person.", (_approvals.list_, _approvals.approve, _approvals.deny),
    ),
    "cache": (
        "Inspect and empty the caches.",
        (_cache.stats_, _cache.clear, _cache.invalidate, _cache.inspect_, _cache.shadow),
    ),
    "dataset": (
        "Create, compare, split and export data sets.",
        (_datasets.create, _datasets.list_, _datasets.show, _datasets.diff, _datasets.split, _datasets.export,
         _datasets.delete),
    ),
    "alerts": (
        "List, try, silence and export alerts.", (_alerts.list_, _alerts.test_, _alerts.silence, _export.export_)
    ),
    "eval": (
        "Run, compare, gate and report experiments.",
        (_run.run_, _compare.compare, _compare.gate, _compare.report, _list.list_, _online.online),
    ),
    "drift": ("Check calls, scores and models for drift.", (data, concept, canary)),
    "route": ("Train and report routers, and explain their decisions.", (train, route_report, simulate, explain)),
}  # fmt: skip
"""The groups of commands: the help and the commands of each. One within another follows it."""


def _application(first: str) -> typer.Typer:
    """Return the command line: with the one command whose name is the first argument, else with all of them.

    Typer examines the options of every command that is added, which takes longer than it takes to run most of them.
    """
    app = typer.Typer(
        name="llmops",
        help="Inspect, export and maintain the traces of LLM applications.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help starts fast and reads well in a pipe
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    named = [function for function in _COMMANDS if function.__name__.rstrip("_") == first]
    if named:
        add_command(named[0], app)
        return app
    any_arguments: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=any_arguments)(demo)
    for function in _COMMANDS:
        add_command(function, app)
    groups = {"": app}
    for name, (text, functions) in _GROUPS.items():
        groups[name] = group = typer.Typer(name=name, help=text, no_args_is_help=True, rich_markup_mode=None)
        above, _, last = name.rpartition(" ")
        groups[above].add_typer(group, name=last)
        for function in functions:
            add_command(function, group)
    return app
