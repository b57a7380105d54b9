"""Student's t against scipy 1.17, copied as numbers, and its properties."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.stats import normal_quantile, student_quantile, student_tail

# scipy.stats.t.sf(value, degrees)
TAILS = [
    (0.3, 1, 0.4072264209222577),
    (1.96, 1, 0.15017144588801656),
    (40.0, 1, 0.007956089912025812),
    (0.3, 2.5, 0.39367118574759863),
    (8.0, 2.5, 0.0038283220655217234),
    (40.0, 2.5, 7.09781714524669e-05),
    (1.96, 9, 0.04082220273020832),
    (8.0, 9, 1.1067408404700078e-05),
    (40.0, 9, 9.491499224669911e-12),
    (1.96, 29, 0.029833897759795665),
    (40.0, 29, 3.173438664864671e-27),
    (0.3, 99, 0.3824030808701287),
    (8.0, 99, 1.2001519105284427e-12),
    (40.0, 99, 3.1925425801436255e-63),
    (1.96, 5_000, 0.025025626145909752),
    (8.0, 5_000, 7.669935943457742e-16),
    (0.3, 1e6, 0.3820886089894971),
    (1.96, 1e6, 0.024998033792634926),
]
# scipy.stats.t.ppf(share, degrees)
QUANTILES = [
    (0.6, 1, 0.32491969623290634),
    (0.975, 1, 12.706204736174694),
    (0.9999, 1, 3183.098757118502),
    (0.975, 2.5, 3.5746548420036817),
    (0.6, 9, 0.260955336473911),
    (0.975, 9, 2.262157162798205),
    (0.9999, 29, 4.253894118432321),
    (0.975, 99, 1.9842169515864174),
    (0.9999, 5_000, 3.721776168336806),
    (0.975, 1e6, 1.959966356814107),
]


@pytest.mark.parametrize(("value", "degrees", "expected"), TAILS)
def test_tail_equals_scipy(value: float, degrees: float, expected: float):
    assert student_tail(value, degrees) == pytest.approx(expected, rel=1e-9)
    assert student_tail(-value, degrees) == pytest.approx(1 - expected, rel=1e-12)


@pytest.mark.parametrize(("share", "degrees", "expected"), QUANTILES)
def test_quantile_equals_scipy(share: float, degrees: float, expected: float):
    assert student_quantile(share, degrees) == pytest.approx(expected, rel=1e-9)
    assert student_quantile(1 - share, degrees) == pytest.approx(-expected, rel=1e-9)


@given(st.floats(1e-9, 0.5), st.floats(0.5, 1e7))
def test_quantile_inverts_the_tail(share: float, degrees: float):
    assert student_tail(student_quantile(1 - share, degrees), degrees) == pytest.approx(1 - (1 - share), rel=1e-6)


@given(st.floats(0, 50), st.floats(0, 50), st.floats(0.5, 1e6))
def test_tail_falls(one: float, other: float, degrees: float):
    low, high = sorted((one, other))

    assert 0 <= student_tail(high, degrees) <= student_tail(low, degrees) <= 0.5


def test_many_degrees_of_freedom_are_the_normal_distribution():
    assert student_quantile(0.975, 1e12) == normal_quantile(0.975)
    assert student_quantile(0.5, 3) == 0
    assert student_tail(1.5, 1e12) == pytest.approx(math.erfc(1.5 / math.sqrt(2)) / 2)


@pytest.mark.parametrize("call", [student_tail, student_quantile])
@pytest.mark.parametrize("degrees", [0, -1, math.nan, math.inf])
def test_degrees_out_of_range_are_refused(call, degrees: float):
    with pytest.raises(ValueError, match="degrees"):
        call(0.4, degrees)
