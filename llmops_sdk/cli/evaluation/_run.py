"""`llmops eval run`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Form, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.evaluation._compare import write_summary
from llmops_sdk.cli.output._formats import Format
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.evals._experiment_files import load_experiment, save_experiment, write_text

if TYPE_CHECKING:
    from llmops_sdk.datasets import Dataset
    from llmops_sdk.evals import Comparison, Experiment, GateResult
    from llmops_sdk.evals.cases._repeats import CaseVerdict
    from llmops_sdk.evals.cases._rule import PassRule

__all__ = ["run_"]

_MOST_SHOWN = 20


Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="A case file, or a task as module:function.", show_default=False)
]
DatasetName = Annotated[
    str | None, typer.Option("--dataset", metavar="DATASET", help="A saved data set, or a file of items.")
]
Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorers", metavar="NAMES", help="E.g. exact_match,token_f1 or module:function. Repeatable."),
]
Threshold = Annotated[float | None, typer.Option("--threshold", help="The value from which on a score passes.")]
Repeats = Annotated[int | None, typer.Option("--repeats", help="How often each item runs.")]
Concurrency = Annotated[int, typer.Option("--concurrency", help="How many items run at one time.")]
Budget = Annotated[float | None, typer.Option("--budget", metavar="USD", help="Stop at this cost.")]
Timeout = Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="For the task on one item.")]
Name = Annotated[str | None, typer.Option("--name", help="The series that the experiment belongs to.")]
Save = Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the results as JSON.")]
Gate = Annotated[
    str | None, typer.Option("--gate", metavar="BASELINE", help="Compare with this experiment or JSON file.")
]
JUnit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write a summary for a pull request.")
]
Resume = Annotated[bool, typer.Option("--resume/--no-resume", help="Whether to use results of earlier runs again.")]


def run_(
    target: Target,
    dataset: DatasetName = None,
    scorers: Scorers = None,
    threshold: Threshold = None,
    repeats: Repeats = None,
    concurrency: Concurrency = 8,
    budget: Budget = None,
    timeout: Timeout = None,
    name: Name = None,
    save: Save = None,
    gate: Gate = None,
    junit: JUnit = None,
    markdown: Markdown = None,
    resume: Resume = True,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Run a task or a case file, and judge the outputs.

    The exit status is 0 if everything passes, 1 if something fails, and 2 if it is undecided or the run is partial.
    """
    from llmops_sdk.evals import evaluate
    from llmops_sdk.evals.cases._import_names import import_from

    _check_folders(save, junit, markdown)
    _use_store(store)
    baseline = None if gate is None else load_experiment(gate, store)
    folders = [Path(target).absolute().parent, Path.cwd()] if _is_file(target) else [Path.cwd()]
    with import_from(folders):
        plan = _plan(target, dataset, scorers or [], threshold)
        given = plan if repeats is None else replace(plan, repeats=repeats)
        experiment = evaluate(
            given.task,
            given.dataset,
            given.scorers,
            name=name or given.name,
            repeats=given.repeats,
            concurrency=concurrency,
            budget=budget,
            timeout=timeout,
            resume=resume,
        )
    done = _Done(experiment, given.verdicts(experiment), baseline)
    if save is not None:
        save_experiment(experiment, save)
    if junit is not None:
        write_text(junit, done.junit())
    if markdown is not None:
        write_text(markdown, done.markdown())
    write_summary(experiment.summary(), form)
    sys.stdout.flush()
    done.tell()
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _check_folders(*files: Path | None) -> None:
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"there is no folder {file.parent} for {file.name}")


def _use_store(store: Path | None) -> None:
    if store is not None:
        from llmops_sdk.config import configure

        configure(store={"path": store.expanduser().absolute()})


def _is_file(target: str) -> bool:
    from llmops_sdk.evals.cases._case_file import is_case_file

    return is_case_file(target)


# --- what to run ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What to run, and what passes; no rule means that no item has a verdict."""

    task: Callable[..., Any]
    dataset: Dataset
    scorers: list[Any]
    repeats: int
    name: str | None
    rule: PassRule | None

    def verdicts(self, experiment: Experiment) -> dict[str, CaseVerdict]:
        """Return the verdict of each item that ran."""
        from llmops_sdk.evals.cases._repeats import CaseRun, verdict_of

        if self.rule is None:
            return {}
        runs: dict[str, list[CaseRun]] = {}
        for result in experiment.results:
            if result.status != "not_run":
                runs.setdefault(result.item_id, []).append(self.rule.run_of(result))
        return {item: verdict_of(found) for item, found in runs.items()}


def _plan(target: str, dataset: str | None, scorers: list[str], threshold: float | None) -> _Plan:
    from llmops_sdk.evals.cases._case_file import read_case_file, scorers_named
    from llmops_sdk.evals.cases._import_names import import_name
    from llmops_sdk.evals.cases._rule import checked_threshold
    from llmops_sdk.evals.cases._suite import items_of

    checked_threshold(threshold)

    if _is_file(target):
        if dataset is not None or scorers:
            raise UsageError("a case file names its items and scorers: leave out --dataset and --scorers")
        file = read_case_file(Path(target))
        found = file.load_scorers()
        return _Plan(
            task=file.load_task(),
            dataset=file.load_items(),
            scorers=found,
            repeats=file.repeats,
            name=file.name,
            rule=_rule(file.threshold if threshold is None else threshold, found),
        )
    if dataset is None:
        raise UsageError("name the items with --dataset, or give a case file (NAME.eval.yaml)")
    found = scorers_named(_split(scorers))
    return _Plan(
        task=import_name(target, key="TARGET"),
        dataset=items_of(None, dataset, folder=Path.cwd()),
        scorers=found,
        repeats=1,
        name=None,
        rule=None if threshold is None else _rule(threshold, found),
    )


def _rule(threshold: float | Mapping[str, float] | None, scorers: list[Any]) -> PassRule:
    from llmops_sdk.evals.cases._rule import PassRule
    from llmops_sdk.evals.scorers._named import scorers_of

    made = scorers_of(scorers)
    rule = PassRule(threshold, {one.name: bool(one.higher_is_better) for one in made})
    rule.check_names(one.name for one in made)
    return rule


def _split(texts: list[str]) -> list[str]:
    """Return names of scorers; a pattern may have a comma."""
    return [
        name.strip()
        for text in texts
        for name in ([text] if text.startswith("regex:") else text.split(","))
        if name.strip()
    ]


# --- what came out ----------------------------------------------------------------------------------------------------


class _Done:
    """An experiment with its verdicts and the decision of the gate."""

    def __init__(
        self, experiment: Experiment, verdicts: Mapping[str, CaseVerdict], baseline: Experiment | None
    ) -> None:
        from llmops_sdk.evals import gate

        self.experiment = experiment
        self.verdicts = verdicts
        self.comparison: Comparison | None = None if baseline is None else baseline.compare(experiment)
        self.decision: GateResult | None = None if self.comparison is None else gate(self.comparison)

    @property
    def exit_code(self) -> int:
        """Return 1 if a case or the gate fails, 2 if one is undecided or the run is partial, else 0."""
        outcomes = {one.outcome for one in self.verdicts.values()}
        if self.decision is not None:
            outcomes.add(self.decision.outcome)
        if "fail" in outcomes or self.experiment.counts["ok"] == 0:
            return 1
        return 2 if "undecided" in outcomes or self.experiment.status != "completed" else 0

    def junit(self) -> str:
        """Return the verdicts and the gate as JUnit XML."""
        from llmops_sdk.evals.reports._junit import JUnitCase, gate_cases, junit_xml

        outcomes: dict[str, Any] = {"pass": "pass", "fail": "fail", "undecided": "skipped"}
        cases = [
            JUnitCase(
                suite=self.experiment.name,
                name=item,
                outcome=outcomes[one.outcome],
                message=one.summary,
                seconds=sum(run.result.duration_ms or 0 for run in one.runs if run.result is not None) / 1000,
            )
            for item, one in self.verdicts.items()
        ]
        if self.decision is not None and self.comparison is not None:
            cases += gate_cases(self.decision, suite=f"{self.comparison.b} against {self.comparison.a}")
        return junit_xml(cases)

    def markdown(self) -> str:
        """Return the summary, the cases that did not pass, and the comparison."""
        from llmops_sdk.evals.reports._markdown import cases_markdown, comparison_markdown, summary_markdown

        records = [
            {"test": item, "outcome": one.outcome, "summary": one.summary, "quarantined": False}
            for item, one in self.verdicts.items()
        ]
        run = self.experiment
        parts = [summary_markdown(run.name, run.summary(), stopped=run.reason), cases_markdown(records)]
        if self.comparison is not None:
            parts.append(comparison_markdown(self.comparison, self.decision))
        return "\n".join(part for part in parts if part)

    def tell(self) -> None:
        """Write to stderr what is not in the table."""
        from llmops_sdk.evals.reports._markdown import unpaired_lines

        lines = [self._head()]
        left = [(item, one) for item, one in self.verdicts.items() if one.outcome != "pass"]
        words = {"fail": "failed", "undecided": "undecided"}
        lines += [f"{words[one.outcome]}: {item}: {one.summary}{_trace(one)}" for item, one in left[:_MOST_SHOWN]]
        lines += [f"and {len(left) - _MOST_SHOWN} more cases did not pass"] if len(left) > _MOST_SHOWN else []
        lines += self.experiment.warnings
        if self.comparison is not None and self.decision is not None:
            lines += (*self.comparison.warnings, *unpaired_lines(self.comparison))
            lines.append(f"gate {self.decision.outcome}, against {self.comparison.a}")
            lines += [f"  {row.scorer}: {row.outcome}, {row.reason}" for row in self.decision.rows]
        for line in lines:
            print(f"llmops: {defuse(line)}", file=sys.stderr)

    def _head(self) -> str:
        run = self.experiment
        counts = run.counts
        failed = counts["error"] + counts["timeout"]
        parts = [f"{run.name} {run.id[:12]} {run.status}" + (f" ({run.reason})" if run.reason else "")]
        parts += [f"{len(run.results)} results"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{counts['not_run']} not run"] if counts["not_run"] else []
        parts += [f"{counts['reused']} reused"] if counts["reused"] else []
        parts += [f"{run.cost:.4f} USD"] if run.cost else []
        return ", ".join(parts)


def _trace(verdict: CaseVerdict) -> str:
    found = next((run.trace_id for run in verdict.runs if not run.passed and run.trace_id), None)
    return "" if found is None else f" (llmops show {found})"
