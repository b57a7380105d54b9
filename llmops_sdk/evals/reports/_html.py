"""One HTML file with the summary, the comparison, plots and the items that changed most. It has no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from llmops_sdk._documents import Cell, page, table
from llmops_sdk.evals._display import as_text
from llmops_sdk.evals._types import ComparableRun, ItemResult
from llmops_sdk.evals.comparing._comparison import Comparison
from llmops_sdk.evals.comparing._gate import GateResult
from llmops_sdk.evals.reports._markdown import unpaired_lines
from llmops_sdk.evals.reports._numbers import MARKS, change_text, interval_text, number, p_text, title
from llmops_sdk.evals.reports._plots import difference_plot, score_histogram

__all__ = ["html_report"]

_MOST_ITEMS = 20
_LONGEST = 2_000  # characters of a text
_STYLE = """
:root{color-scheme:light dark;--good:#1a7f37;--bad:#cf222e;--dim:#6e7781;--line:#d0d7de;--old:#8c959f;--new:#0969da}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;
text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.better{color:var(--good)}.worse{color:var(--bad);font-weight:600}.undecided,.dim{color:var(--dim)}
.pass{color:var(--good)}.fail{color:var(--bad)}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;
max-height:16rem;overflow:auto}svg{width:100%;height:auto}svg text{font-size:12px;fill:currentColor}
svg line{stroke-width:2;stroke:var(--dim)}svg line.zero{stroke-width:1;stroke-dasharray:3 3}
svg .better{fill:var(--good);stroke:var(--good)}svg .worse{fill:var(--bad);stroke:var(--bad)}
svg circle.undecided{fill:var(--dim)}rect.before{fill:var(--old)}rect.after{fill:var(--new)}
"""


def html_report(
    run: ComparableRun,
    summary: Iterable[dict[str, Any]],
    *,
    baseline: ComparableRun | None = None,
    comparison: Comparison | None = None,
    gate: GateResult | None = None,
    content: bool = True,
) -> str:
    """Return the report of an experiment as one HTML file that loads nothing and runs nothing.

    Args:
        run: The experiment.
        summary: Its `summary()`.
        baseline: The experiment that it is compared with, for the items that changed most.
        comparison: The comparison of the two.
        gate: What the gate says.
        content: Whether inputs and outputs are in the file.
    """
    name = f"{run.name}/{run.id[:8]}"
    parts = [f"<h1>{escape(name)}</h1>", _state(run)]
    if gate is not None:
        parts.append(_gate(gate))
    parts.append(_summary(summary))
    if comparison is not None:
        parts.append(_comparison(comparison))
        if baseline is not None:
            parts.append(_changed(baseline, run, comparison, content=content))
    parts.append(_failures(run.results))
    return page(name, _STYLE, "".join(parts))


def _state(run: ComparableRun) -> str:
    ok = sum(result.status == "ok" for result in run.results)
    reason = f" ({run.reason})" if run.reason else ""
    version = run.dataset_version[:12] or "no version"
    return (
        f"<p>{escape(run.status + reason)}: {ok} of {len(run.results)} runs gave an output. "
        f"Data set version {escape(version)}.</p>"
    )


def _gate(gate: GateResult) -> str:
    rows = [[title(row.scorer, row.slice), Cell(row.outcome, row.outcome), row.reason] for row in gate.rows]
    head = f'<h2>Gate: <span class="{gate.outcome}">{gate.outcome}</span></h2>'
    rule = f"<p>Rule {gate.rule}, margin {gate.margin:g}, alpha {gate.alpha:g}.</p>"
    return head + rule + table(("score", "outcome", "reason"), rows)


def _summary(summary: Iterable[dict[str, Any]]) -> str:
    rows = [
        [row["scorer"], _number(row["n"]), _number(row["mean"]), _number(interval_text(row["interval"])),
         _number(row["failed"]), _number(row["skipped"]), _number(row["not_run"]),
         _number(interval_text(row["worst_case"]))]
        for row in summary
    ]  # fmt: skip
    header = ("score", "n", "mean", "95 % interval", "failed", "skipped", "not run", "if failures were worst or best")
    return "<h2>Scores</h2>" + table(header, rows)


def _comparison(comparison: Comparison) -> str:
    rows = [
        [title(row.scorer, row.slice), _number(row.n), _number(row.mean_a), _number(row.mean_b),
         _number(change_text(row.difference, row.interval)), _number(p_text(row.p_adjusted)),
         Cell(MARKS[row.verdict], row.verdict), _number(row.mde), f"{row.failed_a} / {row.failed_b}"]
        for row in comparison.rows
    ]  # fmt: skip
    header = ("score", "n", "before", "after", "difference", "adjusted p", "verdict", "visible from", "failed")
    plot = difference_plot(
        [(title(row.scorer, row.slice), row.difference, row.interval, row.verdict)
         for row in comparison.rows if row.difference is not None]
    )  # fmt: skip
    notes = [*comparison.warnings, *unpaired_lines(comparison)]
    histograms = "".join(
        f"<h3>{escape(row.scorer)}</h3>{score_histogram(pairs.a, pairs.b)}"
        for row, pairs in zip(comparison.rows, comparison.pairs, strict=False)
        if not row.slice
    )
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f"<h2>Against {escape(comparison.a)}</h2>{table(header, rows)}{plot}"
        + (f"<ul>{listed}</ul>" if notes else "")
        + histograms
    )


def _changed(baseline: ComparableRun, run: ComparableRun, comparison: Comparison, *, content: bool) -> str:
    before = {result.item_id: result for result in reversed(baseline.results)}
    after = {result.item_id: result for result in reversed(run.results)}
    found: list[tuple[float, str, str, float, float]] = []
    for row, pairs in zip(comparison.rows, comparison.pairs, strict=False):
        if not row.slice:
            sign = 1 if row.higher_is_better else -1
            found += [(sign * (new - old), item, row.scorer, old, new)
                      for item, old, new in zip(pairs.ids, pairs.a, pairs.b, strict=True) if old != new]  # fmt: skip
    found.sort(key=lambda one: (one[0], one[1]))
    if not found:
        return ""
    shown = found[:_MOST_ITEMS]
    header = ["item", "score", "before", "after"] + (["input", "output before", "output after"] if content else [])
    rows: list[list[Any]] = []
    for _, item, scorer, old, new in shown:
        texts = (
            [_content(before[item].input), _content(before[item].output), _content(after[item].output)]
            if content
            else []
        )
        rows.append([item, scorer, _number(old), _number(new), *texts])
    return f"<h2>Items that changed most, the largest losses first ({len(shown)} of {len(found)})</h2>" + table(
        header, rows
    )


def _failures(results: Sequence[ItemResult]) -> str:
    rows: list[list[Any]] = []
    for result in results:
        if result.status in ("error", "timeout"):
            rows.append([result.item_id, "task", result.status, result.error_type or "", _content(result.error)])
        rows += [
            [result.item_id, name, score.status, score.error_type or "", _content(score.error)]
            for name, score in result.scores.items()
            if score.status in ("error", "timeout")
        ]
    if not rows:
        return ""
    shown = rows[:_MOST_ITEMS]
    return f"<h2>Failures ({len(shown)} of {len(rows)})</h2>" + table(
        ("item", "of", "status", "error", "message"), shown
    )


def _number(value: float | str | None) -> Cell:
    """Return a cell with a number, or with text that lines up like one."""
    return Cell(value if isinstance(value, str) else str(value) if isinstance(value, int) else number(value), "n")


def _content(value: Any) -> Cell:
    """Return a cell with content of the application."""
    text = as_text(value)
    cut = text[:_LONGEST] + (f"\n[{len(text) - _LONGEST} more characters]" if len(text) > _LONGEST else "")
    return Cell(cut, lines=True)
