"""What each kind of shared state must do, against a model; the fast tests run it in process, others on servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_backends import eventually

from llmops_sdk.shared._state import Bucket, Slots, Tally

__all__ = ["StateContract"]

_numbers = count()
_SLOW = 1e-6
"""A rate at which nothing comes back during a test."""


def key(name: str = "k") -> str:
    """Return a key that no other test uses."""
    return f"{name} {next(_numbers)} é\U0001f600"


class StateContract:
    """Tests of a `SharedState`. The fixture `state` gives one, `other` another one that shares its server."""

    examples = 100

    def test_slots_are_granted_up_to_the_limit_and_come_back(self, state, other):
        slots = Slots(key(), 2)
        assert [state.claim("a", [slots]).refused, other.claim("b", [slots]).refused] == [None, None]
        refused = state.claim("c", [slots])
        assert (refused.refused, refused.wait) == (slots.key, None)
        assert state.claim("a", [slots]).refused is None, "a holder keeps its slot"
        other.release("b", [slots])
        other.release("b", [slots])
        assert state.claim("c", [slots]).refused is None
        assert other.claim("d", [slots]).refused == slots.key

    def test_a_bucket_empties_and_says_how_long_to_wait(self, state, other):
        bucket = Bucket(key(), amount=4.0, rate=0.5, capacity=10.0)
        assert [state.claim("a", [bucket]).refused, other.claim("b", [bucket]).refused] == [None, None]
        grant = state.claim("c", [bucket])
        assert grant.refused == bucket.key
        assert 3.0 < grant.wait <= 4.0  # 2 are missing, less what has come back meanwhile

    def test_an_amount_above_the_capacity_takes_it_all(self, state, other):
        bucket = Bucket(key(), amount=100.0, rate=_SLOW, capacity=10.0)
        assert state.claim("a", [bucket]).refused is None
        assert other.claim("b", [Bucket(bucket.key, 1.0, _SLOW, 10.0)]).refused == bucket.key

    def test_claims_are_granted_all_or_none(self, state, other):
        slots, bucket = Slots(key(), 1), Bucket(key(), 6.0, _SLOW, 10.0)
        assert state.claim("a", [slots, bucket]).refused is None
        assert other.claim("b", [Slots(key(), 1), bucket]).refused == bucket.key
        state.release("a", [slots, bucket])
        assert state.claim("b", [Slots(slots.key, 1), bucket]).refused == bucket.key
        assert state.claim("c", [slots]).refused is None, "the claim that was refused took no slot"
        small = Bucket(bucket.key, 4.0, _SLOW, 10.0)
        assert state.claim("d", [Slots(slots.key, 1), small]).refused == slots.key
        assert state.claim("e", [small]).refused is None, "the claim that was refused took no token"

    def test_a_refund_corrects_a_bucket_in_both_directions(self, state, other):
        bucket = Bucket(key(), 8.0, _SLOW, 10.0)
        assert state.claim("a", [bucket]).refused is None
        state.release("a", [], refund=[Bucket(bucket.key, 6.0, _SLOW, 10.0)])
        assert other.claim("b", [bucket]).refused is None
        state.release("b", [], refund=[Bucket(bucket.key, -20.0, _SLOW, 10.0)])
        state.release("b", [], refund=[Bucket(bucket.key, 5.0, _SLOW, 10.0)])
        assert other.claim("c", [Bucket(bucket.key, 1.0, _SLOW, 10.0)]).refused == bucket.key, "it is below zero"
        state.release("b", [], refund=[Bucket(bucket.key, 1e9, _SLOW, 10.0)])
        assert other.claim("c", [Bucket(bucket.key, 10.0, _SLOW, 10.0)]).refused is None
        assert other.claim("d", [Bucket(bucket.key, 1.0, _SLOW, 10.0)]).refused == bucket.key, (
            "never above its capacity"
        )

    def test_a_drained_bucket_stays_empty_for_its_time(self, state, other):
        bucket = Bucket(key(), 1.0, 1000.0, 10.0)
        state.drain(bucket.key, 0.0, 50.0)
        grant = other.claim("a", [bucket])
        assert grant.refused == bucket.key
        assert 40.0 < grant.wait <= 50.1
        state.release("a", [], refund=[Bucket(bucket.key, 5.0, 1000.0, 10.0)])
        assert other.claim("a", [bucket]).refused == bucket.key

    def test_a_drained_bucket_still_has_what_the_server_left(self, state, other):
        bucket = Bucket(key(), 1.0, _SLOW, 10.0)
        state.drain(bucket.key, 2.0, 50.0)
        assert [other.claim(name, [bucket]).refused for name in "abc"] == [None, None, bucket.key]

    def test_the_longest_pause_counts(self, state, other):
        name = key()
        assert state.paused(name) == 0.0
        state.pause(name, 90.0)
        other.pause(name, 30.0)
        assert 60.0 < other.paused(name) <= 90.0
        state.pause(name, 300.0)
        assert 200.0 < other.paused(name) <= 300.0

    def test_a_pause_ends(self, state, other):
        name = key()
        state.pause(name, 0.05)
        eventually(lambda: other.paused(name), lambda left: left == 0.0, "the end of the pause")

    def test_sums_are_reserved_all_or_none_and_settled(self, state, other):
        day, hour = Tally(key(), 3.0, 10.0, 600.0), Tally(key(), 3.0, 5.0, 600.0)
        assert state.reserve([day, hour]).sums == (3.0, 3.0)
        grant = other.reserve([day, hour])
        assert (grant.refused, grant.sums) == (1, (3.0, 3.0))
        state.settle([day, hour], [1.5, 2.0])
        assert other.reserve([day, hour]).sums == (4.5, 5.0)
        other.settle([day, hour], [3.0, 3.0])
        assert state.reserve([Tally(day.key, 0.0, None, 600.0)]).sums == (4.5,)

    def test_a_new_sum_begins_at_its_start(self, state, other):
        tally = Tally(key(), 1.0, 10.0, 600.0, start=9.5)
        grant = state.reserve([tally])
        assert (grant.refused, grant.sums) == (0, (9.5,))
        assert other.reserve([Tally(tally.key, 0.5, 10.0, 600.0, start=9.5)]).sums == (10.0,)
        assert state.reserve([Tally(tally.key, 0.0, None, 600.0, start=3.0)]).sums == (10.0,)

    def test_a_soft_sum_has_no_limit(self, state, other):
        tally = Tally(key(), 7.0, None, 600.0)
        assert [one.reserve([tally]).sums for one in (state, other)] == [(7.0,), (14.0,)]

    def test_many_threads_get_no_more_than_the_limit(self, state, other):
        slots, tally = Slots(key(), 5), Tally(key(), 1.0, 12.0, 600.0)
        granted: list[int] = [0, 0]
        lock, begin = threading.Lock(), threading.Barrier(8)

        def work(number: int) -> None:
            one = (state, other)[number % 2]
            begin.wait(60)
            for turn in range(6):
                got = one.claim(f"{number} {turn}", [slots]).refused is None
                spent = one.reserve([tally]).refused is None
                with lock:
                    granted[0] += got
                    granted[1] += spent

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert granted == [5, 12]

    @pytest.mark.parametrize("name", ["x" * 5_000, "", "a\x00b", "half \ud83d", "new\nline", "{other} *?[a]"])
    def test_keys_are_any_text(self, state, other, name):
        name += key()
        assert state.claim("a", [Slots(name, 1)]).refused is None
        assert other.claim("b", [Slots(name, 1)]).refused == name
        state.pause(name, 50.0)
        assert other.paused(name) > 0
        assert state.reserve([Tally(name, 2.0, None, 60.0)]).sums == (2.0,)

    def test_it_does_what_a_simple_model_does(self, state, other):
        actions = st.lists(
            st.tuples(
                st.sampled_from(["claim", "release", "take", "refund", "reserve", "settle"]),
                st.integers(0, 3),
                st.floats(0.5, 6.0).map(lambda value: round(value, 2)),
                st.booleans(),
            ),
            max_size=30,
        )

        @settings(max_examples=self.examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(actions)
        def check(steps: list[tuple[str, int, float, bool]]) -> None:
            model = _Model(key())
            for action, number, amount, here in steps:
                model.step(state if here else other, action, number, amount)

        check()


class _Model:
    """Slots, a bucket and a sum as plain numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.holders: set[str] = set()
        self.level, self.total = 10.0, 0.0
        self.reserved: list[float] = []

    def step(self, state: Any, action: str, number: int, amount: float) -> None:
        holder = str(number)
        slots, bucket = Slots(self.name, 2), Bucket(self.name, amount, _SLOW, 10.0)
        steps: dict[str, Callable[[], None]] = {
            "claim": lambda: self._claim(state, holder, slots),
            "release": lambda: self._release(state, holder, slots),
            "take": lambda: self._take(state, bucket),
            "refund": lambda: self._refund(state, bucket),
            "reserve": lambda: self._reserve(state, amount),
            "settle": lambda: self._settle(state, amount),
        }
        steps[action]()

    def _claim(self, state: Any, holder: str, slots: Slots) -> None:
        granted = holder in self.holders or len(self.holders) < 2
        assert (state.claim(holder, [slots]).refused is None) is granted
        if granted:
            self.holders.add(holder)

    def _release(self, state: Any, holder: str, slots: Slots) -> None:
        state.release(holder, [slots])
        self.holders.discard(holder)

    def _take(self, state: Any, bucket: Bucket) -> None:
        granted = self.level + 1e-3 >= bucket.amount
        assert (state.claim("x", [bucket]).refused is None) is granted, (self.level, bucket.amount)
        if granted:
            self.level -= bucket.amount

    def _refund(self, state: Any, bucket: Bucket) -> None:
        state.release("x", [], refund=[bucket])
        self.level = min(self.level + bucket.amount, 10.0)

    def _reserve(self, state: Any, amount: float) -> None:
        grant = state.reserve([Tally(self.name, amount, 20.0, 600.0)])
        granted = self.total + amount <= 20.0 + 1e-9
        assert (grant.refused is None) is granted
        if granted:
            self.total += amount
            self.reserved.append(amount)
        assert grant.sums[0] == pytest.approx(self.total)

    def _settle(self, state: Any, amount: float) -> None:
        if self.reserved:
            reserved = self.reserved.pop()
            state.settle([Tally(self.name, reserved, 20.0, 600.0)], [amount])
            self.total += amount - reserved
