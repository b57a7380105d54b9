"""PPI++ and Rogan-Gladen: formulas, coverage by simulation, hostile labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import MissingScoreError
from llmops_sdk.evals.stats import PPIEstimate, mean_estimate, ppi, rogan_gladen, wilson_interval

VALUES = st.sampled_from([0.0, 0.5, 1.0])
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=4, max_size=40)
OTHERS = st.lists(VALUES, min_size=2, max_size=60)


def judged_items(generator: np.random.Generator, n: int, flips: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with mean .4 and verdicts of a judge that is wrong in a fifth and prefers 1 besides."""
    labels = generator.choice([0.0, 0.5, 1.0], p=[0.55, 0.1, 0.35], size=n)
    wrong = generator.random(n) < flips
    return labels, np.where(wrong, generator.choice([0.0, 1.0], p=[0.3, 0.7], size=n), labels)


@given(PAIRS, OTHERS)
def test_estimate_is_that_of_the_definition(pairs: list[tuple[float, float]], unlabelled: list[float]):
    human, judge = (np.array(each) for each in zip(*pairs, strict=True))
    n, others = len(human), len(unlabelled)
    pooled = np.concatenate([judge, unlabelled])
    variance = pooled.var(ddof=1)
    covariance = np.cov(human, judge)[0, 1]
    weight = min(1, max(0, covariance / ((1 + n / others) * variance))) if variance > 0 else 0
    error = math.sqrt((human - weight * judge).var(ddof=1) / n + weight**2 * np.var(unlabelled, ddof=1) / others)
    result = ppi(human, judge, unlabelled)

    assert result.lam == pytest.approx(weight, abs=1e-12)
    assert result.estimate == pytest.approx(human.mean() + weight * (np.mean(unlabelled) - judge.mean()))
    assert result.standard_error == pytest.approx(error, abs=1e-12)
    assert result.human_only == mean_estimate(human)
    assert result.judge_only == pytest.approx(pooled.mean())
    assert (result.n_labelled, result.n_judged) == (n, others)


@given(PAIRS, OTHERS)
def test_none_marks_items_without_a_label(pairs, unlabelled: list[float]):
    human, judge = (list(each) for each in zip(*pairs, strict=True))

    assert ppi(human + [None] * len(unlabelled), judge + unlabelled) == ppi(human, judge, unlabelled)


@given(PAIRS, OTHERS)
def test_weights_at_the_ends_are_humans_alone_and_plain_ppi(pairs, unlabelled: list[float]):
    human, judge = (list(each) for each in zip(*pairs, strict=True))
    alone, plain = (ppi(human, judge, unlabelled, lam=lam) for lam in (0, 1))

    assert (alone.estimate, alone.standard_error) == pytest.approx(mean_estimate(human)[:2])
    assert plain.estimate == pytest.approx(np.mean(unlabelled) + np.mean(human) - np.mean(judge))


def test_useless_and_contrary_judges_get_no_weight():
    human = [1.0, 0.0] * 20
    for judge, others in (
        ([1.0 - label for label in human], [1.0, 0.0, 1.0]),  # contrary
        ([0.5] * 40, [0.5] * 30),  # says always the same
        (human, [1.0]),  # without a second unlabelled verdict
        (human, []),
    ):
        result = ppi(human, judge, others)
        assert (result.lam, result.estimate) == (0, 0.5)
        assert result.standard_error == pytest.approx(mean_estimate(human).standard_error)


@pytest.mark.parametrize(("labels", "runs"), [(50, 600), (100, 600)])
def test_interval_covers_and_is_narrower_than_that_of_labels_alone(labels: int, runs: int):
    generator = np.random.default_rng(1)
    results: list[PPIEstimate] = []
    for _ in range(runs):
        human, judge = judged_items(generator, labels)
        results.append(ppi(human, judge, judged_items(generator, 400)[1]))
    covered = sum(low <= 0.4 <= high for _, _, (low, high), *_ in results)

    assert 0.93 <= covered / runs <= 0.97
    assert sum(one.judge_only > 0.42 for one in results) > 0.9 * runs  # the judge alone is biased
    assert np.std([one.estimate for one in results]) <= 0.9 * np.std([one.human_only.mean for one in results])


def test_few_labels_get_a_wide_interval():
    human, judge, others = [1.0, 0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0, 0.0], [1.0, 0.0] * 50
    result = ppi(human, judge, others)
    fixed = ppi(human, judge, others, lam=result.lam)

    assert result[:2] == pytest.approx(fixed[:2])
    # The normal quantile would give 1.96 standard errors on each side; the weight was estimated from five items.
    assert result.interval.high - result.estimate > 3 * result.standard_error
    assert fixed.interval.high - fixed.interval.low < result.interval.high - result.interval.low
    assert ppi(human[:3], judge[:3], others).lam == 0


def test_equal_labels_keep_the_width_of_a_rate():
    result = ppi([1] * 10, [1, 0] * 5, [1, 0, 1, 1])

    assert (result.estimate, result.standard_error) == (1, 0)
    assert result.interval == wilson_interval(10, 10)
    assert ppi([0] * 10, [1, 0] * 5, [1, 0, 1, 1]).interval == wilson_interval(0, 10)


def test_corrected_rate_is_that_of_the_formula():
    human = [1] * 50 + [0] * 50
    judge = [1] * 45 + [0] * 5 + [1] * 10 + [0] * 40
    result = rogan_gladen(human, judge, [1] * 300 + [0] * 200)

    assert (result.sensitivity, result.specificity, result.judge_only) == (0.9, 0.8, 0.6)
    assert result.estimate == pytest.approx((0.6 + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert result.interval.low < result.estimate < result.interval.high
    assert (result.n_labelled, result.n_judged) == (100, 500)


@pytest.mark.parametrize("labels", [50, 200])
def test_interval_of_the_corrected_rate_covers(labels: int):
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(500):
        # Calibrated where half is good, applied where .42 is.
        human, truth = np.arange(labels) % 2, generator.random(400) < 0.42
        judge, others = (
            np.where(good, generator.random(len(good)) < 0.8, generator.random(len(good)) < 0.25).astype(int)
            for good in (human, truth)
        )
        low, high = rogan_gladen(human, judge, others).interval
        covered += low <= 0.42 <= high

    assert covered / 500 >= 0.93


def test_corrected_rate_stays_within_0_and_1():
    result = rogan_gladen([1] * 5 + [0] * 5, [1] * 5 + [1] + [0] * 4, [0] * 50)

    assert result.estimate == 0
    assert 0 <= result.interval.low <= result.interval.high <= 1


CALLS = pytest.mark.parametrize("call", [ppi, rogan_gladen])


@CALLS
@pytest.mark.parametrize(
    ("human", "judge", "unlabelled", "message"),
    [
        ([], [], [1, 0], "is empty"),
        ([1, 0, 1], [1, 0], [1, 0], "3 labels and 2 verdicts"),
        ([1, math.inf], [1, 0], [1, 0], r"human\[1\] is inf"),
        ([1, 0], [1, 0], [1, math.inf], r"unlabelled\[1\] is inf"),
    ],
)
def test_samples_that_do_not_fit_are_refused(call, human, judge, unlabelled, message: str):
    with pytest.raises(ValueError, match=message):
        call(human, judge, unlabelled)


@CALLS
def test_missing_and_unreadable_values_are_typed_errors(call):
    with pytest.raises(MissingScoreError, match="failed verdict"):
        call([1, 0], [1, None], [1, 0])
    with pytest.raises(MissingScoreError, match="failed verdict"):
        call([1, 0], [1, 0], [math.nan, 0])
    with pytest.raises(MissingScoreError, match="leave the item out"):
        call([1, None], [1, 0], [1, 0])
    for hostile in ("10", ["1", "0"]):
        with pytest.raises(TypeError, match="text"):
            call([1, 0], hostile, [1, 0])
        with pytest.raises(TypeError, match="text"):
            call([1, 0], [1, 0], hostile)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ppi([1], [1], [1, 0]), "at least two"),
        (lambda: ppi([1, 0], [1, 0], [1, 0], lam=1.5), "lam is 1.5"),
        (lambda: ppi([1, 0], [1, 0], [1, 0], confidence=0), "confidence"),
        (lambda: rogan_gladen([1, 0], [1, 0], []), "unlabelled is empty"),
        (lambda: rogan_gladen([1, 0.5], [1, 0], [1, 0]), "human has the value 0.5"),
        (lambda: rogan_gladen([1, 1], [1, 0], [1, 0]), "labels in human are all equal"),
        (lambda: rogan_gladen([1, 0], [0, 1], [1, 0]), "no better than chance"),
        (lambda: rogan_gladen([1, 0], [1, 1], [1, 0]), "no better than chance"),
    ],
)
def test_settings_and_judges_out_of_range_are_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
