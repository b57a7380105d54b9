"""Sum up an experiment: a row a scorer, with an interval and with what a failure could change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from llmops_sdk.evals._types import ItemResult, ScoreResult
from llmops_sdk.stats import Interval, mean_estimate, student_quantile, wilson_interval

__all__ = ["interval_of_items", "summary_row", "worst_case"]


def summary_row(scorer: str, results: Sequence[ItemResult], confidence: float) -> dict[str, Any]:
    """Return the row of one scorer; see `Experiment.summary`.

    Args:
        scorer: The scorer's name.
        results: All results of the experiment.
        confidence: Of the interval, above 0 and below 1.
    """
    by_item: dict[str, list[float]] = {}
    labels: dict[str, int] = {}
    counts = {"failed": 0, "skipped": 0, "not_run": 0, "reused": 0}
    passed: list[bool] = []
    for result in results:
        found = result.scores.get(scorer)
        if found is None or found.status != "ok":
            counts[_missing(result, found)] += 1
            continue
        counts["reused"] += found.reused
        if found.value is not None:
            by_item.setdefault(result.item_id, []).append(found.value)
        if found.label is not None:
            labels[found.label] = labels.get(found.label, 0) + 1
        if found.passed is not None:
            passed.append(found.passed)
    means = [math.fsum(values) / len(values) for values in by_item.values()]
    values = [value for item in by_item.values() for value in item]
    mean = math.fsum(means) / len(means) if means else None
    return {
        "scorer": scorer,
        "n": len(values),
        "items": len(means),
        "mean": mean,
        "interval": interval_of_items(means, confidence),
        **counts,
        "worst_case": worst_case(values, counts["failed"] + counts["not_run"]),
        "pass_rate": sum(passed) / len(passed) if passed else None,
        "labels": dict(sorted(labels.items())),
    }


def _missing(result: ItemResult, found: ScoreResult | None) -> str:
    """Return the column that counts a score without a value."""
    if result.status == "not_run":
        return "not_run"
    if found is not None and found.status == "skipped":
        return "skipped"
    # There is no output to score, because the task failed: that is a failure too.
    scored = found is not None and found.status != "not_run"
    return "failed" if scored or result.status != "ok" else "not_run"


def interval_of_items(means: Sequence[float], confidence: float) -> Interval | None:
    """Return the confidence interval of the mean over items, or None for fewer than two.

    Args:
        means: One value an item, its mean over repeats: repeats of one item are not independent.
        confidence: Above 0 and below 1.
    """
    if len(means) < 2:
        return None
    if all(value in {0.0, 1.0} for value in means):
        return wilson_interval(math.fsum(means), len(means), confidence=confidence)
    estimate = mean_estimate(means)
    half = student_quantile((1 + confidence) / 2, len(means) - 1) * estimate.standard_error
    return Interval(estimate.mean - half, estimate.mean + half)


def worst_case(values: Iterable[float], missing: int) -> Interval | None:
    """Return the mean if every missing value were the lowest possible one, and if it were the highest.

    The range is 0 to 1 where all values lie in it, and otherwise that of the values.

    Args:
        values: The valid values.
        missing: How many values are missing.
    """
    known = list(values)
    if not known:
        return None
    low, high = min(known), max(known)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    total, n = math.fsum(known), len(known) + missing
    return Interval((total + missing * low) / n, (total + missing * high) / n)
