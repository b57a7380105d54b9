"""Through the public functions, the end of a call wakes the next one in the queue: it does not sleep on."""

from __future__ import annotations

import asyncio
import threading

import pytest
from traffic_waits import settle, until

import llmops_sdk as llmops
from llmops_sdk._util._clock import SYSTEM_CLOCK, is_real_time
from llmops_sdk.client._shared import CALL_CLOCK, STAND_INS
from llmops_sdk.resilience.traffic._registry import deployment_of
from llmops_sdk.testing import ManualClock

PATIENCE = 600.0  # nobody waits so long: a wake-up comes at once, or the test fails after a twentieth of it


@pytest.fixture
def limiter(monkeypatch):
    # Without wake-ups a waiter would find its slot only at its next look.
    monkeypatch.setattr("llmops_sdk.resilience.limits._admission._BACKUP_SECONDS", PATIENCE)
    llmops.configure(
        model="offline/echo", limits={"concurrency": 1, "queue_timeout": PATIENCE}, store={"enabled": False}
    )
    llmops.chat("Hello")
    return deployment_of("offline/echo", CALL_CLOCK).limiter


def test_a_waiting_thread_is_woken(limiter):
    stream = iter(llmops.stream("Hello"))
    next(stream)
    texts = []
    waiter = threading.Thread(target=lambda: texts.append(llmops.chat("Next").text), daemon=True)
    waiter.start()
    until(lambda: limiter.waiting == 1)
    stream.close()
    waiter.join(PATIENCE / 20)
    assert texts == ["Next"]


async def test_a_waiting_task_is_woken(limiter):
    stream = aiter(llmops.astream("Hello"))
    await anext(stream)
    waiter = asyncio.create_task(llmops.achat("Next"))
    await settle(lambda: limiter.waiting == 1)
    await stream.aclose()
    assert (await asyncio.wait_for(waiter, PATIENCE / 20)).text == "Next"


def test_the_clock_of_calls_is_real_unless_a_test_replaces_it(monkeypatch):
    assert is_real_time(SYSTEM_CLOCK)
    assert is_real_time(CALL_CLOCK)
    assert not is_real_time(ManualClock())
    monkeypatch.setattr(STAND_INS, "clock", ManualClock())
    assert not is_real_time(CALL_CLOCK)


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_a_deadline_that_ends_in_the_queue_is_a_refusal_and_no_attempt(limiter, way):
    stream = iter(llmops.stream("Hello"))
    next(stream)
    with pytest.raises(llmops.LimitExceededError, match="concurrency = 1 is reached"):
        llmops.chat("Next", timeout=0.5) if way == "chat" else asyncio.run(llmops.achat("Next", timeout=0.5))
    stream.close()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
