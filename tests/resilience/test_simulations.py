"""The simulations of the benchmarks, which drive the real policies on a virtual clock, hold what they promise."""

from __future__ import annotations

import pytest
import traffic_scenarios
from traffic_scenarios import SCENARIOS, Outcome

SHORT = [one for one in SCENARIOS if one.__name__ != "million"]


def missed(outcome: Outcome) -> list[str]:
    return [f"{check.what}: {check.value}, must be {check.bound}" for check in outcome.checks if not check.ok]


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.__name__)
def test_a_scenario_holds_its_bounds(scenario):
    outcome = scenario()
    assert any(check.bound for check in outcome.checks)
    assert missed(outcome) == []


def test_many_calls_end_and_leave_nothing_behind():
    outcome = traffic_scenarios.million(20_000)
    figures = {check.what: check.value for check in outcome.checks}
    assert figures["ends"] == f"ok {figures['calls']}"
