"""When a call may be sent a second time."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.config import HedgeSettings
from llmops_sdk.resilience.hedging import HedgePolicy


def filled(settings: HedgeSettings, latencies) -> HedgePolicy:
    policy = HedgePolicy(settings)
    for latency in latencies:
        policy.observe(latency)
    return policy


@pytest.mark.parametrize(("count", "expected"), [(9, None), (10, 0.9)])
def test_it_needs_some_latencies_first(count, expected):
    settings = HedgeSettings(share=1.0, percentile=90, samples=10, min_delay=0.0)
    assert filled(settings, [tenths / 10 for tenths in range(1, count + 1)]).delay() == expected


def test_the_delay_is_never_below_its_minimum():
    assert filled(HedgeSettings(share=1.0, samples=2, min_delay=0.3), [0.001] * 5).delay() == 0.3


@given(st.lists(st.floats(0, 100), min_size=2, max_size=60), st.floats(25, 99))
def test_the_delay_is_the_exact_percentile_of_the_nearest_rank(latencies, percentile):
    settings = HedgeSettings(share=1.0, percentile=percentile, samples=2, min_delay=0.0)
    rank = math.ceil(percentile / 100 * len(latencies))
    assert filled(settings, latencies).delay() == sorted(latencies)[rank - 1]


@pytest.mark.parametrize(("share", "percentile", "expected"), [(0.05, 95, 97), (0.05, 99, 99), (0.2, 80, 85)])
def test_the_delay_leaves_a_part_of_the_share_unused(share, percentile, expected):
    settings = HedgeSettings(share=share, percentile=percentile, samples=2, min_delay=0.0)
    policy = filled(settings, [float(step) for step in range(1, 101)])
    assert policy.delay() == expected


def test_only_the_last_thousand_latencies_count():
    settings = HedgeSettings(share=1.0, percentile=50, samples=2, min_delay=0.0)
    assert filled(settings, [9.0] * 5_000 + [1.0] * 1_000).delay() == 1.0


@given(st.floats(0.01, 1.0), st.lists(st.booleans(), max_size=300))
def test_never_more_than_the_share_of_the_calls_is_sent_twice(share, hedges):
    policy = HedgePolicy(HedgeSettings(share=share, samples=2))
    sent = 0
    for calls, wants in enumerate(hedges, 1):
        policy.observe(1.0)
        sent += wants and policy.take()
        assert sent <= share * calls + 1e-6


def test_a_long_quiet_time_does_not_save_up_hedges_for_a_storm():
    policy = filled(HedgeSettings(share=0.05, samples=2), [1.0] * 10_000)
    assert sum(policy.take() for _ in range(1_000)) == 10


def test_a_used_up_share_needs_no_second_thread():
    policy = filled(HedgeSettings(share=0.5, samples=2), [1.0, 1.0])
    assert policy.delay() is not None
    assert policy.take()
    assert policy.delay() is None


def test_a_hedge_that_was_not_sent_is_given_back():
    policy = filled(HedgeSettings(share=0.5, samples=2), [1.0, 1.0])
    assert policy.take()
    policy.give_back()
    assert policy.take()


def test_new_settings_keep_the_latencies():
    policy = filled(HedgeSettings(share=1.0, samples=2, percentile=50), [0.1 * step for step in range(1, 101)])
    policy.update(HedgeSettings(share=1.0, samples=2, percentile=90))
    assert policy.delay() == pytest.approx(9.0)


def test_a_heavy_tail_is_cut_by_a_share_of_five_percent():
    draw = random.Random(14)

    def latency() -> float:
        return draw.uniform(0.1, 0.2) * (100 if draw.random() < 0.01 else 1)

    policy = HedgePolicy(HedgeSettings(share=0.05))
    plain, hedged, sent = [], [], 0
    for _ in range(50_000):
        first = latency()
        plain.append(first)
        delay = policy.delay()
        if delay is not None and first > delay and policy.take():
            sent += 1
            first = min(first, delay + latency())
        hedged.append(first)
        policy.observe(plain[-1])
    at = int(0.999 * len(plain))
    assert sorted(hedged)[at] < sorted(plain)[at] / 2
    assert sent <= 0.05 * len(plain)
