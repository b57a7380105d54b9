"""The state of limits and budgets in this process."""

from __future__ import annotations

import pytest
from state_contract import StateContract

from llmops_sdk.shared._local import LocalState, _Sum
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


def test_a_sum_in_use_outlives_any_number_of_others(monkeypatch):
    monkeypatch.setattr("llmops_sdk.shared._local._MOST_KEYS", 100)
    state, everybody = LocalState(ManualClock()), Tally("all", 1.0, 1_000.0, 60.0)
    for number in range(1_000):
        assert state.reserve([everybody, Tally(f"user {number}", 1.0, 5.0, 60.0)]).refused is None
    grant = state.reserve([everybody])
    assert (grant.refused, grant.sums) == (0, (1_000.0,))
    assert len(state._sums) <= 100


def test_a_new_key_costs_no_look_at_all_others(monkeypatch):
    monkeypatch.setattr("llmops_sdk.shared._local._MOST_KEYS", 160)
    looked = 0

    class Counted(_Sum):
        def __getattribute__(self, name):
            nonlocal looked
            looked += name == "until"
            return super().__getattribute__(name)

    monkeypatch.setattr("llmops_sdk.shared._local._Sum", Counted)
    state = LocalState(ManualClock())
    for number in range(1_600):
        state.reserve([Tally(f"user {number}", 1.0, 5.0, 60.0)])
    assert looked <= 1_600 * 20
