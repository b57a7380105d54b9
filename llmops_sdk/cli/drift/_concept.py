"""`llmops drift concept`."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.drift._features import write_features
from llmops_sdk.cli.output._formats import Format

__all__ = ["concept"]

_OF_A_SCORE = "SELECT time, value, trace_id FROM scores WHERE name = '{name}' AND time >= {begin} AND time < {end}"
_NOW = "now()::TIMESTAMPTZ AT TIME ZONE 'UTC'"


def concept(
    score: Annotated[
        str | None, typer.Option("--score", metavar="NAME", help="Compare the windows of [drift] by this score.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="SQL", help="SQL with the columns time and value.")
    ] = None,
    current: Annotated[
        str | None, typer.Option("--current", metavar="SQL", help="The same for the scores to check.")
    ] = None,
    low: Annotated[float, typer.Option("--low", help="The lowest possible score.")] = 0.0,
    high: Annotated[float, typer.Option("--high", help="The highest possible score.")] = 1.0,
    direction: Annotated[str, typer.Option("--direction", help="both, up or down.")] = "both",
    alpha: Annotated[float | None, typer.Option("--alpha", help="The chance of a false alarm.")] = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> bool:
    """Find out whether a score has changed, and where.

    The exit status is 0 if it has not, 1 if it has, and 2 after an error.
    """
    from llmops_sdk.config import current as settings_in_force
    from llmops_sdk.drift import concept_drift

    settings = settings_in_force().drift
    alternative = {"both": "two-sided", "up": "greater", "down": "less"}.get(direction)
    if alternative is None:
        raise UsageError(f"--direction is {direction!r}: give both, up or down")
    if (score is None) == (reference is None or current is None):
        raise UsageError("give --score NAME, or both --reference SQL and --current SQL")
    if score is not None:
        name = score.replace("'", "''")
        begin, middle = (f"{_NOW} - to_seconds({one})" for one in (
            settings.window + settings.reference, settings.window,
        ))  # fmt: skip
        reference = _OF_A_SCORE.format(name=name, begin=begin, end=middle)
        current = _OF_A_SCORE.format(name=name, begin=middle, end=_NOW)
    report = concept_drift(
        str(reference), str(current), alpha=settings.alpha if alpha is None else alpha, name=score or "score",
        alternative=cast('Literal["two-sided", "greater", "less"]', alternative), low=low, high=high,
        min_n=settings.min_n, path=store,
    )  # fmt: skip
    write_features(form, [report])
    return not report.drifted
