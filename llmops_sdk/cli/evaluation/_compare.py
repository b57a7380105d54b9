"""`llmops eval compare`, `gate` and `report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.evals._experiment_files import load_experiment, write_text

if TYPE_CHECKING:
    from llmops_sdk.evals import Comparison, Experiment, GateResult, JudgeReport

__all__ = ["compare", "gate", "report", "write_summary"]

Baseline = Annotated[str, typer.Argument(metavar="BASELINE", help="The experiment before: a name, an id or a file.")]
Change = Annotated[str, typer.Argument(metavar="CHANGE", help="The experiment after, likewise.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="KEY", help="The metadata key of items that are not independent.")
]
Slices = Annotated[
    list[str] | None, typer.Option("--slice", metavar="KEY", help="Also compare each value of this metadata key.")
]
Alpha = Annotated[float, typer.Option("--alpha", help="The chance of any false verdict.")]
_RULES = "regression, non_inferiority or sequential."


def compare(
    baseline: Baseline,
    change: Change,
    by: By = None,
    slices: Slices = None,
    alpha: Alpha = 0.05,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Compare two experiments item by item.

    Each score is better, worse or undecided.
    """
    found = _compared(baseline, change, by, slices, alpha, store)
    _write(found, form)


def gate(
    baseline: Baseline,
    change: Change,
    rule: Annotated[str, typer.Option("--rule", help=_RULES)] = "regression",
    margin: Annotated[float, typer.Option("--margin", help="The loss that is acceptable, in the score's unit.")] = 0.0,
    scorers: Annotated[str, typer.Option("--scorers", metavar="NAMES", help="The scores that count, e.g. a,b.")] = "",
    judge_labels: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="SCORER=SCORE", help="Measure a judge by the users' scores of this name."),
    ] = None,
    allow_uncalibrated: Annotated[
        bool, typer.Option("--allow-uncalibrated", help="Let judges decide that nobody has measured.")
    ] = False,
    by: By = None,
    slices: Slices = None,
    alpha: Alpha = 0.05,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write a summary for a pull request.")
    ] = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Decide about a change by its scores.

    The exit status is 0 if it passes, 1 if it fails, and 2 if it is undecided.
    """
    from llmops_sdk.evals import gate as decide
    from llmops_sdk.evals.reports._junit import gate_cases, junit_xml
    from llmops_sdk.evals.reports._markdown import comparison_markdown

    old, new = load_experiment(baseline, store), load_experiment(change, store)
    found = old.compare(new, by=by, slices=slices or (), alpha=alpha)
    given: Any = rule  # `gate` refuses an unknown one
    result = decide(
        found,
        rule=given,
        margin=margin,
        scorers=[name.strip() for name in scorers.split(",") if name.strip()] or None,
        judges=_reports(judge_labels or [], [old, new], store),
        uncalibrated="allow" if allow_uncalibrated else "refuse",
    )
    if junit is not None:
        write_text(junit, junit_xml(gate_cases(result, suite=f"{found.b} against {found.a}")))
    if markdown is not None:
        write_text(markdown, comparison_markdown(found, result))
    write_rows(
        form,
        ("score", "slice", "outcome", "reason"),
        [(row.scorer, row.slice, row.outcome, row.reason) for row in result.rows],
        sys.stdout,
    )
    _tell(found, result)
    sys.stdout.flush()
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def report(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="A name, an id or a JSON file.")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="EXPERIMENT", help="Compare it with this experiment.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML file without scripts.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write Markdown.")] = None,
    content: Annotated[
        bool, typer.Option("--content/--no-content", help="Whether inputs and outputs are in the HTML file.")
    ] = True,
    by: By = None,
    slices: Slices = None,
    alpha: Alpha = 0.05,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Show and write the scores of an experiment."""
    from llmops_sdk.evals import gate as decide
    from llmops_sdk.evals.reports._html import html_report
    from llmops_sdk.evals.reports._markdown import comparison_markdown, summary_markdown

    run = load_experiment(experiment, store)
    summary = run.summary()
    old = None if baseline is None else load_experiment(baseline, store)
    found = None if old is None else old.compare(run, by=by, slices=slices or (), alpha=alpha)
    decision = None if found is None else decide(found)
    if html is not None:
        write_text(html, html_report(run, summary, baseline=old, comparison=found, gate=decision, content=content))
    if markdown is not None:
        text = summary_markdown(run.name, summary, stopped=run.reason)
        write_text(markdown, text if found is None else f"{text}\n{comparison_markdown(found, decision)}")
    if found is not None:
        _write(found, form)
    else:
        write_summary(summary, form)


def _compared(
    baseline: str, change: str, by: str | None, slices: list[str] | None, alpha: float, store: Path | None
) -> Comparison:
    old, new = load_experiment(baseline, store), load_experiment(change, store)
    return old.compare(new, by=by, slices=slices or (), alpha=alpha)


def _reports(asked: list[str], runs: list[Experiment], store: Path | None) -> dict[str, JudgeReport]:
    """Return the reports of judges whose verdicts the users' scores in the store can be compared with."""
    from llmops_sdk.evals import calibrate_by_scores

    found: dict[str, JudgeReport] = {}
    for one in asked:
        scorer, equals, score = one.partition("=")
        if not (scorer and equals and score):
            raise UsageError(f"--judge {one}: give SCORER=SCORE, such as correctness=helpful")
        found[scorer] = calibrate_by_scores(runs, scorer, score, path=store)
    return found


def _write(found: Comparison, form: Format) -> None:
    rows = [
        (
            row.scorer, row.slice, row.n, row.mean_a, row.mean_b, row.difference,
            None if row.interval is None else row.interval.low, None if row.interval is None else row.interval.high,
            row.p_adjusted, row.verdict, row.mde, row.failed_a, row.failed_b,
        )
        for row in found.rows
    ]  # fmt: skip
    columns = (
        "score", "slice", "n", "before", "after", "difference", "low", "high", "p_adjusted", "verdict", "visible_from",
        "failed_before", "failed_after",
    )  # fmt: skip
    write_rows(form, columns, rows, sys.stdout)
    _tell(found, None)


def write_summary(summary: list[dict[str, Any]], form: Format) -> None:
    """Write the rows of `Experiment.summary` to stdout.

    Args:
        summary: The rows.
        form: How.
    """
    columns = ("score", "n", "mean", "low", "high", "failed", "skipped", "not_run")
    rows = [
        (
            row["scorer"], row["n"], row["mean"], *(row["interval"] or (None, None)), row["failed"], row["skipped"],
            row["not_run"],
        )
        for row in summary
    ]  # fmt: skip
    write_rows(form, columns, rows, sys.stdout)


def _tell(found: Comparison, result: GateResult | None) -> None:
    """Write what is not in the table to stderr, so that a pipe gets the rows alone."""
    from llmops_sdk.evals.reports._markdown import unpaired_lines

    for line in (*found.warnings, *unpaired_lines(found)):
        print(f"llmops: {defuse(line)}", file=sys.stderr)
    if result is not None:
        print(f"llmops: gate {result.outcome}", file=sys.stderr)
