"""The control charts, on the data of the NIST handbook (6.3.2.3 and 6.3.2.4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from llmops_sdk.stats import CusumChart, EwmaChart

EWMA_DATA = [
    52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6,
    52.1,
]  # fmt: skip
EWMA = [
    50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92,
    50.73, 51.23, 51.94, 51.99,
]  # fmt: skip
CUSUM_DATA = [
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600, 324.625, 325.150, 328.325,
    327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
]  # fmt: skip


def test_ewma_chart_gives_the_figures_of_the_handbook():
    chart = EwmaChart(target=50, sigma=2.0539, weight=0.3)
    points = [chart.update(value) for value in EWMA_DATA]

    assert [point.average for point in points] == pytest.approx(EWMA, abs=0.0051)
    assert (chart.high, chart.low) == pytest.approx((52.5884, 47.4116), abs=5e-5)
    assert not any(point.signal for point in points)


def test_ewma_chart_signals_below_and_above():
    assert EwmaChart(target=0, sigma=1, weight=1).update(3.1).signal
    assert EwmaChart(target=0, sigma=1, weight=1).update(-3.1).signal
    assert not EwmaChart(target=0, sigma=1, weight=1).update(2.9).signal


def test_cusum_chart_gives_the_figures_of_the_handbook():
    chart = CusumChart(target=325, slack=0.3175, threshold=4.1959)
    points = [chart.update(value) for value in CUSUM_DATA]

    assert [points[number - 1].high for number in (13, 14, 15, 20)] == pytest.approx(
        [3.007, 4.940, 7.447, 19.035], abs=0.00051
    )
    assert [points[number - 1].low for number in (4, 8)] == pytest.approx([0.332, 0.715], abs=0.00051)
    assert [point.signal for point in points].index(True) + 1 == 14


def test_cusum_chart_signals_a_fall_as_a_rise():
    up, down = (CusumChart(target=0, slack=0.5, threshold=4) for _ in range(2))

    for value in (1.0, 2.5, 0.0, 3.0):
        rise, fall = up.update(value), down.update(-value)
        assert (rise.high, rise.signal) == (fall.low, fall.signal)
    assert rise.signal


@pytest.mark.parametrize(
    "make",
    [
        lambda: EwmaChart(math.nan, 1),
        lambda: EwmaChart(0, 0),
        lambda: EwmaChart(0, 1, weight=1.5),
        lambda: EwmaChart(0, 1, width=0),
        lambda: EwmaChart(0, 1).update(math.nan),
        lambda: CusumChart(math.inf, 1, 1),
        lambda: CusumChart(0, -1, 1),
        lambda: CusumChart(0, 1, 0),
        lambda: CusumChart(0, 1, 1).update(math.nan),
    ],
)
def test_charts_refuse_what_is_out_of_range(make: Callable[[], object]):
    with pytest.raises(ValueError, match="give "):
        make()
