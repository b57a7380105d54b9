"""The state of limits and budgets in this process."""

from __future__ import annotations

import pytest
from state_contract import StateContract

from llmops_sdk.shared._local import LocalState
from llmops_sdk.shared._state import Bucket, Slots, Tally
from llmops_sdk.testing import ManualClock


class TestLocalState(StateContract):
    @pytest.fixture
    def state(self):
        return LocalState()

    @pytest.fixture
    def other(self, state):
        return state


def test_a_bucket_fills_with_time():
    clock = ManualClock()
    state, bucket = LocalState(clock), Bucket("k", 4.0, 0.5, 10.0)
    assert [state.claim(name, [bucket]).wait for name in "abc"] == [None, None, pytest.approx(4.0)]
    clock.advance(4.0)
    assert state.claim("c", [bucket]).refused is None
    clock.advance(1_000.0)
    assert [state.claim(name, [bucket]).wait for name in "abc"] == [None, None, pytest.approx(4.0)], (
        "not above capacity"
    )


def test_a_sum_begins_anew_when_its_time_is_over():
    clock = ManualClock()
    state, tally = LocalState(clock), Tally("k", 6.0, 10.0, 60.0)
    assert [state.reserve([tally]).refused for _ in range(2)] == [None, 0]
    clock.advance(60.0)
    assert state.reserve([tally]).sums == (6.0,)


def test_keys_are_bounded(monkeypatch):
    monkeypatch.setattr("llmops_sdk.shared._local._MOST_KEYS", 100)
    clock = ManualClock()
    state = LocalState(clock)
    for number in range(1_000):
        clock.advance(1.0)
        state.reserve([Tally(f"sum {number}", 1.0, None, 50.0)])
        state.claim("a", [Bucket(f"bucket {number}", 1.0, 1.0, 5.0)])
        state.pause(f"pause {number}", 50.0)
        state.claim("a", [Slots(f"slots {number}", 1)])
        state.release("a", [Slots(f"slots {number}", 1)])
    assert all(len(table) <= 101 for table in (state._sums, state._levels, state._pauses))
    assert not state._holders
    assert state.reserve([Tally("sum 999", 1.0, None, 50.0)]).sums == (2.0,), "what is in use stays"
