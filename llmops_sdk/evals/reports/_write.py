"""Write the report of an experiment into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._experiment_files import write_text
from llmops_sdk.evals.comparing._comparison import compare
from llmops_sdk.evals.comparing._gate import gate
from llmops_sdk.evals.reports._html import html_report
from llmops_sdk.evals.reports._markdown import comparison_markdown, summary_markdown

if TYPE_CHECKING:
    from llmops_sdk.evals._experiment import Experiment
    from llmops_sdk.evals.comparing._comparison import Comparison
    from llmops_sdk.evals.comparing._gate import GateResult

__all__ = ["write_report"]


def write_report(
    experiment: Experiment,
    path: str | Path,
    *,
    baseline: Experiment | None = None,
    comparison: Comparison | None = None,
    decision: GateResult | None = None,
    content: bool = True,
) -> Path:
    """Write the report of an experiment: one HTML file that loads nothing and runs nothing, or Markdown.

    Args:
        experiment: The experiment.
        path: The file; `.html` or `.md`.
        baseline: The experiment to compare it with, or None.
        comparison: Their comparison, as by `baseline.compare(experiment, slices=...)`; made by default.
        decision: What `gate` says about the comparison; asked by default.
        content: Whether inputs and outputs are in the HTML file.

    Returns:
        The path of the file.

    Raises:
        ConfigError: The path has another ending, the file cannot be written, or the experiments have no scorer in
            common.

    Example:
        >>> from llmops_sdk.evals import evaluate, write_report
        >>> old = evaluate(str.upper, [{"input": "a", "expected": "A"}], "equals", name="old", progress=False)
        >>> new = evaluate(str.lower, [{"input": "a", "expected": "A"}], "equals", name="new", progress=False)
        >>> write_report(new, "report.html", baseline=old).name
        'report.html'
    """
    file = Path(path)
    form = file.suffix.lower()
    if form not in (".html", ".htm", ".md"):
        raise ConfigError(f"{file} is no name of a report: let it end with .html or .md", key="path", value=str(file))
    if comparison is None and baseline is not None:
        comparison = compare(baseline, experiment)
    if decision is None and comparison is not None:
        decision = gate(comparison)
    summary = experiment.summary()
    if form == ".md":
        text = summary_markdown(experiment.name, summary)
        write_text(file, text if comparison is None else f"{text}\n{comparison_markdown(comparison, decision)}")
    else:
        write_text(
            file,
            html_report(experiment, summary, baseline=baseline, comparison=comparison, gate=decision, content=content),
        )
    return file
