"""The verdicts of cases as results of an experiment, to compare, save and report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from llmops_sdk.evals._experiment import Experiment
from llmops_sdk.evals._json_form import result_from_dict, result_to_dict
from llmops_sdk.evals._types import ItemResult, ScoreResult
from llmops_sdk.evals.cases._repeats import CaseVerdict
from llmops_sdk.evals.running._output import shortened

__all__ = ["PASSED", "case_results", "experiment_of_cases", "with_ids_of"]

PASSED = "case_passed"
"""The score of every run of a case, so that cases which assert by themselves can be compared too."""
_MOST_BYTES = 64 * 1024
_VALUES = ("input", "output", "expected")


def case_results(test: str, verdict: CaseVerdict) -> list[dict[str, Any]]:
    """Return the runs of a case as JSON objects, as `Experiment.to_dict` has them; large values are shortened.

    Args:
        test: The test's id, which becomes the item's.
        verdict: Its verdict.
    """
    rows: list[dict[str, Any]] = []
    for run in verdict.runs:
        result = run.result
        if result is None:
            continue
        score = ScoreResult(scorer=PASSED, status="ok", value=float(run.passed), passed=run.passed)
        kept = replace(
            result,
            item_id=test,
            # A run that failed is a result, whose value is 0: only its own scores are missing.
            scores={**result.scores, PASSED: score},
            metadata={**result.metadata, "item_id": result.item_id},
        )
        row = result_to_dict(kept)
        row.update({name: _bounded(row[name]) for name in _VALUES if name in row})
        rows.append(row)
    return rows


def _bounded(value: Any) -> Any:
    raw = json.dumps(value).encode()
    return value if len(raw) <= _MOST_BYTES else shortened(raw)


def experiment_of_cases(
    name: str, rows: Iterable[Mapping[str, Any]], scorers: Mapping[str, Mapping[str, Any]], started: float
) -> Experiment:
    """Return the experiment of a test run.

    Args:
        name: The name of the series.
        rows: Those of `case_results`.
        scorers: What each scorer's values depend on.
        started: Seconds since the epoch.
    """
    results = tuple(_completed(result_from_dict(row), scorers) for row in rows)
    return Experiment(
        id=uuid4().hex,
        name=name,
        results=results,
        scorers={**scorers, PASSED: {"kind": "case", "higher_is_better": True}},
        repeats=max((one.repeat for one in results), default=0) + 1,
        started=started,
        ended=time.time(),
    )


def _completed(result: ItemResult, scorers: Mapping[str, Any]) -> ItemResult:
    """Return a result in which the scorers of other tests are skipped: a missing score would count as a failure."""
    others = {name: ScoreResult(scorer=name, status="skipped") for name in scorers if name not in result.scores}
    return replace(result, scores={**result.scores, **others})


def with_ids_of(experiment: Experiment, baseline: Experiment) -> Experiment:
    """Return the experiment with the ids of its items as the baseline has them.

    Items of a test run are called by the test. Those of `llmops eval run` are called as in their data set: if no test
    is in the baseline, and the items' own ids are unique, these are taken.

    Args:
        experiment: The experiment of a test run.
        baseline: What it is compared with.
    """
    known = {one.item_id for one in baseline.results}
    if any(one.item_id in known for one in experiment.results):
        return experiment
    own = {one.item_id: str(one.metadata.get("item_id", one.item_id)) for one in experiment.results}
    if len(set(own.values())) < len(own) or not known.intersection(own.values()):
        return experiment

    def renamed(result: ItemResult) -> ItemResult:
        return replace(result, item_id=own[result.item_id])

    return replace(experiment, results=tuple(renamed(one) for one in experiment.results))
