"""`llmops eval online`."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import Form, Since, Store
from llmops_sdk.cli.output._formats import Format, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_sdk.evals import OnlineResult

__all__ = ["online"]

_COLUMNS = ("evaluator", "scored", "failed", "skipped", "cost", "stopped")


def online(
    since: Since = None,
    follow: Annotated[bool, typer.Option("--follow", help="Keep scoring new traces until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two looks, with --follow.")] = 60.0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Spans that are scored at once.")] = 8,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds for one score.")] = 120.0,
    form: Form = Format.TABLE,
    store: Store = None,
) -> bool:
    """Score stored traces by the evaluators of the configuration, each trace once.

    Exit status 1 says that a score failed; the next run tries it again.
    """
    from llmops_sdk.evals import evaluate_online

    begin, _ = parse_period(since, None)
    first = None if begin is None else begin.replace(tzinfo=UTC).timestamp()
    if not follow:
        found = evaluate_online(since=first, concurrency=concurrency, timeout=timeout, path=store)
        _write(found, form)
        return not any(one.failed for one in found)
    # Ctrl-C is the normal way to end it.
    with suppress(KeyboardInterrupt):
        pause = threading.Event()
        while True:
            found = evaluate_online(since=first, concurrency=concurrency, timeout=timeout, path=store)
            if any(one.scored or one.failed or one.skipped for one in found):
                _write(found, form)
                sys.stdout.flush()
            pause.wait(every)
    return True


def _write(found: Sequence[OnlineResult], form: Format) -> None:
    rows = [(one.evaluator, one.scored, one.failed, one.skipped, one.cost, one.stopped) for one in found]
    write_rows(form, _COLUMNS, rows, sys.stdout)
