"""Paired differences: against formulas and published figures, by simulation, and with hostile scores."""

from __future__ import annotations

import math
import sys
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmops_sdk import LLMOpsError
from llmops_sdk.errors import MissingDependencyError, MissingScoreError
from llmops_sdk.stats import mcnemar, mean_estimate, paired_difference, sign_flip_test, student_quantile

SCORES = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=3, max_size=30)


def paired_answers(generator: np.random.Generator, n: int, lost: float, gained: float) -> tuple[list[int], list[int]]:
    """Return right (1) and wrong (0) answers; `lost` and `gained` are the shares of items that change."""
    same = 1 - lost - gained
    kinds = generator.choice(4, size=n, p=[lost, gained, 0.8 * same, 0.2 * same])
    return [(1, 0, 1, 0)[kind] for kind in kinds], [(0, 1, 1, 0)[kind] for kind in kinds]


def test_changed_answers_give_the_reference_figures():
    # gpt-4 on 1,000 primes (LLMDrift): .840 before, .502 after; 139 gained, 477 lost.
    before = [1] * 363 + [0] * 21 + [0] * 139 + [1] * 477
    after = [1] * 363 + [0] * 21 + [1] * 139 + [0] * 477
    result = paired_difference(before, after)

    assert result.difference == pytest.approx(-0.338, abs=1e-12)
    assert result.standard_error == pytest.approx(0.022411119076437443, abs=1e-12)
    assert result.p_value == pytest.approx(2.812962599908218e-44, rel=1e-9)
    assert (result.n, result.clusters, result.method) == (1_000, 1_000, "mcnemar")
    assert result.interval == pytest.approx((-0.382, -0.294), abs=0.002)


def test_interval_of_paired_rates_equals_newcombes_example():
    # Newcombe (1998), table II: 36, 12, 2 and 0 of 50; method 10 gives .0569 to .3404.
    before, after = [1] * 36 + [0] * 12 + [1] * 2, [1] * 36 + [1] * 12 + [0] * 2

    assert paired_difference(before, after).interval == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_equal_answers_of_few_items_keep_a_width():
    low, high = paired_difference([1] * 5, [1] * 5).interval

    assert low < -0.4 < 0.4 < high
    assert paired_difference([0] * 8, [1] * 8).p_value == pytest.approx(2 / 2**8)
    # As if each cluster were one item.
    clustered = paired_difference([1] * 15, [1] * 15, [index % 5 for index in range(15)])
    assert clustered.interval == pytest.approx((low, high))
    assert clustered.p_value == 1
    assert paired_difference([1] * 5, [1] * 5, method="bootstrap").interval == pytest.approx((low, high))


@given(SCORES)
def test_t_method_equals_the_formula(pairs: list[tuple[int, int]]):
    old, new = zip(*pairs, strict=True)
    differences = [after - before for before, after in pairs]
    assume(len(set(differences)) > 1)
    n = len(pairs)
    error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    result = paired_difference(old, new, method="t")

    assert result.difference == pytest.approx(sum(differences) / n)
    assert result.standard_error == pytest.approx(error)
    assert result.interval.high - result.difference == pytest.approx(student_quantile(0.975, n - 1) * error)
    assert (result.p_value < 0.05) == (result.interval.low > 0 or result.interval.high < 0)


@given(SCORES, st.sampled_from(["t", "auto", "permutation"]), st.randoms())
def test_swapped_versions_and_shuffled_items_say_the_same(pairs, method, random):
    old, new = zip(*pairs, strict=True)
    result, swapped = paired_difference(old, new, method=method), paired_difference(new, old, method=method)
    shuffled = random.sample(pairs, len(pairs))
    again = paired_difference(*zip(*shuffled, strict=True), method="t")

    assert swapped.difference == pytest.approx(-result.difference)
    assert swapped.interval == pytest.approx((-result.interval.high, -result.interval.low))
    if len(pairs) < 12 or method != "permutation":  # else random signs
        assert swapped.p_value == pytest.approx(result.p_value, abs=1e-9)
    assert again.standard_error == pytest.approx(result.standard_error)


@given(SCORES)
def test_clusters_of_one_item_are_no_clusters(pairs: list[tuple[int, int]]):
    old, new = zip(*pairs, strict=True)
    plain = paired_difference(old, new, method="t")
    single = paired_difference(old, new, range(len(pairs)))

    assert single.interval == pytest.approx(plain.interval)
    assert single.p_value == pytest.approx(plain.p_value, abs=1e-12)
    assert single.clusters == plain.n


def test_clustered_standard_error_is_that_of_a_hand_formula():
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(40), 10)
    old = generator.normal(size=400)
    new = old + 0.1 + generator.normal(0, 0.5, size=40)[labels] + generator.normal(0, 0.5, size=400)
    result = paired_difference(old, new, labels)
    # Of equal clusters, the standard error of the mean of the cluster means.
    means = (new - old).reshape(40, 10).mean(axis=1)
    by_hand = means.std(ddof=1) / math.sqrt(40)

    assert result.standard_error == pytest.approx(by_hand, rel=0.1)
    half = student_quantile(0.975, 39) * by_hand
    assert result.interval == pytest.approx((means.mean() - half, means.mean() + half))
    assert result.standard_error > 1.5 * paired_difference(old, new).standard_error
    assert (result.n, result.clusters, result.method) == (400, 40, "t")


def test_intervals_of_few_clusters_cover():
    generator = np.random.default_rng(2)
    labels = np.repeat(np.arange(8), [2, 3, 4, 5, 6, 7, 8, 9])
    covered = 0
    for _ in range(1_000):
        new = generator.normal(size=8)[labels] + generator.normal(size=len(labels))
        low, high = paired_difference(np.zeros(len(labels)), new, labels).interval
        covered += low <= 0 <= high

    assert 0.93 <= covered / 1_000 <= 0.97


def test_resampling_methods_take_their_figures_from_the_tests():
    generator = np.random.default_rng(3)
    old = generator.normal(size=60)
    new = old + generator.normal(0.1, 1, size=60)
    labels = np.repeat(np.arange(20), 3)
    differences = new - old

    for clusters in (None, labels):
        permutation = paired_difference(old, new, clusters, method="permutation", seed=4)
        bootstrap = paired_difference(old, new, clusters, method="bootstrap", seed=4)
        assert permutation.p_value == sign_flip_test(differences, clusters=clusters, seed=4).p_value
        assert permutation.p_value == bootstrap.p_value
        assert bootstrap.interval == pytest.approx(permutation.interval, abs=0.08)
        assert (permutation.method, bootstrap.method) == ("permutation", "bootstrap")


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["t", "mcnemar"])
def test_tests_keep_alpha_where_nothing_changed(method):
    generator = np.random.default_rng(5)
    found = 0
    for _ in range(2_000):
        old, new = paired_answers(generator, 100, lost=0.15, gained=0.15)
        found += paired_difference(old, new, method=method).p_value <= 0.05

    # The exact test is conservative.
    assert (0.035 if method == "t" else 0.01) <= found / 2_000 <= 0.065


def test_a_loss_of_a_tenth_is_found_in_500_items():
    generator = np.random.default_rng(6)
    # From .8 to .7 with a correlation of .5.
    results = [paired_difference(*paired_answers(generator, 500, lost=0.148, gained=0.048)) for _ in range(200)]

    assert sum(one.p_value <= 0.05 and one.difference < 0 for one in results) >= 0.9 * 200


def test_equal_differences_are_no_proof():
    result = paired_difference([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.4, 0.5])

    assert result.difference == pytest.approx(0.1)
    assert result.p_value == 2 / 2**4
    assert paired_difference([0.5] * 4, [0.5] * 4).p_value == 1
    assert paired_difference([0.5] * 6, [0.7] * 6, [1, 1, 2, 2, 3, 3]).p_value == 2 / 2**3


def test_kinds_of_numbers_and_sequences_are_equal():
    expected = paired_difference([1.0, 0.0, 1.0], [0.0, 0.0, 1.0])

    assert paired_difference([True, False, True], (False, False, True)) == expected
    assert paired_difference(np.array([1, 0, 1], dtype=np.int8), np.array([0, 0, 1], dtype=np.float32)) == expected
    assert paired_difference(iter([Decimal(1), Decimal(0), Decimal(1)]), [0, 0, 1]) == expected


@pytest.mark.parametrize("missing", [None, math.nan, np.float32("nan"), Decimal("nan")])
def test_missing_scores_are_a_typed_error(missing):
    with pytest.raises(MissingScoreError, match=r"b\[1\] is .*Experiment.compare") as raised:
        paired_difference([1, 0], [1, missing])

    assert isinstance(raised.value, LLMOpsError)
    assert isinstance(raised.value, ValueError)
    assert (raised.value.argument, raised.value.index) == ("b", 1)


@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        ([], [], {}, "a is empty"),
        ([1], [0], {}, "at least two"),
        ([1, 0, 1], [1, 0], {}, "a has 3 scores and b has 2"),
        ([1, math.inf], [1, 0], {}, r"a\[1\] is inf"),
        ([1, 10**400], [1, 0], {}, r"a\[1\] is inf"),
        ([1, 1e200], [1, 0], {}, r"a\[1\] is 1e\+200"),
        ([1, 0], [1, 0], {"clusters": ["x"]}, "2 values and 1 cluster labels"),
        ([1, 0], [1, 0], {"clusters": ["x", "x"]}, "at least two clusters"),
        ([1, 0], [1, 0], {"confidence": 1}, "confidence"),
        ([1, 0], [1, 0], {"method": "z"}, "method is 'z'"),
        ([1, 0], [1, 0.5], {"method": "mcnemar"}, "for scores of 0 and 1"),
        ([1, 0], [1, 0], {"method": "bootstrap", "resamples": 5}, "resamples"),
    ],
)
def test_samples_that_give_no_difference_are_refused(a, b, options, message: str):
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b, **options)


@pytest.mark.parametrize(
    "scores", ["10", b"10", ["1", "0"], [b"1", b"0"], [[1], [0]], [1j, 0], 7, None], ids=lambda one: repr(one)[:20]
)
def test_what_is_no_list_of_numbers_is_a_type_error(scores):
    with pytest.raises(TypeError):
        paired_difference(scores, [1, 0])


def test_only_resampling_needs_numpy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "numpy", None)

    assert paired_difference([1, 0, 1], [0, 0, 1]).p_value == mcnemar(0, 1)
    assert paired_difference([0.5, 0.1, 0.9], [0.4, 0.2, 0.8]).standard_error == pytest.approx(
        mean_estimate([-0.1, 0.1, -0.1]).standard_error
    )
    with pytest.raises(MissingDependencyError, match=r"llmops-sdk\[stats\]"):
        paired_difference([1, 0, 1], [0, 0, 1], method="permutation")
