"""A call gets a slot as soon as one is free: it is woken, and of several deployments it takes one with room."""

from __future__ import annotations

import asyncio
import threading

import pytest
from traffic_waits import settle, until

import llmops_sdk as llmops
from llmops_sdk._util._clock import SYSTEM_CLOCK, is_real_time
from llmops_sdk.client._shared import CALL_CLOCK, STAND_INS
from llmops_sdk.providers import Response
from llmops_sdk.resilience.limits import _admission
from llmops_sdk.resilience.traffic import _registry
from llmops_sdk.testing import ManualClock, use_provider


class Gate:
    """A provider whose calls end when the gate is open."""

    name = "gate"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.calls = 0

    def complete(self, request):
        self.calls += 1
        assert self.open.wait(30)
        return Response(text="Hello", finish_reason="stop")

    async def acomplete(self, request):
        self.calls += 1
        await settle(self.open.is_set)
        return Response(text="Hello", finish_reason="stop")


@pytest.fixture
def gate(monkeypatch):
    """A gate behind one slot; nobody who waits looks for the slot within the time of the test."""
    monkeypatch.setattr(_admission, "_BACKUP_SECONDS", 3_600.0)
    llmops.configure(model="offline/echo", limits={"concurrency": 1, "queue_timeout": 3_600.0})
    with use_provider(Gate()) as gate:
        yield gate


def waiting() -> int:
    """Return how many calls wait."""
    return sum(one.limiter.waiting for one in _registry._deployments.values() if one.limiter is not None)


def test_a_thread_is_woken_when_the_slot_is_free(gate):
    threads = [threading.Thread(target=llmops.chat, args=("Hi",), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: gate.calls == 1 and waiting() == 2)
    gate.open.set()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


async def test_a_task_is_woken_when_the_slot_is_free(gate):
    tasks = [asyncio.create_task(llmops.achat("Hi")) for _ in range(3)]
    await settle(lambda: gate.calls == 1 and waiting() == 2)
    gate.open.set()
    answers = await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert [one.text for one in answers] == ["Hello"] * 3


def test_calls_go_to_a_deployment_with_room_whatever_its_weight(gate):
    echo = {"model": "offline/echo"}
    pair = {"deployments": ["east", "west"], "weights": [100, 1], "balance": "weighted"}
    llmops.configure(models={"east": echo, "west": echo, "pair": pair}, limits={"concurrency": 1})
    threads = [threading.Thread(target=llmops.chat, args=("Hi",), kwargs={"model": "pair"}) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: gate.calls == 2)
    gate.open.set()
    for thread in threads:
        thread.join(30)
    assert waiting() == 0


def test_the_clock_of_calls_is_real_unless_a_test_replaces_it(monkeypatch):
    assert is_real_time(SYSTEM_CLOCK)
    assert is_real_time(CALL_CLOCK)
    assert not is_real_time(ManualClock())
    monkeypatch.setattr(STAND_INS, "clock", ManualClock())
    assert not is_real_time(CALL_CLOCK)
