"""Holm and Benjamini-Hochberg."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.stats import benjamini_hochberg, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("adjust", "expected"),  # statsmodels 0.15: multipletests
    [
        (holm, [0.048, 0.03, 0.048, 0.03, 0.6, 0.6]),
        (benjamini_hochberg, [0.01875, 0.015, 0.01875, 0.015, 0.36, 0.6]),
    ],
)
def test_adjusted_p_values_of_an_example(adjust: Callable[[list[float]], list[float]], expected: list[float]):
    assert adjust([0.012, 0.005, 0.0125, 0.005, 0.3, 0.6]) == pytest.approx(expected)


@given(P_VALUES)
def test_adjusted_p_values_grow_and_keep_the_order_of_the_tests(p_values: list[float]):
    screened, gated = benjamini_hochberg(p_values), holm(p_values)

    assert all(p <= q <= r <= 1 for p, q, r in zip(p_values, screened, gated, strict=True))
    ranks = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [screened[rank] for rank in ranks] == sorted(screened)
    assert [gated[rank] for rank in ranks] == sorted(gated)


@given(P_VALUES, st.floats(0.001, 0.5))
def test_holm_rejects_step_by_step(p_values: list[float], alpha: float):
    rejected = 0
    for p in sorted(p_values):
        if p * (len(p_values) - rejected) > alpha:
            break
        rejected += 1

    assert sum(p <= alpha for p in holm(p_values)) == rejected


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p_values", [[], [0.5, float("nan")], [1.5], [-0.1]])
def test_what_is_no_p_value_is_refused(adjust: Callable[[list[float]], list[float]], p_values: list[float]):
    with pytest.raises(ValueError, match="p_values"):
        adjust(p_values)
