"""Rates: the binomial tail, McNemar's test and Wilson's interval, against exact sums and published figures."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.stats import binomial_tail, mcnemar, normal_quantile, wilson_interval


@pytest.mark.parametrize(
    ("events", "trials", "rate", "expected"),
    [
        (1, 1, 0.01, "1.00e-02"),
        (1, 10, 0.01, "9.56e-02"),
        (2, 10, 0.01, "4.27e-03"),
        (3, 10, 0.01, "1.14e-04"),
        (2, 20, 0.01, "1.69e-02"),
        (3, 100, 0.001, "1.50e-04"),
        (5, 5, 0.1, "1.00e-05"),
        (5, 50, 0.05, "1.04e-01"),
        (4, 20, 0.05, "1.59e-02"),
    ],
)
def test_binomial_tail_gives_the_published_figures(events: int, trials: int, rate: float, expected: str):
    assert f"{binomial_tail(events, trials, rate):.2e}" == expected


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 64))
def test_binomial_tail_equals_the_sum_of_fractions(events: int, trials: int, sixty_fourths: int):
    rate = Fraction(sixty_fourths, 64)
    terms = (comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(events, trials + 1))

    assert binomial_tail(events, trials, float(rate)) == pytest.approx(float(sum(terms)), rel=1e-11)


@pytest.mark.parametrize(
    ("events", "trials", "rate", "expected"),  # scipy 1.17.1: binom.sf(events - 1, trials, rate)
    [
        (2188, 729_534, 0.00218107344659725, 8.287947742763166e-46),
        (139, 9_699_807, 2.060474997458948e-06, 1.6037840723193678e-67),
        (500_050_000, 1_000_000_000, 0.5, 0.0007827859877835745),
    ],
)
def test_binomial_tail_is_exact_for_many_trials(events: int, trials: int, rate: float, expected: float):
    assert binomial_tail(events, trials, rate) == pytest.approx(expected, rel=1e-6)


def test_binomial_tail_is_1_for_no_events_and_underflows_to_0():
    assert binomial_tail(0, 0, 0.5) == binomial_tail(0, 10, 0.0) == binomial_tail(10, 10, 1.0) == 1
    assert binomial_tail(11, 10, 0.5) == binomial_tail(1, 10, 0.0) == binomial_tail(1_000, 1_000, 1e-9) == 0


@pytest.mark.parametrize(
    ("gained", "lost", "expected"),
    [(139, 477, 2.812962599908218e-44), (404, 242, 1.9254641516850913e-10), (0, 0, 1), (3, 3, 1), (0, 5, 0.0625)],
)
def test_mcnemar_gives_the_published_figures(gained: int, lost: int, expected: float):
    assert mcnemar(gained, lost) == mcnemar(lost, gained) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("events", "low", "high"),
    [
        (840, 0.8159830663133126, 0.8614147379165099),
        (502, 0.471062193348407, 0.5329224996176507),
        (518, 0.4870206913634485, 0.5488415453310715),
        (680, 0.6504463759266418, 0.7081759910185584),
    ],
)
def test_wilson_interval_gives_the_published_figures(events: int, low: float, high: float):
    assert wilson_interval(events, 1000) == pytest.approx((low, high), abs=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 10_000), st.floats(0.01, 0.999))
def test_wilson_interval_contains_the_rate_and_mirrors(events: int, more: int, confidence: float):
    trials = events + more
    low, high = wilson_interval(events, trials, confidence=confidence)
    mirrored = wilson_interval(more, trials, confidence=confidence)

    assert 0 <= low <= events / trials <= high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((low, high), abs=1e-12)


def test_one_sided_wilson_interval_is_one_end_of_a_wider_one():
    both = wilson_interval(7, 90, confidence=0.90)

    assert wilson_interval(7, 90, confidence=0.95, side="lower") == pytest.approx((both.low, 1))
    assert wilson_interval(7, 90, confidence=0.95, side="upper") == pytest.approx((0, both.high))


def test_wilson_interval_without_information_is_everything():
    assert wilson_interval(0, 0) == wilson_interval(0, 0, side="lower") == (0, 1)
    assert wilson_interval(0, 20).low == 0
    assert wilson_interval(20, 20).high == 1


def test_normal_quantile():
    assert normal_quantile(0.975) == pytest.approx(1.959963984540054, abs=1e-12)


@pytest.mark.parametrize(
    ("events", "trials"), [(-1, 5), (6, 5), (float("nan"), 5), (1, float("nan")), (1, float("inf"))]
)
def test_wilson_interval_refuses_impossible_counts(events: float, trials: float):
    with pytest.raises(ValueError, match="give"):
        wilson_interval(events, trials)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"confidence is 95\.0: give a number above 0 and below 1"):
        wilson_interval(1, 5, confidence=95)
    with pytest.raises(ValueError, match='give "both", "lower" or "upper"'):
        wilson_interval(1, 5, side="two")
    with pytest.raises(ValueError, match="rate is nan: give a number from 0 to 1"):
        binomial_tail(1, 5, float("nan"))
    with pytest.raises(ValueError, match="events is -1"):
        binomial_tail(-1, 5, 0.1)
    with pytest.raises(TypeError):
        mcnemar(1.5, 2)
