"""`llmops report`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import Store, Until, WhereSql
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._reading import existing_store
from llmops_sdk.cli.output._text import defuse

__all__ = ["Comparison", "ReportForm", "report"]


class ReportForm(StrEnum):
    """The forms of a report."""

    HTML = "html"
    MD = "md"
    JSON = "json"


class Comparison(StrEnum):
    """What a report compares a period with."""

    PREVIOUS = "previous"
    NONE = "none"


_ENDINGS = {".html": ReportForm.HTML, ".htm": ReportForm.HTML, ".md": ReportForm.MD, ".json": ReportForm.JSON}


def report(
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="Begin of the period: an age (2h, 7d) or a UTC time.")
    ] = "7d",
    until: Until = None,
    where: WhereSql = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write FILE (.html, .md, .json). Default: print Markdown."),
    ] = None,
    compare: Annotated[
        Comparison, typer.Option("--compare", help="Compare with the period of the same length before, or with none.")
    ] = Comparison.PREVIOUS,
    form: Annotated[
        ReportForm | None, typer.Option("--format", help="Form of the output. Default: by the ending of FILE, or md.")
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Show prompts and answers of the slowest and costliest calls.")
    ] = False,
    users: Annotated[bool, typer.Option("--users", help="Show ids of users and sessions.")] = False,
    simulated: Annotated[bool, typer.Option("--simulated", help="Count simulated calls, too.")] = False,
    store: Store = None,
) -> None:
    """Report on a period: what changed, and what is wrong."""
    begin, end = parse_period(since, until)
    if begin is None or (end is not None and begin >= end):
        raise UsageError(f'--until "{until}" must be later than --since "{since}"')
    named = None if out is None else _ENDINGS.get(out.suffix.lower())
    if out is not None and named is None:
        raise UsageError(f'"{out}": let the name end with .html, .md or .json')
    if named is not None and form is not None and named is not form:
        raise UsageError(f'--format {form} and "{out}" do not agree: leave one of them out')
    folder = existing_store(store)
    _say_what_is_left_out()
    from llmops_sdk.monitoring import report as make

    # False leaves the decision to [watch] simulated.
    found = make(begin, end, where=where, compare=compare.value, content=content, users=users,
                 simulated=simulated or None, path=folder)  # fmt: skip
    if out is not None:
        found.write(out)
        print(f"{out}: {found.status.replace('_', ' ')}", file=sys.stderr)
        return
    texts = {ReportForm.HTML: found.html, ReportForm.MD: found.markdown, ReportForm.JSON: found.json}
    sys.stdout.write(texts[form or ReportForm.MD]())


def _say_what_is_left_out() -> None:
    """Say that objectives of a file without trust are left out: without a word there would seem to be none."""
    from llmops_sdk.config.loading._files import ProcessEnvironment
    from llmops_sdk.config.loading._trust import found_trust

    for trust, _ in found_trust(ProcessEnvironment.of_this_process()):
        if not trust.reason and any(path[0] in ("slo", "watch") for path, _, _ in trust.refused):
            print(
                f"llmops: [slo.*] and [watch] of {defuse(str(trust.path))} are left out: read the file, and run "
                "`llmops trust`",
                file=sys.stderr,
            )
