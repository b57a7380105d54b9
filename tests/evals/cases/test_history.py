"""The history of outcomes: what is stable is known, and what has flickered is believed late."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.evals.cases._history import STABLE_RUNS, CaseHistory


def test_a_stable_case_is_known_after_one_execution():
    history = CaseHistory()
    assert history.known("t") is None
    history.note("t", "pass", 2)
    assert (history.known("t"), history.is_flaky("t")) == (True, False)
    history.note("t", "fail", 3)
    assert (history.known("t"), history.runs_in_a_row("t")) == (False, 3)


def test_a_flaky_case_is_known_again_only_after_many_runs_that_agree():
    history = CaseHistory()
    history.note("t", "undecided", 3)
    assert (history.known("t"), history.is_flaky("t"), history.runs_in_a_row("t")) == (None, True, 0)
    for runs in (3, 6, 9):
        history.note("t", "pass", 3)
        assert (history.known("t"), history.is_flaky("t"), history.runs_in_a_row("t")) == (None, True, runs)
    history.note("t", "pass", 3)
    assert (history.known("t"), history.is_flaky("t"), history.runs_in_a_row("t")) == (True, False, 12)
    assert STABLE_RUNS <= 12


@pytest.mark.parametrize(
    "stored",
    [None, [], "x", {"t": 1}, {"t": {}}, {"t": {"outcome": "pass", "runs": -1, "flaky": False}},
     {"t": {"outcome": "x", "runs": 1, "flaky": False}}, {"t": {"outcome": "pass", "runs": 1, "flaky": "no"}}],
)  # fmt: skip
def test_a_cache_that_is_no_history_counts_as_none(stored):
    assert CaseHistory(stored).known("t") is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["pass", "fail", "undecided"]), st.integers(1, 5))))
def test_it_survives_the_cache(notes):
    history = CaseHistory()
    for note in notes:
        history.note(*note)
    again = CaseHistory(json.loads(json.dumps(history.to_dict())))
    assert again.to_dict() == history.to_dict()
