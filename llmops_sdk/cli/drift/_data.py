"""`llmops drift data`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._text import defuse

if TYPE_CHECKING:
    from llmops_sdk.drift import DriftReport

__all__ = ["data"]

_COLUMNS = (
    "signal", "slice", "status", "cause", "effect", "low", "high", "p_adjusted", "reference_n", "current_n",
    "effective_n", "reason",
)  # fmt: skip
_ORDER = ("drifted", "ours", "steady", "not_enough_data")


def data(
    window: Annotated[
        str | None, typer.Option("--window", metavar="AGE", help="The calls to check: 7d is the last week.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="AGE", help="The calls before, to compare with, e.g. 28d.")
    ] = None,
    period: Annotated[
        str | None, typer.Option("--period", metavar="AGE", help="When traffic repeats, e.g. 7d for weekdays.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="COLUMN", help="Also check each value of this column of llm_calls. Repeatable."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only calls that match, e.g. \"service = 'shop'\".")
    ] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="The share of false alarms among alarms.")] = None,
    write: Annotated[bool, typer.Option("--write/--no-write", help="Write the rows to drift_checks.")] = True,
    form: Form = Format.TABLE,
    store: Store = None,
) -> bool:
    """Compare the latest calls with those before.

    The exit status is 0 if nothing drifted by itself, 1 if something did, and 2 after an error.
    """
    from llmops_sdk.drift import Drift

    report = Drift(
        path=store, window=window, reference=reference, period=period, by=tuple(by) if by else None, where=where,
        alpha=alpha,
    ).check(write=write)  # fmt: skip
    _write(report, form)
    return not report.drifted


def _write(report: DriftReport, form: Format) -> None:
    found = sorted(report.features, key=lambda one: _ORDER.index(one.status))
    rows = [
        (
            one.signal, json.dumps(dict(one.slice), ensure_ascii=False) if one.slice else "", one.status, one.cause,
            one.effect, None if one.interval is None else one.interval.low,
            None if one.interval is None else one.interval.high, one.adjusted_p_value, one.reference_n, one.current_n,
            one.effective_n, one.reason,
        )
        for one in found
    ]  # fmt: skip
    write_rows(form, _COLUMNS, rows, sys.stdout)
    # What is not in the table goes to stderr, so that a pipe gets the rows alone.
    for line in report.changes:
        print(f"llmops: {defuse(line)}", file=sys.stderr)
    if report.examples:
        print(f"llmops: {report.status}; look at {', '.join(report.examples)}", file=sys.stderr)
