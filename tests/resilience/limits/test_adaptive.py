"""The adaptive limit: its rules, and a simulated server."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.resilience.limits._adaptive import AdaptiveLimit

_OUTCOMES = st.sampled_from(["ok", "throttled", "timeout", "error", "cancelled"])


@given(most=st.none() | st.integers(1, 50), outcomes=st.lists(st.tuples(_OUTCOMES, st.integers(0, 3)), max_size=200))
def test_the_limit_stays_between_one_and_the_largest(most: int | None, outcomes: list[tuple[str, int]]):
    limit = AdaptiveLimit(most)
    for now, (outcome, age) in enumerate(outcomes):
        limit.note(outcome, began=now - age, now=now, in_flight=limit.limit)
        assert 1 <= limit.limit <= (most or 1_000)


def test_throttling_lowers_the_limit_once_a_round_trip():
    limit = AdaptiveLimit(10)
    for _ in range(5):
        limit.note("throttled", began=0.0, now=1.0, in_flight=10)
    assert limit.limit == 7

    limit.note("timeout", began=1.0, now=2.0, in_flight=7)
    assert limit.limit == 4


def test_errors_and_cancelled_calls_change_nothing():
    limit = AdaptiveLimit(10)
    for outcome in ("error", "cancelled"):
        limit.note(outcome, began=0.0, now=1.0, in_flight=10)
    assert limit.limit == 10


def test_a_limit_that_nobody_uses_does_not_rise():
    limit = AdaptiveLimit(None)
    for now in range(100):
        limit.note("ok", began=now, now=now, in_flight=1)
    assert limit.limit == 20


def _simulate(limit: AdaptiveLimit, capacity: int, start: float, seconds: float) -> tuple[int, int]:
    """Return how many calls succeed and how many are throttled by a server that takes `capacity` at a time."""
    now, in_flight, number, good, throttled = start, 0, 0, 0, 0
    ends: list[tuple[float, int, float, bool]] = []
    while now < start + seconds:
        while in_flight < limit.limit:
            in_flight, number = in_flight + 1, number + 1
            is_good = in_flight <= capacity
            heapq.heappush(ends, (now + (1.0 + number % 7 / 7 if is_good else 0.05), number, now, is_good))
        now, _, began, is_good = heapq.heappop(ends)
        limit.note("ok" if is_good else "throttled", began=began, now=now, in_flight=in_flight)
        in_flight -= 1
        good, throttled = good + is_good, throttled + (not is_good)
    return good, throttled


def test_it_finds_the_capacity_of_a_server_that_throttles_and_follows_it():
    limit = AdaptiveLimit(200)
    _simulate(limit, 50, 0.0, 100.0)
    good, throttled = _simulate(limit, 50, 100.0, 300.0)
    best = 50 * 300 / (1.0 + 3 / 7)
    assert good > 0.75 * best
    assert throttled < 0.05 * good

    _simulate(limit, 10, 400.0, 100.0)
    assert limit.limit <= 12
    _simulate(limit, 50, 500.0, 200.0)
    assert limit.limit >= 30
