"""Standard errors of means and the robust baseline."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.stats import mean_estimate, robust_baseline

# The differences of 1,000 paired items, old model to new: so many gained, so many lost.
GPT4 = [1] * 139 + [-1] * 477 + [0] * 384
GPT35 = [1] * 404 + [-1] * 242 + [0] * 354
# A hundred clusters of ten such items by their sums, with the published total and the published sum of squares.
GPT4_CLUSTERS = {-10: 43, 8: 11, 6: 1, -2: 2, 2: 1, 0: 42}
GPT35_CLUSTERS = {10: 30, -8: 17, -10: 1, 8: 1, 9: 1, -9: 1, 4: 1, -4: 1, 0: 47}


def clusters_of_ten(counts: dict[int, int]) -> tuple[list[int], list[int]]:
    """The values and the cluster labels."""
    totals = [total for total, times in counts.items() for _ in range(times)]
    values = [int(math.copysign(place < abs(total), total)) for total in totals for place in range(10)]
    return values, [index // 10 for index in range(len(values))]


@pytest.mark.parametrize(
    ("differences", "mean", "error"), [(GPT4, -0.338, 0.022411119076437443), (GPT35, 0.162, 0.02490735586882671)]
)
def test_paired_standard_error_gives_the_published_figures(differences: list[int], mean: float, error: float):
    assert mean_estimate(differences) == pytest.approx((mean, error, 1000, 1000), abs=1e-9)


@pytest.mark.parametrize(
    ("counts", "mean", "error"),
    [(GPT4_CLUSTERS, -0.338, 0.06252647439285218), (GPT35_CLUSTERS, 0.162, 0.06468044526748407)],
)
def test_clustered_standard_error_gives_the_published_figures(counts: dict[int, int], mean: float, error: float):
    values, clusters = clusters_of_ten(counts)

    assert mean_estimate(values, clusters=clusters) == pytest.approx((mean, error, 1000, 100), abs=1e-9)


@pytest.mark.parametrize(("old", "new", "error"), [(840, 502, 0.01961582985195326), (518, 680, 0.021627384116987974)])
def test_unpaired_error_is_that_of_two_means(old: int, new: int, error: float):
    errors = [mean_estimate([1] * right + [0] * (1000 - right)).standard_error for right in (old, new)]

    assert math.hypot(*errors) == pytest.approx(error, abs=1e-9)


def test_standard_error_of_human_labels_gives_the_published_figure():
    labels = [1] * 40 + [0.5] * 14 + [0] * 46

    assert mean_estimate(labels)[:2] == pytest.approx((0.47, 0.04650404565869794), abs=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_every_item_its_own_cluster_differs_by_the_degrees_of_freedom_only(values: list[float]):
    n = len(values)
    plain, clustered = mean_estimate(values), mean_estimate(values, clusters=range(n))

    assert clustered.standard_error == pytest.approx(plain.standard_error * math.sqrt((n - 1) / n), rel=1e-9, abs=1e-9)


def test_copies_of_each_item_add_no_precision_when_they_are_a_cluster():
    values = [1.0, 0.0, 0.0, 1.0, 1.0]
    labels = [f"user {index}" for index in range(5)]

    alone = mean_estimate(values, clusters=labels)
    copied = mean_estimate(values * 8, clusters=labels * 8)

    assert copied.standard_error == pytest.approx(alone.standard_error)
    assert (copied.items, copied.clusters) == (40, 5)


@pytest.mark.parametrize(
    ("values", "clusters", "message"),
    [
        ([], None, "is empty"),
        ([1.0], None, "at least two"),
        ([1.0, float("nan")], None, r"values\[1\] is nan: remove missing values"),
        ([1.0, float("inf")], None, "is inf"),
        ([1.0, 2.0], ["a"], "2 values and 1 cluster labels"),
        ([1.0, 2.0], ["a", "a"], "at least two clusters"),
    ],
)
def test_samples_without_a_standard_error_are_refused(values, clusters, message: str):
    with pytest.raises(ValueError, match=message):
        mean_estimate(values, clusters=clusters)


def test_robust_baseline_gives_the_published_figures():
    usual = robust_baseline([10, 11, 9, 10, 12, 10, 11, 10, 9, 10, 50])

    assert (usual.median, usual.mad) == (10, 1)
    assert usual.scale == pytest.approx(1.4826, abs=1e-4)
    assert usual.score(50) == pytest.approx(0.6745 * 40, abs=1e-3)


def test_floor_keeps_rare_traffic_quiet():
    counts = [4, 4, 4, 4, 4, 5, 4]
    floor = max(0.05 * 4, math.sqrt(4))

    assert robust_baseline(counts, floor=floor).score(7) == 1.5
    with pytest.raises(ValueError, match="give a floor above 0"):
        robust_baseline(counts)


@given(st.lists(st.floats(0, 100), min_size=3, max_size=21), st.floats(1e3, 1e9))
def test_a_minority_of_outliers_moves_the_median_no_further_than_the_other_values(values: list[float], outlier: float):
    spoiled = values + [outlier] * ((len(values) - 1) // 2)

    assert min(values) <= robust_baseline(spoiled, floor=1).median <= max(values)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="is nan"):
        robust_baseline([1, float("nan")], floor=1)
    with pytest.raises(ValueError, match="value is nan"):
        robust_baseline([1, 2, 3]).score(float("nan"))
