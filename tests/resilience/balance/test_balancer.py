"""Which deployment gets the next call."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.providers.traffic import Health
from llmops_sdk.resilience.balance import Balancer

READY, DOWN = Health(), Health(ready=False, retry_in=5.0)
KINDS = ("weighted", "least_busy", "lowest_latency")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_turns_are_exactly_in_proportion_to_the_weights(weights):
    balancer = Balancer("weighted", [float(weight) for weight in weights])
    healths = [READY] * len(weights)
    counts = Counter(balancer.pick(0.0, healths) for _ in range(sum(weights) * 3))
    assert [counts[index] for index in range(len(weights))] == [weight * 3 for weight in weights]


def test_turns_are_spread_out():
    balancer = Balancer("weighted", [3.0, 1.0])
    assert [balancer.pick(0.0, [READY, READY]) for _ in range(8)] == [0, 0, 1, 0, 0, 0, 1, 0]


def test_the_least_busy_for_its_weight_gets_the_call():
    balancer = Balancer("least_busy", [2.0, 1.0], random=random.Random(1).random)
    counts = Counter(balancer.pick(0.0, [READY, READY]) for _ in range(300))  # none of them ends
    assert counts == {0: 200, 1: 100}


def test_calls_of_others_and_calls_that_wait_count_as_busy():
    balancer = Balancer("least_busy", [1.0, 1.0, 1.0])
    healths = [Health(in_flight=2), Health(in_flight=1, waiting=4), Health(in_flight=3)]
    assert balancer.pick(0.0, healths) == 0


def test_an_ended_call_makes_room():
    balancer = Balancer("least_busy", [1.0, 1.0])
    first = balancer.pick(0.0, [READY, READY])
    assert balancer.pick(0.0, [READY, READY]) == 1 - first
    balancer.end(first)
    assert balancer.pick(0.0, [READY, READY]) == first


def test_ties_are_drawn_at_random():
    balancer = Balancer("least_busy", [1.0] * 4, random=random.Random(2).random)
    counts = Counter()
    for _ in range(400):
        index = balancer.pick(0.0, [READY] * 4)
        balancer.end(index)
        counts[index] += 1
    assert min(counts.values()) > 60


def test_what_is_not_ready_is_left_out(kind):
    balancer = Balancer(kind, [5.0, 1.0])
    assert {balancer.pick(0.0, [DOWN, READY]) for _ in range(50)} == {1}
    assert balancer.pick(0.0, [DOWN, DOWN]) is None


def test_what_the_call_has_tried_is_taken_only_if_nothing_else_is_ready(kind):
    balancer = Balancer(kind, [5.0, 1.0])
    assert {balancer.pick(0.0, [READY, READY], avoid={0}) for _ in range(50)} == {1}
    assert balancer.pick(0.0, [READY, DOWN], avoid={0}) == 0


def drive(balancer, latency_of, calls, *, seconds=0.1, ends=None):
    """Make calls one after the other, `seconds` apart, and count who got them."""
    counts, now = Counter(), 0.0
    for number in range(calls):
        index = balancer.pick(now, [READY] * 3)
        latency = latency_of(index, number)
        balancer.end(index)
        if latency is None:
            balancer.failed(index, now)
        else:
            balancer.observe(index, now, latency)
        counts[index] += 1
        now += seconds
    return counts


def test_the_fastest_gets_nearly_all_calls_and_the_others_are_explored():
    balancer = Balancer("lowest_latency", [1.0] * 3, random=random.Random(3).random)
    counts = drive(balancer, lambda index, _: (0.2, 1.0, 3.0)[index], 3_000)
    assert counts[0] > 2_700
    assert min(counts[1], counts[2]) >= 10


def test_one_that_becomes_faster_is_found():
    balancer = Balancer("lowest_latency", [1.0] * 3, random=random.Random(4).random)
    counts = Counter()

    def latency(index, number):
        if number >= 2_000:
            counts[index] += 1
        return 0.01 if index == 2 and number >= 1_000 else (0.2, 1.0, 3.0)[index]

    drive(balancer, latency, 3_000)
    assert counts[2] > 900


def test_a_burst_does_not_go_to_the_fastest_alone():
    balancer = Balancer("lowest_latency", [1.0] * 2, random=random.Random(5).random)
    for index, latency in enumerate((0.1, 0.2)):
        balancer.observe(index, 0.0, latency)
    counts = Counter(balancer.pick(0.0, [READY] * 2) for _ in range(300))
    assert 170 < counts[0] < 230


def test_the_latencies_of_streams_and_of_whole_answers_are_not_mixed():
    balancer = Balancer("lowest_latency", [1.0] * 2, random=lambda: 0.5)
    balancer.observe(0, 0.0, 0.1, style="stream")
    balancer.observe(1, 0.0, 0.2, style="stream")
    balancer.observe(0, 0.0, 5.0)
    balancer.observe(1, 0.0, 2.0)
    assert balancer.pick(0.0, [READY] * 2, style="stream") == 0
    balancer.end(0)
    assert balancer.pick(0.0, [READY] * 2) == 1


def test_a_call_that_was_given_up_counts_only_when_it_took_longer():
    balancer = Balancer("lowest_latency", [1.0] * 2, random=lambda: 0.5)
    for index in (0, 1):
        balancer.observe(index, 0.0, 1.0)
    balancer.observe_at_least(0, 0.0, 0.1)
    balancer.observe_at_least(1, 0.0, 30.0)
    assert balancer.pick(0.0, [READY] * 2) == 0


def test_one_that_fails_at_once_does_not_draw_the_calls(kind):
    balancer = Balancer(kind, [1.0] * 3, random=random.Random(6).random)
    counts = drive(balancer, lambda index, _: None if index == 0 else 0.2, 900)
    assert counts[0] < 200


def test_one_that_has_recovered_gets_its_share_back():
    balancer = Balancer("weighted", [1.0] * 3)
    for _ in range(20):
        balancer.failed(0, 0.0)
    balancer.observe(0, 0.0, 0.2)
    assert drive(balancer, lambda *_: 0.2, 300) == {0: 100, 1: 100, 2: 100}


def test_deployments_whose_limits_are_used_up_get_a_call_only_if_all_are(kind):
    full = Health(in_flight=1, full=True)
    balancer = Balancer(kind, [100.0, 1.0])
    balancer.observe(0, 0.0, 0.001)
    balancer.observe(1, 0.0, 10.0)
    assert [balancer.pick(0.0, [full, READY]) for _ in range(4)] == [1] * 4
    assert balancer.pick(0.0, [full, full]) in {0, 1}
    assert balancer.pick(0.0, [full, DOWN]) == 0
