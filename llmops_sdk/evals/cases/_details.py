"""What a person needs to see of a case that did not pass."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmops_sdk._documents import defuse
from llmops_sdk.evals._types import ScoreResult
from llmops_sdk.evals.cases._repeats import CaseRun, CaseVerdict
from llmops_sdk.evals.cases._rule import PassRule

__all__ = ["describe_case"]

_LONGEST = 4_000  # characters of one value
_MOST_RUNS = 20


def describe_case(item_id: str, verdict: CaseVerdict, rule: PassRule, *, note: str = "") -> str:
    """Return the item, its output, its scores and its traces as lines of text that is safe on a terminal.

    Args:
        item_id: The item's id.
        verdict: The verdict.
        rule: What it was judged by.
        note: What to say about the traces.
    """
    shown = next((run for run in verdict.runs if not run.passed), verdict.runs[0])
    lines = [(_word(verdict), verdict.summary), ("case", item_id)]
    result = shown.result
    if result is not None:
        lines.append(("input", _shown(result.input)))
        if result.status == "ok":
            lines.append(("output", _shown(result.output)))
        if result.expected is not None:
            lines.append(("expected", _shown(result.expected)))
        lines += [("score", _score(one, rule)) for one in result.scores.values()]
    lines += _traces(verdict)
    if note:
        lines.append(("", note))
    return "\n".join(f"{name:<9}{_indented(text)}" for name, text in lines)


def _word(verdict: CaseVerdict) -> str:
    return {"pass": "passed", "fail": "failed", "undecided": "flaky"}[verdict.outcome]


def _traces(verdict: CaseVerdict) -> list[tuple[str, str]]:
    traced = [(number, run) for number, run in enumerate(verdict.runs, 1) if run.trace_id is not None]
    lines = [("trace", _trace(number, run, len(verdict.runs))) for number, run in traced[:_MOST_RUNS]]
    more = len(traced) - _MOST_RUNS
    return [*lines, ("", f"and {more} more")] if more > 0 else lines


def _trace(number: int, run: CaseRun, runs: int) -> str:
    said = f"  (run {number}, {'passed' if run.passed else 'failed'})" if runs > 1 else ""
    return f"llmops show {run.trace_id}{said}"


def _score(score: ScoreResult, rule: PassRule) -> str:
    if score.status != "ok":
        why = f": {score.error_type}: {score.error}" if score.error_type else ""
        return f"{score.scorer}: {score.status}{why}"
    value = score.label if score.value is None else f"{score.value:.4g}"
    limit = rule.limit_of(score.scorer)
    needs = ""
    if limit is not None and score.value is not None:
        needs = f" (needs {limit:g} or {'more' if rule.higher_is_better.get(score.scorer, True) else 'less'})"
    comment = f"  {score.comment[:_LONGEST]}" if score.comment else ""
    return f"{score.scorer} {value}{needs}{comment}"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, indent=2)
    return json.dumps(value, ensure_ascii=False)


def _indented(text: str) -> str:
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"
    return defuse(cut).replace("\n", "\n" + " " * 9)
