"""Intervals hold as often as they say, also where few users send most calls."""

from __future__ import annotations

import random

import pytest
from thorough_cases import thorough

from llmops_sdk.monitoring.reports._estimates import (
    ClusterSums,
    Estimate,
    difference,
    mean,
    quantile,
    relative_change,
    share,
)
from llmops_sdk.stats import mean_estimate, wilson_interval


def _sums(groups: list[list[float]]) -> ClusterSums:
    sizes, totals = [len(group) for group in groups], [sum(group) for group in groups]
    return ClusterSums(
        len(groups), sum(sizes), sum(totals), sum(n * n for n in sizes),
        sum(n * y for n, y in zip(sizes, totals, strict=True)), sum(y * y for y in totals),
    )  # fmt: skip


def test_independent_calls_have_the_plain_wilson_interval() -> None:
    found = share(_sums([[1.0]] * 30 + [[0.0]] * 70))
    effective = 99  # the correction for few groups

    assert (found.low, found.high) == pytest.approx(wilson_interval(0.3 * effective, effective))
    assert share(_sums([[0.0]] * 100)) == Estimate(0.0, *wilson_interval(0, 100))


def test_the_mean_has_the_standard_error_between_groups() -> None:
    chance = random.Random(3)
    groups = [[chance.gauss(place % 3, 1) for _ in range(1 + place % 4)] for place in range(40)]
    by_hand = mean_estimate(
        [value for group in groups for value in group],
        clusters=[place for place, group in enumerate(groups) for _ in group],
    )
    found = mean(_sums(groups))

    assert found.value == pytest.approx(by_hand.mean)
    assert (found.high - found.value) / by_hand.standard_error == pytest.approx(2.0227 * (40 / 39) ** 0.5, abs=1e-4)


def test_few_calls_or_groups_have_no_interval() -> None:
    assert share(_sums([[1.0]] * 29)).low is None
    assert mean(_sums([[1.0, 2.0] * 50] * 9)).low is None
    assert share(ClusterSums()) == mean(ClusterSums()) == quantile(ClusterSums(), 0.5, []) == Estimate(None)
    assert difference(Estimate(0.5), Estimate(None)).value is None
    assert relative_change(ClusterSums(), ClusterSums()).value is None


def _traffic(chance: random.Random, rate: float) -> list[list[float]]:
    """Return calls of users who differ in how much they send and how often their calls fail."""
    groups: list[list[float]] = []
    for _ in range(60):
        own = chance.betavariate(20 * rate, 20 * (1 - rate))
        groups.append([float(chance.random() < own) for _ in range(min(int(chance.paretovariate(1.5)), 40))])
    return groups


@pytest.mark.parametrize("runs", [300, thorough(5_000)])
def test_ninety_five_of_a_hundred_intervals_hold(runs: int) -> None:
    chance = random.Random(11)
    held = {"share": 0, "difference": 0, "relative": 0}
    for _ in range(runs):
        new, old = _sums(_traffic(chance, 0.2)), _sums(_traffic(chance, 0.2))
        one, change, total = share(new), difference(share(new), share(old)), relative_change(_calls(new), _calls(old))
        held["share"] += one.low <= 0.2 <= one.high
        held["difference"] += change.low <= 0 <= change.high
        held["relative"] += total.low <= 0 <= total.high

    assert {name: count / runs > 0.9 for name, count in held.items()} == dict.fromkeys(held, True), held


def _calls(sums: ClusterSums) -> ClusterSums:
    return sums._replace(y=sums.n, ny=sums.nn, yy=sums.nn)


def test_the_interval_of_a_quantile_is_read_from_the_distribution() -> None:
    grid = [(place / 100, float(place)) for place in range(101)]
    found = quantile(_sums([[1.0]] * 50 + [[0.0]] * 50), 0.5, grid)

    assert found.value == 50
    assert (found.low, found.high) == (pytest.approx(40.15, abs=0.1), pytest.approx(59.85, abs=0.1))
    assert quantile(_sums([[1.0]] * 1 + [[0.0]] * 50), 0.0, grid).low == 0
