"""Compare the stored runs of a canary: within one configuration of ours, and across our own changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean
from typing import Any

from llmops_sdk.config import CanarySettings
from llmops_sdk.drift._report import DriftReport, Feature
from llmops_sdk.drift.canaries._days import read_days
from llmops_sdk.drift.canaries._distances import Reference
from llmops_sdk.drift.canaries._identity import identity_feature
from llmops_sdk.drift.canaries._quality import quality_features, read_outcomes
from llmops_sdk.drift.canaries._stored import Run, Segment
from llmops_sdk.stats import normal_quantile

__all__ = ["report_of"]

_SEED = 0
_MIN_ITEMS = 10
_BASELINE = 3
"""Runs of a quality canary that are the baseline: the first ones, or those just before a change of ours."""


def report_of(canary: CanarySettings, segments: Sequence[Segment], future: int) -> DriftReport:
    """Return what the runs of a canary say.

    Drift is looked for among the runs under the newest configuration. A difference to the runs before it is ours.

    Args:
        canary: The canary.
        segments: Its runs by configuration, the oldest first.
        future: Rows that were left out, because their time has not come.

    Raises:
        NotComparableError: There is one answer a prompt and day.
    """
    changes = tuple(_sentence(old, new) for old, new in pairwise(segments))
    if not segments:
        empty = Feature(
            signal="answers" if canary.kind == "identity" else "score", status="not_enough_data",
            reason="the canary has no runs: run it first",
        )  # fmt: skip
        return DriftReport(kind=canary.kind, name=canary.name, features=(empty,))
    newest = segments[-1]
    features = [*_within(canary, newest), *_served_model(newest)]
    if len(segments) > 1:
        features += _across(canary, segments[-2], newest)
    if future:
        features = [replace(one, details={**one.details, "future": future}) for one in features]
    return DriftReport(kind=canary.kind, name=canary.name, features=tuple(features), changes=changes)


def _within(canary: CanarySettings, segment: Segment) -> list[Feature]:
    if canary.kind == "identity":
        return [identity_feature(read_days(_rows(segment.runs)), alpha=canary.alpha)]
    *earlier, latest = segment.runs
    if not earlier:
        return [
            Feature(signal="score", status="not_enough_data", reason="there is one run: nothing to compare it with")
        ]
    # The looks share alpha: 1/2 + 1/6 + 1/12 + ... = 1.
    look = len(earlier)
    return list(_quality(earlier[:_BASELINE], latest, canary.alpha / (look * (look + 1))))


def _quality(before: Sequence[Run], after: Run, alpha: float) -> Iterator[Feature]:
    """Yield the features of a run against a baseline: of each item, the mean score of its runs.

    Runs differ by more than their items do by chance, such as by the day. A difference that the runs of the baseline
    have among themselves is none.
    """
    low, high = _bounds((*before, after))
    spread = _spread(before)
    for feature in quality_features(
        read_outcomes(_scored(before), "before", low, high), read_outcomes(_scored([after]), "after", low, high),
        alpha=alpha, seed=_SEED, low=low, high=high, min_n=_MIN_ITEMS,
    ):  # fmt: skip
        details = {**feature.details, "baseline_runs": len(before), "baseline_spread": spread}
        usual = feature.status == "drifted" and abs(feature.effect or 0.0) <= spread
        yield replace(
            feature, details=details, status="steady" if usual else feature.status,
            cause=None if usual else feature.cause,
            reason=f"{feature.reason}, as much as runs of the baseline differ" if usual else feature.reason,
        )  # fmt: skip


def _spread(runs: Sequence[Run]) -> float:
    """Return the largest difference of the mean scores of runs."""
    scores = [[row["score"] for row in run.rows if row["score"] is not None] for run in runs]
    means = [fmean(one) for one in scores if one]
    return max(means) - min(means) if means else 0.0


def _bounds(runs: Sequence[Run]) -> tuple[float, float]:
    """Return 0 and 1, or wider bounds of a scorer that returns other numbers."""
    scores = [row["score"] for run in runs for row in run.rows if row["score"] is not None]
    return min([0.0, *scores]), max([1.0, *scores])


def _scored(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the rows for the comparison of scores: an answer is known to exist, and its text is in its trace."""
    return [{key: row[key] for key in ("item_id", "score", "trace_id")} for row in _rows(runs)]


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [row for run in runs for row in run.rows]


def _served_model(segment: Segment) -> list[Feature]:
    """Return a feature where another model serves behind the name that we asked for; else none.

    Alone, equal names say little: they must not make a canary without enough answers "steady".
    """
    named = [(run, {row["model"] for row in run.rows if row["model"] is not None}) for run in segment.runs]
    named = [(run, names) for run, names in named if names]
    if not named or not named[-1][1].isdisjoint(named[0][1]):
        return []
    first, latest = sorted(named[0][1])[:10], sorted(named[-1][1])[:10]
    since = next(run.begun for run, names in named if names & named[-1][1])
    examples = [row["trace_id"] for row in named[-1][0].rows if row["model"] and row["trace_id"]]
    return [
        Feature(
            signal="served_model", status="drifted", cause="provider", examples=tuple(examples[:5]),
            reference_n=len(named[0][0].rows), current_n=len(named[-1][0].rows),
            reason=f"another model serves: {', '.join(latest)} instead of {', '.join(first)}",
            details={"first": first, "latest": latest, "since": since.isoformat()},
        )
    ]  # fmt: skip


def _cause(old: Segment, new: Segment) -> str:
    models = [one.configuration.partition("#")[0] for one in (old, new)]
    return "model" if models[0] != models[1] else "configuration"


def _sentence(old: Segment, new: Segment) -> str:
    models = [one.configuration.partition("#")[0] for one in (old, new)]
    day = new.runs[0].begun.date().isoformat()
    if models[0] != models[1]:
        return f"the model was changed from {models[0]} to {models[1]} before the run on {day}"
    return f"the configuration of the model or of the canary was changed before the run on {day}"


def _across(canary: CanarySettings, old: Segment, new: Segment) -> list[Feature]:
    """Return what our own change made: the same comparison, but a difference is "ours"."""
    if canary.kind == "quality":
        if not {row["item_id"] for row in _rows(old.runs[-_BASELINE:])} & {row["item_id"] for row in new.runs[0].rows}:
            return []
        found = _quality(old.runs[-_BASELINE:], new.runs[0], canary.alpha)
        return [_as_ours(one, _cause(old, new)) for one in found]
    return _identity_across(canary, old, new)


def _as_ours(feature: Feature, cause: str) -> Feature:
    is_ours = feature.status == "drifted"
    return replace(
        feature, signal=f"{feature.signal}:own_change", status="ours" if is_ours else feature.status,
        cause=cause if is_ours else None,
    )  # fmt: skip


def _identity_across(canary: CanarySettings, old: Segment, new: Segment) -> list[Feature]:
    reference = Reference()
    for day in read_days(_rows(old.runs)).days.values():
        reference.add(day.answers)
    counts: dict[str, Counter[str]] = {}
    for day in read_days(_rows(new.runs)).days.values():
        for prompt, counted in day.answers.items():
            counts.setdefault(prompt, Counter()).update(counted)
    distance = reference.distance(counts) if reference.counts else None
    if distance is None:
        return []
    # Twice the deviation of sampling: days differ by more than that.
    bound = 2 * normal_quantile(1 - canary.alpha / 2) * distance.variance**0.5
    is_ours = distance.excess > max(bound, 0.02)
    found = "other answers than before" if is_ours else "about the same answers as before"
    return [
        Feature(
            signal="answers:own_change", status="ours" if is_ours else "steady", effect=distance.excess,
            cause=_cause(old, new) if is_ours else None, reason=f"our own change gives {found}",
            reference_n=sum(one.total() for one in reference.counts.values()), current_n=distance.answers,
        )
    ]  # fmt: skip
