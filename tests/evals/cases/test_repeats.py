"""A verdict over repeats: what flickers is undecided, and what is stable is paid for once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import ConfigError
from llmops_sdk.evals.cases._repeats import CaseRun, CaseVerdict, checked_repeats, repeat_case


def _verdict(values: Sequence[float], *, repeats: int = 3, known: bool | None = None) -> CaseVerdict:
    def run(number: int) -> CaseRun:
        value = values[number]
        reason = "" if value >= 0.6 else f"score {value} is below 0.6"
        return CaseRun(passed=value >= 0.6, values={"score": value}, reason=reason)

    return repeat_case(run, repeats=repeats, known=known)


def test_scores_on_both_sides_of_the_threshold_are_undecided() -> None:
    verdict = _verdict([0.62, 0.58, 0.61])
    assert (verdict.outcome, verdict.pass_rate, len(verdict.runs)) == ("undecided", pytest.approx(2 / 3), 3)
    assert (round(verdict.interval.low, 2), round(verdict.interval.high, 2)) == (0.21, 0.94)
    assert verdict.summary == "2 of 3 runs passed (0.21 to 0.94). score 0.62, 0.58, 0.61. score 0.58 is below 0.6"


@pytest.mark.parametrize(
    ("values", "known", "outcome", "runs"),
    [
        ([0.9], True, "pass", 1),
        ([0.1], False, "fail", 1),
        ([0.9, 0.9], None, "pass", 2),
        ([0.1, 0.1], None, "fail", 2),
        ([0.1, 0.1, 0.1], True, "fail", 3),
        ([0.1, 0.9, 0.9], True, "undecided", 3),
        ([0.9, 0.9, 0.9], False, "pass", 3),
        ([0.9, 0.1, 0.9], None, "undecided", 3),
    ],
)
def test_only_what_is_not_clear_is_run_again(values: list[float], known: bool | None, outcome: str, runs: int) -> None:
    verdict = _verdict(values, known=known)
    assert (verdict.outcome, len(verdict.runs)) == (outcome, runs)


def test_one_repeat_is_one_run() -> None:
    assert (_verdict([0.9], repeats=1).outcome, _verdict([0.1], repeats=1, known=True).outcome) == ("pass", "fail")


@given(st.lists(st.floats(0, 1), min_size=10, max_size=10), st.integers(1, 10), st.sampled_from([None, True, False]))
def test_all_runs_agree_or_all_repeats_ran(values: list[float], repeats: int, known: bool | None) -> None:
    verdict = _verdict(values, repeats=repeats, known=known)
    assert 1 <= len(verdict.runs) <= repeats
    if verdict.outcome == "undecided":
        assert len(verdict.runs) == repeats
    else:
        assert {run.passed for run in verdict.runs} == {verdict.outcome == "pass"}


@pytest.mark.parametrize("repeats", [0, -1, 1001])
def test_repeats_are_bounded(repeats: int) -> None:
    with pytest.raises(ConfigError, match="from 1 to 1000"):
        checked_repeats(repeats)
