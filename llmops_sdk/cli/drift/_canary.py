"""`llmops drift canary`."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.drift._features import write_features
from llmops_sdk.cli.output._formats import Format

if TYPE_CHECKING:
    from llmops_sdk.config import CanarySettings
    from llmops_sdk.drift import DriftReport

__all__ = ["canary"]


def canary(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A canary of [[canaries]]. Default: all.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Ask the model now, before the check.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", help="Only runs since this age (7d) or UTC time: after a known change."
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Calls at once, with --run.")] = 8,
    form: Form = Format.TABLE,
    store: Store = None,
) -> bool:
    """Find out whether the model behind a name has changed.

    The exit status is 0 if it has not, 1 if it has or if calls failed, and 2 after an error.
    """
    from llmops_sdk.drift import Canary

    begin, _ = parse_period(since, None)
    first = None if begin is None else begin.replace(tzinfo=UTC).timestamp()
    failed = False
    reports: list[DriftReport] = []
    for settings in _chosen(name):
        one = Canary(settings, path=store)
        if run:
            # A scorer "module:function" is code of the project, and this program is not in the project's folder.
            if str(Path.cwd()) not in sys.path:
                sys.path.insert(0, str(Path.cwd()))
            done = one.run(concurrency=concurrency)
            failed = failed or bool(done.failed)
            stopped = "" if done.stopped is None else f", stopped by the {done.stopped}"
            why = f" ({', '.join(done.error_types)})" if done.error_types else ""
            print(
                f"{settings.name}: {done.answered} answers, {done.failed} failed{why}, {done.not_run} not "
                f"asked{stopped}",
                file=sys.stderr,
            )
        reports.append(one.check(since=first))
    write_features(form, reports)
    return not failed and not any(one.drifted for one in reports)


def _chosen(name: str | None) -> list[CanarySettings]:
    from llmops_sdk.config import current

    known = current().canaries
    found = [one for one in known if name in (None, one.name)]
    if not found:
        names = ", ".join(one.name for one in known) or "none"
        raise UsageError(f"there is no such canary in [[canaries]]; it has: {names}")
    return found
