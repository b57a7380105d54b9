"""The bound on wrong answers among hits: pure decisions from counts of labels."""

from __future__ import annotations

import random

import pytest
from thorough_cases import thorough

from llmops_sdk.caching.semantic._bound import THRESHOLDS, ErrorBound, JudgeError
from llmops_sdk.caching.semantic._drift import CHANGED, audit_share
from llmops_sdk.errors import ConfigError


def fed(bound: ErrorBound, *, right: int, wrong: int, score: float = 0.9) -> ErrorBound:
    for number in range(right + wrong):
        bound.observe(score, right=number >= wrong)
    return bound


def test_nothing_is_served_without_labels() -> None:
    bound = ErrorBound(0.02)
    assert bound.threshold is None
    assert not bound.serves(1.0)


def test_right_labels_certify_their_scores_and_higher_ones_only() -> None:
    bound = fed(ErrorBound(0.02), right=700, wrong=0, score=0.9)
    # The lowest threshold whose labels are these: no label says anything about lower scores.
    assert bound.threshold == THRESHOLDS[0]
    mixed = fed(bound, right=0, wrong=40, score=0.55)
    assert mixed.threshold == 0.6
    assert not mixed.serves(0.55)
    assert mixed.serves(0.97)


@pytest.mark.parametrize("wrong", [15, 60])
def test_scores_with_too_many_wrong_answers_are_not_certified(wrong: int) -> None:
    assert fed(ErrorBound(0.02), right=1_000 - wrong, wrong=wrong).threshold is None


def test_few_labels_are_no_evidence() -> None:
    assert fed(ErrorBound(0.02), right=200, wrong=0).threshold is None
    assert fed(ErrorBound(0.2), right=200, wrong=0).threshold is not None


@pytest.mark.thorough
def test_wrong_audits_end_the_certificate_and_raise_what_the_next_needs() -> None:
    bound = fed(ErrorBound(0.02), right=700, wrong=0)
    assert bound.serves(0.9)
    audits = 0
    while bound.counts.epoch == 0:
        bound.observe(0.9, right=False, served=True)
        audits += 1
    assert 2 <= audits <= 5
    assert bound.threshold is None
    assert bound.counts.epoch == 1
    assert sum(bound.counts.right) == 0
    needed = next(n for n in range(3_000) if fed(ErrorBound(0.02), right=n, wrong=0).threshold)
    assert fed(bound, right=needed, wrong=0).threshold is None
    assert fed(bound, right=needed, wrong=0).threshold is not None


def learned() -> ErrorBound:
    """Return a bound that serves scores from .96 on, and knows how often lower ones are wrong."""
    bound = ErrorBound(0.02)
    for number in range(900):
        bound.observe(0.8, right=number % 10 > 0)
        bound.observe(0.99, right=True)
    assert bound.threshold is not None
    return bound


def test_misses_that_turn_wrong_stop_serving_before_any_hit_is_audited() -> None:
    bound = learned()
    labels = 0
    while bound.threshold is not None:
        bound.observe(0.8, right=labels % 2 == 0)
        labels += 1
    assert labels <= 20
    assert bound.is_paused_for(0.99)
    assert not bound.is_paused_for(0.8)
    assert bound.counts.epoch == 0


def test_serving_goes_on_when_the_answers_are_as_right_as_before() -> None:
    bound = learned()
    for number in range(30):
        bound.observe(0.8, right=number % 2 == 0)
    assert bound.threshold is None
    for number in range(80):
        bound.observe(0.8, right=number % 10 > 0)
        bound.observe(0.99, right=True)
    assert bound.threshold is not None


def test_wrong_answers_of_certified_scores_discard_the_labels_while_serving_rests() -> None:
    bound = learned()
    for number in range(60):
        bound.observe(0.8, right=number % 2 == 0)
        bound.observe(0.99, right=number % 5 > 0)
    assert bound.counts.epoch == 1
    assert bound.threshold is None


def test_labels_without_a_change_seldom_stop_serving() -> None:
    bound, chance, rested = learned(), random.Random(1), 0
    for _ in range(2_000):
        bound.observe(0.8, right=chance.random() >= 0.1)
        rested += bound.threshold is None
    assert rested < 100
    assert bound.counts.epoch == 0


@pytest.mark.parametrize(
    ("share", "evidence", "audited"),
    [(0.02, 0.0, 0.02), (0.02, CHANGED / 2, 0.02**0.5), (0.02, 99.0, 0.5), (0.8, 99.0, 0.8), (0.0, 99.0, 0.0)],
)
def test_more_hits_are_audited_the_more_a_change_is_likely(share: float, evidence: float, audited: float) -> None:
    assert audit_share(share, evidence) == pytest.approx(audited)


@pytest.mark.thorough
def test_judge_that_calls_wrong_answers_right_needs_more_evidence() -> None:
    strict = JudgeError(false_right=0.5)
    needed = next(n for n in range(3_000) if fed(ErrorBound(0.02), right=n, wrong=0).threshold)
    assert fed(ErrorBound(0.02, judge_error=strict), right=needed, wrong=0).threshold is None
    assert fed(ErrorBound(0.02, judge_error=strict), right=3 * needed, wrong=0).threshold is not None


def test_judge_of_unknown_noise_leads_to_refusal_and_known_noise_to_a_certificate() -> None:
    # Every answer is right, and the judge calls a tenth of them wrong.
    labels = {"right": 9_000, "wrong": 1_000}
    assert fed(ErrorBound(0.05), **labels).threshold is None
    assert fed(ErrorBound(0.05, judge_error=JudgeError(false_wrong=0.1)), **labels).threshold is not None


@pytest.mark.parametrize("noise", [thorough(0.0), 0.05, thorough(0.1)])
def test_hits_stay_within_the_bound_in_nearly_all_streams(noise: float) -> None:
    """At most one stream in twenty may exceed the bound; here the scores say little about the truth."""
    judge = JudgeError(false_right=noise, false_wrong=noise)
    exceeded = measured = 0
    for seed in range(20):
        chance = random.Random(seed)
        bound = ErrorBound(0.1, judge_error=judge)
        worst = chance.uniform(0.05, 0.6)
        hits = wrong = 0
        for _ in range(1_500):
            score = chance.random()
            is_wrong = chance.random() < worst * (1 - score) ** 2
            label = is_wrong ^ (chance.random() < noise)
            if bound.serves(score):
                hits, wrong = hits + 1, wrong + is_wrong
                if chance.random() < 0.05:
                    bound.observe(score, right=not label, served=True)
            else:
                bound.observe(score, right=not label)
        if hits >= 200:
            measured += 1
            exceeded += wrong / hits > 0.1
    assert measured >= 2
    assert exceeded <= 1


@pytest.mark.parametrize("given", [{"max_error": 0.0}, {"max_error": 0.5}, {"max_error": 0.01, "confidence": 1.0}])
def test_numbers_out_of_range_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="give a share"):
        ErrorBound(**given)


def test_judge_error_from_a_sample_holds_limits_not_estimates() -> None:
    error = JudgeError.measured(wrong_called_right=6, wrong=200, right_called_wrong=9, right=300)
    assert error.false_right > 6 / 200
    assert error.false_wrong < 9 / 300 < (error.false_wrong_high or 0)
    with pytest.raises(ConfigError, match="says nothing"):
        JudgeError(false_right=0.6, false_wrong=0.5)


@pytest.mark.parametrize(
    "given",
    [
        {"false_right": "x"},
        {"false_right": float("nan")},
        {"false_wrong": None},
        {"false_wrong": 0.2, "false_wrong_high": 0.1},
    ],
)
def test_judge_error_that_is_no_share_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="give"):
        JudgeError(**given)


def test_judge_error_needs_answers_of_both_kinds() -> None:
    with pytest.raises(ConfigError, match="right and wrong answers"):
        JudgeError.measured(wrong_called_right=0, wrong=0, right_called_wrong=0, right=10)
