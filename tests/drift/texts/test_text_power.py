"""The power and the false alarms of `data_drift` on real questions, half of which no rule was designed on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from drift_windows import Windows, scenarios

from llmops_sdk.drift import data_drift

DATA = Path(os.environ.get("LLMOPS_BENCH_DATA", "no data")) / "semantic_cache"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="LLMOPS_BENCH_DATA has no data sets")


def _alarms(name: str, runs: int, first: int = 0) -> float:
    scenario = next(one for one in scenarios(Windows(DATA)) if one.name == name)
    found = [data_drift(*scenario.draw(first + seed), resamples=399).drifted for seed in range(runs)]
    return sum(found) / runs


def test_five_percent_of_foreign_questions_are_found_in_200():
    assert _alarms("5 % foreign; 1,000 and 200", 4) == 1.0


@pytest.mark.thorough
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    ("name", "least"),
    [("5 % foreign; 1,000 and 200", 0.9), ("20 % of new intents; 500 and 500", 0.9)],
)
def test_changes_are_found(name: str, least: float):
    assert _alarms(name, 40) >= least


@pytest.mark.thorough
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("name", ["nothing; 1,000 and 200", "nothing; 200 and 200"])
def test_nothing_is_found_where_nothing_changed(name: str):
    # 5 % of 100 are five; the bound is that of chance at one in a hundred.
    assert _alarms(name, 100) <= 0.10
