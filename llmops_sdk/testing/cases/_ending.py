"""The end of a test run: its history, results, gate and summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from llmops_sdk._documents import defuse
from llmops_sdk.errors import LLMOpsError
from llmops_sdk.evals import Comparison, Experiment, GateResult, gate
from llmops_sdk.evals._experiment_files import load_experiment, save_experiment, write_text
from llmops_sdk.evals.cases._case_results import experiment_of_cases, with_ids_of
from llmops_sdk.evals.reports._markdown import cases_markdown, comparison_markdown, summary_markdown, unpaired_lines
from llmops_sdk.testing.cases._session import CaseSession

__all__ = ["end_of_run", "summary_lines"]

_MOST_SHOWN = 50
_NAME = "pytest"


def end_of_run(session: CaseSession, *, failed: bool = False) -> bool:
    """Write the history and the files, and run the gate; return whether it lets the run pass.

    Args:
        session: Of the test run, with the records of all its tests.
        failed: Whether the run fails already, by its tests or by an error.
    """
    session.save_history()
    options = session.options
    if options.gate is None and options.save is None and options.markdown is None:
        return True
    experiment = _experiment(session)
    try:
        if options.save is not None:
            save_experiment(experiment, options.save)
            session.ending.append(f"results of {len(session.records)} cases in {options.save}")
        compared = None if options.gate is None else _compared(session, experiment)
        if options.markdown is not None:
            write_text(options.markdown, _markdown(session, experiment, compared))
            session.ending.append(f"summary in {options.markdown}")
    except LLMOpsError as error:
        session.ending.append(f"failed: {error}")
        return False
    if compared is None:
        return True
    passes = _decided(session, *compared)
    if passes and failed:
        session.ending.append("  the run fails all the same, by tests that failed or had an error: see above")
    return passes


def _experiment(session: CaseSession) -> Experiment:
    scorers: dict[str, Mapping[str, Any]] = {}
    for record in session.records.values():
        for name, identity in record["scorers"].items():
            scorers.setdefault(name, identity)
    rows = [row for test in sorted(session.records) for row in session.records[test]["results"]]
    return experiment_of_cases(_NAME, rows, scorers, session.started)


def _compared(session: CaseSession, experiment: Experiment) -> tuple[Comparison, GateResult]:
    baseline = load_experiment(str(session.options.gate), session.store())
    comparison = baseline.compare(with_ids_of(experiment, baseline))
    return comparison, gate(comparison)


def _decided(session: CaseSession, comparison: Comparison, decision: GateResult) -> bool:
    session.ending.append(f"gate against {comparison.a}: {decision.outcome}")
    for row in decision.rows:
        name = f"{row.scorer} ({row.slice})" if row.slice else row.scorer
        session.ending.append(f"  {name}: {row.outcome}, {row.reason}")
    session.ending += [f"  {line}" for line in (*comparison.warnings, *unpaired_lines(comparison))]
    return decision.outcome == "pass" or (decision.outcome == "undecided" and not session.options.strict)


def _markdown(session: CaseSession, experiment: Experiment, compared: tuple[Comparison, GateResult] | None) -> str:
    parts = [summary_markdown(_NAME, experiment.summary()), cases_markdown(session.records.values())]
    if compared is not None:
        parts.append(comparison_markdown(*compared))
    return "\n".join(part for part in parts if part)


def summary_lines(session: CaseSession) -> list[str]:
    """Return what the terminal's summary says about cases, or nothing if there is nothing to say.

    Args:
        session: Of the test run.
    """
    records = list(session.records.values())
    flaky = [one for one in records if one["outcome"] == "undecided" and not one["quarantined"]]
    held = [one for one in records if one["quarantined"] and one["outcome"] != "pass"]
    stable = [one["test"] for one in records if one["quarantined"] and session.is_stable_again(one["test"])]
    lines = [f"flaky        {one['test']}: {one['summary']}" for one in _some(flaky)]
    if flaky:
        file = session.options.quarantine_file
        where = file or "a file of yours, and name it in the setting llmops_quarantine"
        lines += ["", f"They never fail the run if you put these lines into {where}:"]
        lines += [str(one["test"]) for one in _some(flaky)]
        lines += [""]
    lines += [f"quarantined  {one['test']}: {one['summary']}" for one in _some(held)]
    lines += [
        f"stable again {test}: its last {session.history.runs_in_a_row(test)} runs passed; remove its line from "
        f"{session.options.quarantine_file}"
        for test in _some(stable)
    ]
    return [defuse(line) for line in [*lines, *session.ending]]


def _some(values: Iterable[Any]) -> list[Any]:
    return list(values)[:_MOST_SHOWN]


def write_summary(session: CaseSession, terminal: pytest.TerminalReporter) -> None:
    """Write the summary of cases.

    Args:
        session: Of the test run.
        terminal: Of pytest.
    """
    lines = summary_lines(session)
    if lines:
        terminal.section("llmops cases")
        for line in lines:
            terminal.write_line(line)
