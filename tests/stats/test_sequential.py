"""The e-process of a rate: published figures, the martingale, and its promise under many looks."""

from __future__ import annotations

import math
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.stats import RateEProcess, log_rate_e_value


@pytest.mark.parametrize(
    ("events", "trials", "expected"),
    [(1, 1, 50.5), (2, 2, 3_367), (3, 3, 252_525.25), (2, 10, 22.1111111), (3, 10, 821)],
)
def test_e_value_gives_the_published_figures(events: int, trials: int, expected: float):
    assert math.exp(log_rate_e_value(events, trials, null_rate=0.01)) == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.floats(0.001, 0.999))
def test_e_value_is_a_martingale_at_the_null_rate(events: int, others: int, null_rate: float):
    trials = events + others
    now = log_rate_e_value(events, trials, null_rate=null_rate)
    hit = log_rate_e_value(events + 1, trials + 1, null_rate=null_rate) - now
    miss = log_rate_e_value(events, trials + 1, null_rate=null_rate) - now

    assert miss <= 0
    assert null_rate * math.exp(hit) + (1 - null_rate) * math.exp(miss) == pytest.approx(1, rel=1e-8)


def test_e_value_of_many_trials_stays_finite_in_log_space():
    process = RateEProcess(null_rate=0.01, events=5_000, trials=5_000)

    assert process.log_e == pytest.approx(5_000 * math.log(100) - math.log(5_001) - math.log(0.99), rel=1e-9)
    assert process.e_value == math.inf
    assert process.p_value == 0
    assert RateEProcess(null_rate=0.5, trials=1_000_000).log_e == pytest.approx(-math.log(1_000_001), rel=1e-9)


def test_process_remembers_its_peak_and_continues_from_stored_numbers():
    process = RateEProcess(null_rate=0.01)
    assert process.e_value == pytest.approx(1)
    for event in (1, 1, 0, 0, 0, 0, 0, 0, 0, 0):
        process.update(event)

    restored = RateEProcess(0.01, process.events, process.trials, process.peak_log_e)

    assert process.e_value == pytest.approx(22.1111111)
    assert process.p_value == pytest.approx(1 / 3_367)
    assert restored == process
    assert restored.update(3, 100) == RateEProcess(0.01, 5, 110).log_e


def first_alarm(random: Random, rate: float, events: int, alpha: float, null_rate: float) -> int | None:
    """The trial at which the process stops, looked at after each: it only rises with an event."""
    process, trial = RateEProcess(null_rate), 0
    while True:
        gap = 1 + int(math.log(1 - random.random()) / math.log1p(-rate))
        trial += gap
        if trial > events:
            return None
        if process.update(1, gap) >= math.log(1 / alpha):
            return trial


def test_false_alarms_stay_below_alpha_however_often_one_looks():
    random = Random(5)
    alarms = [first_alarm(random, 0.05, 1_000, 0.05, null_rate=0.05) for _ in range(400)]

    assert sum(alarm is not None for alarm in alarms) <= 0.05 * 400


def test_tenfold_errors_are_found_within_a_hundred_trials():
    random = Random(6)
    delays = [first_alarm(random, 0.10, 20_000, 1e-3, null_rate=0.01) or math.inf for _ in range(301)]

    assert median(delays) <= 70  # published: 60
    assert max(delays) < math.inf


@pytest.mark.parametrize("null_rate", [0, 1, math.nan])
def test_null_rate_out_of_range_is_refused(null_rate: float):
    with pytest.raises(ValueError, match="null_rate"):
        RateEProcess(null_rate)


def test_impossible_counts_are_refused():
    for events, trials in ((2, 1), (-1, 1), (0, -1)):
        with pytest.raises(ValueError, match="give"):
            log_rate_e_value(events, trials, null_rate=0.1)
        with pytest.raises(ValueError, match="give"):
            RateEProcess(0.1, events=5, trials=10).update(events, trials)
