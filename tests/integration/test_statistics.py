"""The guarantee of the e-process over long streams: too many trials for the fast suite."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest

from llmops_sdk.stats import RateEProcess

pytestmark = pytest.mark.integration

RUNS = 3_000


def first_alarms(rate: float, trials: int) -> list[float]:
    """Return the trial at which each run reaches an e-value of 1,000, checked after each event, or infinity."""
    generator = np.random.default_rng(11)
    alarms: list[float] = []
    for _ in range(RUNS):
        process, seen, stopped = RateEProcess(null_rate=0.01), 0, math.inf
        for trial in np.flatnonzero(generator.random(trials) < rate) + 1:
            if process.update(1, int(trial) - seen) >= math.log(1_000):
                stopped = float(trial)
                break
            seen = int(trial)
        alarms.append(stopped)
    return alarms


def test_at_most_one_stream_in_a_thousand_alarms_at_the_null_rate():
    ever = sum(alarm < math.inf for alarm in first_alarms(0.01, 20_000))

    assert ever <= 0.001 * RUNS


def test_tenfold_errors_alarm_after_about_sixty_trials():
    assert median(first_alarms(0.10, 2_000)) == pytest.approx(60, abs=6)
