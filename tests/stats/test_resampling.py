"""Bootstrap and permutation: against enumeration, against standard errors, and by simulation."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import MissingDependencyError
from llmops_sdk.stats import bootstrap_mean, mean_estimate, permutation_test, sign_flip_test

TENTHS = st.integers(-10, 10).map(lambda number: number / 10)  # sums of these differ in their last digits
SAMPLES = st.lists(TENTHS, min_size=1, max_size=6)
ALTERNATIVES = st.sampled_from(["two-sided", "greater", "less"])
DISTANCE: dict[str, Callable[[float], float]] = {"two-sided": abs, "greater": lambda x: x, "less": lambda x: -x}


def share_as_far(statistics: list[float], observed: float, alternative: str) -> float:
    distance = DISTANCE[alternative]
    return sum(distance(one) >= distance(observed) - 1e-9 for one in statistics) / len(statistics)


@given(SAMPLES, ALTERNATIVES)
def test_sign_flip_test_equals_enumeration(differences: list[float], alternative):
    flipped = [
        sum(map(math.prod, zip(differences, signs, strict=True))) for signs in product((1, -1), repeat=len(differences))
    ]
    result = sign_flip_test(differences, alternative=alternative)

    assert result.exact
    assert result.p_value == pytest.approx(share_as_far(flipped, sum(differences), alternative))


@given(SAMPLES, SAMPLES, ALTERNATIVES)
def test_permutation_test_equals_enumeration(first: list[float], second: list[float], alternative):
    pooled = first + second
    mean, size = sum(pooled) / len(pooled), len(second)
    divided = [sum(chosen) / size - mean for chosen in combinations(pooled, size)]
    result = permutation_test(first, second, alternative=alternative)

    assert result.exact
    assert result.arrangements == math.comb(len(pooled), size)
    assert result.p_value == pytest.approx(share_as_far(divided, sum(second) / size - mean, alternative))


def test_sampled_p_values_are_near_the_exact_ones_and_never_0():
    values = np.random.default_rng(1).normal(0.4, 1, size=14)
    exact, sampled = (sign_flip_test(values, resamples=resamples) for resamples in (20_000, 10_000))
    divided, random = (permutation_test(values[:7], values[7:], resamples=resamples) for resamples in (4_000, 3_000))

    assert (exact.exact, sampled.exact, divided.exact, random.exact) == (True, False, True, False)
    assert sampled.p_value == pytest.approx(exact.p_value, abs=0.01)
    assert random.p_value == pytest.approx(divided.p_value, abs=0.03)
    assert sign_flip_test([1.0] * 100).p_value == permutation_test([0.0] * 50, [1.0] * 50).p_value == 1 / 10_001


def test_sign_flip_test_turns_clusters_together():
    differences, clusters = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5], ["a", "a", "b", "b", "c", "c"]

    assert sign_flip_test(differences).p_value == 2 / 64
    assert sign_flip_test(differences, clusters=clusters).p_value == 2 / 8


def test_nothing_changed_is_no_evidence():
    assert sign_flip_test([0.0] * 30).p_value == permutation_test([1.0] * 9, [1.0] * 9).p_value == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    "p_value",
    [
        lambda noise: sign_flip_test(noise, resamples=999).p_value,
        lambda noise: permutation_test(noise[:20], noise[20:], resamples=999).p_value,
    ],
    ids=["sign flip", "two samples"],
)
def test_permutation_tests_keep_alpha_where_nothing_changed(p_value: Callable[..., float]):
    generator = np.random.default_rng(2)
    found = sum(p_value(generator.normal(size=40)) <= 0.05 for _ in range(2_000))

    assert 0.035 <= found / 2_000 <= 0.065


def test_bootstrap_interval_agrees_with_the_standard_error():
    differences = [1] * 139 + [-1] * 477 + [0] * 384
    result = bootstrap_mean(differences)

    assert result.mean == -0.338
    assert result.standard_error == pytest.approx(0.022411, rel=0.03)
    assert (result.low, result.high) == pytest.approx((-0.338 - 1.96 * 0.022411, -0.338 + 1.96 * 0.022411), abs=0.002)


def test_bootstrap_of_clusters_is_as_wide_as_the_clustered_standard_error():
    generator = np.random.default_rng(3)
    clusters = np.repeat(np.arange(60), generator.integers(1, 20, size=60))
    values = generator.normal(size=60)[clusters] + generator.normal(0, 0.3, size=len(clusters))

    clustered, plain = (
        bootstrap_mean(values, clusters=clusters, resamples=4_000),
        bootstrap_mean(values, resamples=4_000),
    )

    assert clustered.standard_error == pytest.approx(mean_estimate(values, clusters=clusters).standard_error, rel=0.1)
    assert clustered.standard_error > 2 * plain.standard_error


def test_bootstrap_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(4)
    results = [bootstrap_mean(generator.normal(size=50), resamples=1_000, seed=run) for run in range(1_000)]
    covered = sum(low <= 0 <= high for _, low, high, _ in results)

    assert 0.92 <= covered / 1_000 <= 0.965


def test_the_same_seed_gives_the_same_result():
    values = [0.1, 0.7, 0.2, 0.9, 0.4] * 10

    assert bootstrap_mean(values, seed=7) == bootstrap_mean(values, seed=7) != bootstrap_mean(values, seed=8)
    assert sign_flip_test(values, seed=7) == sign_flip_test(values, seed=7)
    assert permutation_test(values, [0.5] * 20, seed=7) == permutation_test(values, [0.5] * 20, seed=7)


CALLS = pytest.mark.parametrize(
    "call",
    [
        bootstrap_mean,
        sign_flip_test,
        lambda values, **options: permutation_test(values, [1.0, 2.0], **options),
        lambda values, **options: permutation_test([1.0, 2.0], values, **options),
    ],
    ids=["bootstrap", "sign flip", "first sample", "second sample"],
)


@CALLS
@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([], {}),
        ([1.0, math.nan], {}),
        ([1.0, math.inf], {}),
        ([1.0, 2.0], {"resamples": 99}),
        ([1.0] * 99, {"seed": -1}),
    ],
)
def test_samples_and_settings_out_of_range_are_refused(call: Callable[..., object], values: list[float], options):
    with pytest.raises(ValueError, match=r"give at least|remove missing values|integer of at least|finite numbers"):
        call(values, **options)


def test_other_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="at least two"):
        bootstrap_mean([1.0])
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_mean([1.0, 2.0], confidence=1)
    with pytest.raises(ValueError, match="cluster labels"):
        bootstrap_mean([1.0, 2.0], clusters=["a"])
    with pytest.raises(ValueError, match='give "two-sided", "greater" or "less"'):
        sign_flip_test([1.0, 2.0], alternative="both")


@CALLS
def test_a_missing_numpy_names_the_extra(call: Callable[..., object], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numpy", None)

    with pytest.raises(MissingDependencyError, match=r'pip install "llmops-sdk\[stats\]"'):
        call([1.0, 2.0, 3.0])
