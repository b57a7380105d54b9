"""The summary of an experiment or a comparison in Markdown, as for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_sdk._documents import markdown_table, markdown_text
from llmops_sdk.evals.comparing._comparison import Comparison
from llmops_sdk.evals.comparing._gate import GateResult
from llmops_sdk.evals.reports._numbers import MARKS, change_text, interval_text, number, p_text, title

__all__ = ["cases_markdown", "comparison_markdown", "summary_markdown", "unpaired_lines"]

_MOST_IDS = 10
_MOST_CASES = 100
_OUTCOMES = {"pass": "passed", "fail": "FAILED", "undecided": "undecided"}


def summary_markdown(name: str, rows: Iterable[Mapping[str, Any]], *, stopped: str | None = None) -> str:
    """Return the table of an experiment.

    Args:
        name: The experiment's name.
        rows: Those of `Experiment.summary`.
        stopped: Why the experiment ended early, or None.
    """
    lines = [f"### {markdown_text(name)}", ""]
    if stopped is not None:
        lines += [f"**Stopped early** ({markdown_text(stopped)}): the means are those of the items that ran.", ""]
    lines += markdown_table(
        ("score", "n", "mean", "95 % interval", "failed", "not run"),
        [
            (
                row["scorer"],
                row["n"],
                number(row["mean"]),
                interval_text(row["interval"]),
                row["failed"],
                row["not_run"],
            )
            for row in rows
        ],
    )
    return "\n".join(lines) + "\n"


def cases_markdown(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the list of cases that did not pass, or an empty text if all did.

    Args:
        records: Of each case `test`, `outcome`, `summary`, and whether it is `quarantined`.
    """
    left = [one for one in records if one["outcome"] != "pass"]
    if not left:
        return ""
    words = {"fail": "FAILED", "undecided": "flaky"}
    lines = [
        f"- {'quarantined, ' if one['quarantined'] else ''}{words[one['outcome']]}: {markdown_text(one['test'])}: "
        f"{markdown_text(one['summary'])}"
        for one in left[:_MOST_CASES]
    ]
    more = len(left) - _MOST_CASES
    return "\n".join([*lines, *([f"- and {more} more"] if more > 0 else [])]) + "\n"


def comparison_markdown(comparison: Comparison, gate: GateResult | None = None) -> str:
    """Return the table of a comparison, with the gate's outcome and the reasons for what did not pass.

    Texts of the data and names are escaped: none of them becomes a link, a mention or HTML.

    Args:
        comparison: The comparison.
        gate: What the gate says, or None.
    """
    lines = [f"### {markdown_text(comparison.b)} against {markdown_text(comparison.a)}", ""]
    if gate is not None:
        lines += [
            f"**Gate {_OUTCOMES[gate.outcome]}** (rule {gate.rule}, margin {gate.margin:g}, alpha {gate.alpha:g})",
            "",
        ]
    lines += markdown_table(
        ("score", "n", "before", "after", "difference", "adjusted p", "verdict", "failed"),
        [
            (
                title(row.scorer, row.slice),
                row.n,
                number(row.mean_a),
                number(row.mean_b),
                change_text(row.difference, row.interval),
                p_text(row.p_adjusted),
                MARKS[row.verdict],
                f"{row.failed_a} / {row.failed_b}",
            )
            for row in comparison.rows
        ],
    )
    if gate is not None and gate.outcome != "pass":
        lines += ["", *(f"- {markdown_text(title(row.scorer, row.slice))}: {row.outcome}, {markdown_text(row.reason)}"
                        for row in gate.rows if row.outcome != "pass")]  # fmt: skip
    notes = [*comparison.warnings, *unpaired_lines(comparison)]
    if notes:
        lines += ["", *(f"- {markdown_text(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def unpaired_lines(comparison: Comparison) -> list[str]:
    """Return which items only one of the experiments has, the first ten by id.

    Args:
        comparison: The comparison.
    """
    return [
        f"{len(ids)} {'item is' if len(ids) == 1 else 'items are'} only in {name} and not compared: {_ids(ids)}"
        for name, ids in ((comparison.a, comparison.only_in_a), (comparison.b, comparison.only_in_b))
        if ids
    ]


def _ids(ids: Sequence[str]) -> str:
    more = len(ids) - _MOST_IDS
    return ", ".join(ids[:_MOST_IDS]) + (f" and {more} more" if more > 0 else "")
