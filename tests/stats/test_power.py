"""Sample sizes: published figures, inverse of each other, and the power that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.stats import minimum_detectable_effect, paired_difference, required_n

RATES = st.floats(0.05, 0.95)
CORRELATIONS = st.none() | st.floats(-0.5, 0.9)


def test_published_sample_sizes():
    # Two groups, 80 % against 70 %, alpha .05, power .8: the textbook's 291 a group (unpooled variances).
    assert required_n(-0.1, rate=0.8) == 291
    # Paired scores: (1.959964 + 0.841621)^2 / .5^2 = 31.4 for a difference of half a standard deviation.
    assert required_n(0.5, sd=1) == 32
    assert minimum_detectable_effect(32, sd=1) == pytest.approx(0.4953, abs=1e-4)


@given(RATES, CORRELATIONS, st.integers(30, 5_000))
def test_effect_and_sample_size_are_inverse(rate: float, rho: float | None, n: int):
    effect = minimum_detectable_effect(n, rate=rate, rho=rho)
    if effect < math.inf:
        signed = -effect if rate > 0.5 else effect
        assert required_n(signed, rate=rate, rho=rho) in {n, n + 1}


@given(RATES, st.floats(0, 0.9), st.integers(30, 1_000))
def test_more_items_and_pairs_show_smaller_effects(rate: float, rho: float, n: int):
    effect = minimum_detectable_effect(n, rate=rate, rho=rho)

    assert minimum_detectable_effect(2 * n, rate=rate, rho=rho) <= effect
    assert effect <= minimum_detectable_effect(n, rate=rate) + 1e-9
    assert minimum_detectable_effect(n, rate=rate, rho=rho, power=0.9) >= effect


def test_promised_power_is_kept():
    generator = np.random.default_rng(1)
    n = required_n(0.3, sd=1.0)
    found = sum(
        paired_difference(np.zeros(n), generator.normal(0.3, 1, size=n), method="t").p_value <= 0.05 for _ in range(500)
    )

    assert found / 500 == pytest.approx(0.8, abs=0.05)


def test_design_effect_multiplies_the_items():
    assert required_n(0.1, sd=1, design_effect=4) == pytest.approx(4 * required_n(0.1, sd=1), abs=4)
    assert minimum_detectable_effect(400, sd=1, design_effect=4) == pytest.approx(minimum_detectable_effect(100, sd=1))


def test_too_few_items_find_nothing():
    assert minimum_detectable_effect(3, rate=0.5, rho=-1) == math.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: minimum_detectable_effect(100), "either sd"),
        (lambda: minimum_detectable_effect(100, sd=1, rate=0.5), "either sd"),
        (lambda: minimum_detectable_effect(100, sd=1, rho=0.5), "rho is for rates"),
        (lambda: minimum_detectable_effect(1, sd=1), "n is 1"),
        (lambda: minimum_detectable_effect(100, sd=0), "sd is 0"),
        (lambda: minimum_detectable_effect(100, sd=math.inf), "sd is inf"),
        (lambda: minimum_detectable_effect(100, rate=1), "rate is 1"),
        (lambda: minimum_detectable_effect(100, rate=0.5, rho=2), "rho is 2"),
        (lambda: minimum_detectable_effect(100, sd=1, power=0.01), "power is 0.01"),
        (lambda: minimum_detectable_effect(100, sd=1, design_effect=0.5), "design_effect"),
        (lambda: required_n(0, sd=1), "effect is 0"),
        (lambda: required_n(math.nan, sd=1), "effect is nan"),
        (lambda: required_n(0.3, rate=0.8), "must be from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
