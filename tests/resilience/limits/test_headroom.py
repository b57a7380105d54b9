"""What a limiter makes of the provider's rate-limit headers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.errors import LimitExceededError
from llmops_sdk.providers import RateLimits
from llmops_sdk.resilience.limits._headroom import Headroom
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.testing import ManualClock

MakeLimiter = Callable[..., Limiter]


def test_calls_wait_until_a_request_is_there_again(make_virtual: MakeLimiter, clock: ManualClock):
    limiter = make_virtual(concurrency=10)
    limiter.observe(RateLimits(requests_limit=60, requests_left=2, requests_reset_s=58))

    waits = [limiter.enter().waited for _ in range(4)]
    assert waits == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=0.01)
    assert clock.monotonic() == pytest.approx(2.0, abs=0.02)


def test_without_the_whole_amount_calls_wait_for_the_reset(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=10, queue_timeout=60)
    limiter.observe(RateLimits(requests_left=0, requests_reset_s=20))

    assert limiter.enter().waited == pytest.approx(20.0, abs=0.01)
    assert limiter.enter().waited == 0.0


def test_tokens_are_counted_apart_from_requests(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=10, queue_timeout=60)
    limiter.observe(RateLimits(tokens_limit=6_000, tokens_left=1_000, tokens_reset_s=50))

    first = limiter.enter(tokens=900)
    second = limiter.enter(tokens=600)
    assert first.waited == 0.0
    assert (second.waited, second.limit) == (pytest.approx(5.0, abs=0.01), "tokens_per_minute")


def test_a_refusal_names_the_providers_limit(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=10, queue_timeout=5)
    limiter.observe(RateLimits(requests_left=0, requests_reset_s=20))

    with pytest.raises(LimitExceededError, match="the provider's requests_per_minute is used up") as caught:
        limiter.enter()
    assert caught.value.retry_after == pytest.approx(20.0)


def test_a_reset_in_a_day_is_tried_again_after_a_minute(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=10, queue_timeout=120)
    limiter.observe(RateLimits(requests_limit=1_000, requests_left=0, requests_reset_s=86_400))

    assert limiter.enter().waited == pytest.approx(60.0, abs=0.01)


def test_a_later_answer_replaces_an_earlier_one(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=10)
    limiter.observe(RateLimits(requests_left=0, requests_reset_s=20))
    limiter.observe(RateLimits(requests_left=50, requests_reset_s=1))

    assert limiter.enter().waited == 0.0


def test_a_waiting_call_passes_when_another_answer_says_that_there_is_room(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=10)
    limiter.observe(RateLimits(requests_left=0, requests_reset_s=20))
    waiting = limiter.ask()
    assert waiting.stage == "waiting"

    limiter.observe(RateLimits(requests_left=50, requests_reset_s=1))
    assert waiting.stage == "inside"


_AMOUNTS = st.none() | st.floats(0, 1e12)


@given(
    limits=st.lists(st.builds(RateLimits, **dict.fromkeys(RateLimits.__slots__, _AMOUNTS)), max_size=5),
    tokens=st.floats(0, 1e6),
)
def test_no_header_holds_a_call_back_for_more_than_a_minute(limits: list[RateLimits], tokens: float):
    headroom = Headroom()
    for one in limits:
        headroom.observe(one, now=0.0)
        headroom.take(tokens, now=0.0)

    held = headroom.wait(tokens, now=0.0)
    assert held is None or 0.0 < held[1] <= 60.0
    assert headroom.wait(tokens, now=60.0) is None
