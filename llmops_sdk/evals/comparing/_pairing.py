"""Pair the scores of two experiments by item: repeats are averaged, failures counted and never filled in."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals._types import ItemResult
from llmops_sdk.stats import Interval

__all__ = ["TASK_FAILED", "ClusterBy", "Pairs", "cluster_function", "pair_scores"]

TASK_FAILED = "task_failed"
"""The name of the row that compares how often the task itself failed: 1 for a failure, so less is better."""

ClusterBy: TypeAlias = "str | Callable[[ItemResult], Hashable] | None"
"""A key of the items' metadata, or a function of a result."""

_DEFAULT = "cluster"


@dataclass(slots=True)
class _Item:
    """One item of one experiment: its values, and how many of its repeats failed."""

    values: list[float] = field(default_factory=list[float])
    failed: int = 0

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The scores of one scorer in two experiments.

    Attributes:
        ids: The items that have a value in both, in the order of the first experiment.
        a, b: Their values, means over repeats.
        clusters: The cluster of each, or None.
        only_a, only_b: Items that have a value in one experiment only, though both ran them.
        failed_a, failed_b: Repeats that gave no value.
        worst_case: The smallest and largest mean difference that the failed repeats could have given, or None.
    """

    ids: tuple[str, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]
    clusters: tuple[Hashable, ...] | None
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    failed_a: int
    failed_b: int
    worst_case: Interval | None


def cluster_function(by: ClusterBy, results: Sequence[ItemResult]) -> Callable[[ItemResult], Hashable] | None:
    """Return what gives the cluster of a result, or None for independent items.

    Args:
        by: A metadata key or a function. None takes the key `cluster` if every item has it.
        results: The results to compare.

    Raises:
        ConfigError: An item lacks the key.
    """
    if callable(by):
        return by
    if by is None:
        if not results or not all(_DEFAULT in result.metadata for result in results):
            return None
        by = _DEFAULT
    lacking = sorted({result.item_id for result in results if by not in result.metadata})
    if lacking:
        raise ConfigError(
            f"by={by!r}: {len(lacking)} items have no such key in their metadata, such as {lacking[0]}; give a key "
            "that all have, or a function of a result",
            key="by",
            value=by,
        )
    key = by
    return lambda result: _hashable(result.metadata[key])


def pair_scores(
    scorer: str,
    a: Sequence[ItemResult],
    b: Sequence[ItemResult],
    cluster: Callable[[ItemResult], Hashable] | None = None,
) -> Pairs:
    """Return the paired values of a scorer.

    Args:
        scorer: The scorer's name.
        a: The results of the first experiment.
        b: The results of the second.
        cluster: What gives the cluster of a result.
    """
    old, new = _by_item(scorer, a), _by_item(scorer, b)
    both = [item for item in old if item in new]
    paired = [item for item in both if old[item].values and new[item].values]
    clusters: tuple[Hashable, ...] | None = None
    if cluster is not None:
        found = {result.item_id: cluster(result) for result in a}
        clusters = tuple(found[item] for item in paired)
    return Pairs(
        ids=tuple(paired),
        a=tuple(old[item].mean for item in paired),
        b=tuple(new[item].mean for item in paired),
        clusters=clusters,
        only_a=tuple(item for item in both if old[item].values and not new[item].values),
        only_b=tuple(item for item in both if new[item].values and not old[item].values),
        failed_a=sum(item.failed for item in old.values()),
        failed_b=sum(item.failed for item in new.values()),
        worst_case=_worst_case([(old[item], new[item]) for item in both]),
    )


def _by_item(scorer: str, results: Sequence[ItemResult]) -> dict[str, _Item]:
    """Return the items on which the scorer ran, or would have run without a failure."""
    found: dict[str, _Item] = {}
    if scorer == TASK_FAILED:
        for result in results:
            if result.status != "not_run":
                found.setdefault(result.item_id, _Item()).values.append(float(result.status != "ok"))
        return found
    for result in results:
        score = result.scores.get(scorer)
        if score is not None and score.status == "skipped":
            continue
        item = found.setdefault(result.item_id, _Item())
        if score is not None and score.status == "ok":
            if score.value is not None:
                item.values.append(score.value)
        elif result.status != "not_run":
            item.failed += 1
    return found


def _worst_case(items: Sequence[tuple[_Item, _Item]]) -> Interval | None:
    """Return the mean difference if every failed repeat had its worst value for b, and if it had its best."""
    known = [value for pair in items for item in pair for value in item.values]
    if not known:
        return None
    low, high = min(known), max(known)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0  # most scores are shares; others are bounded by what was seen
    rows = [pair for pair in items if all(item.values or item.failed for item in pair)]
    if not rows:
        return None
    ends = [math.fsum(_filled(new, end) - _filled(old, other) for old, new in rows) / len(rows)
            for end, other in ((low, high), (high, low))]  # fmt: skip
    return Interval(*ends)


def _filled(item: _Item, value: float) -> float:
    return (math.fsum(item.values) + item.failed * value) / (len(item.values) + item.failed)


def _hashable(value: object) -> Hashable:
    if isinstance(value, Hashable):
        return value
    return repr(sorted(value.items())) if isinstance(value, Mapping) else repr(value)  # pyright: ignore[reportUnknownArgumentType]
