"""Random faults and cancellations of many calls at the same time: nothing stays taken, and no call waits for ever."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.config import Timeout
from llmops_sdk.errors import (
    BadRequestError,
    LLMOpsError,
    ProviderConnectionError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers import Chunk, Request, Response, Usage
from llmops_sdk.testing import ManualClock

REQUEST = Request(
    model="script/one", messages=[{"role": "user", "content": "x" * 32}], params={"max_tokens": 20},
    timeout=Timeout(total=1_000),
)  # fmt: skip
USAGE = Usage(input_tokens=11, output_tokens=20)
SLOTS, LIMIT = 3, 400
ENDS = ["ok", "ok", "ok", "500", "429", "400", "reset", "bug", "break", "cancel", "leave"]
ERRORS = {
    "500": ServerError("down", status_code=500),
    "429": RateLimitError("busy", status_code=429, retry_after=2.0),
    "400": BadRequestError("no", status_code=400),
    "reset": ProviderConnectionError("reset"),
    "bug": ValueError("a bug"),
}
CALLS = st.lists(
    st.tuples(st.sampled_from(ENDS), st.booleans(), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25
)
"""How each call ends, whether it is a stream, how many turns it takes, and after how many it may be cancelled."""


class Faulty:
    """Does what the prompt's name says, and counts the calls inside."""

    name = "faulty"

    def __init__(self) -> None:
        self.inside = self.most_inside = 0
        self._lock = threading.Lock()

    def _count(self, change):
        with self._lock:
            self.inside += change
            self.most_inside = max(self.most_inside, self.inside)

    def complete(self, request):
        self._count(1)
        try:
            end = request.extra["end"]
            if end in ERRORS:
                raise ERRORS[end]
            if end == "break":
                raise KeyboardInterrupt
            return Response(text="Hello", usage=USAGE)
        finally:
            self._count(-1)

    def stream(self, request):
        self._count(1)
        try:
            end = request.extra["end"]
            if end in ERRORS:
                raise ERRORS[end]
            yield Chunk(text="x" * 16)
            if end == "break":
                raise StreamInterruptedError("cut")
            yield Chunk(text="y", finish_reason="stop", usage=USAGE)
        finally:
            self._count(-1)

    async def acomplete(self, request):
        self._count(1)
        try:
            for _ in range(request.extra["turns"]):
                await asyncio.sleep(0)
            end = request.extra["end"]
            if end in ERRORS:
                raise ERRORS[end]
            if end == "cancel":
                await asyncio.Event().wait()
            return Response(text="Hello", usage=USAGE)
        finally:
            self._count(-1)

    async def astream(self, request):
        answer = await self.acomplete(request)
        self._count(1)
        try:
            yield Chunk(text="x" * 16)
            if request.extra["end"] == "break":
                raise StreamInterruptedError("cut")
            await asyncio.sleep(0)
            yield Chunk(text=answer.text, finish_reason="stop", usage=USAGE)
        finally:
            self._count(-1)


def request_of(end, turns=0):
    return Request(
        model=REQUEST.model, messages=REQUEST.messages, params=REQUEST.params, timeout=REQUEST.timeout,
        extra={"end": end, "turns": turns},
    )  # fmt: skip


async def task_of(stage, end, streams, turns):
    request = request_of(end, turns)
    if not streams:
        return await stage.acomplete(request)
    chunks = stage.astream(request)
    try:
        async for _ in chunks:
            if end == "leave":
                break
    finally:
        await chunks.aclose()
    return None


def check(deployed):
    assert deployed.inner.most_inside <= SLOTS
    assert deployed.inner.inside == 0
    assert deployed.is_idle()
    # Estimates are honest here: no call uses more than it reserved.
    assert 0 <= deployed.spent <= LIMIT
    # No wedge: after the open time and the pause a call passes, unless the budget is spent.
    if deployed.clock is not SYSTEM_CLOCK:
        deployed.clock.advance(10_000)
        if deployed.spent + 31 <= LIMIT:
            assert deployed.stage.complete(request_of("ok")).text == "Hello"
            assert deployed.breaker.state == "closed"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_tasks_leave_nothing_taken(deploy, calls):
    deployed = deploy(Faulty(), clock=ManualClock(), concurrency=SLOTS, failures=2, limit_tokens=LIMIT, queue=4)

    async def main():
        tasks = [
            (asyncio.create_task(task_of(deployed.stage, end, streams, turns)), end, cancelled_after)
            for end, streams, turns, cancelled_after in calls
        ]
        for turn in range(40):
            for task, end, cancelled_after in tasks:
                if end == "cancel" and turn >= cancelled_after:
                    task.cancel()
            await asyncio.sleep(0)
        found = await asyncio.wait_for(asyncio.gather(*(one for one, *_ in tasks), return_exceptions=True), 60)
        for one in found:
            if isinstance(one, Exception):
                assert isinstance(one, (LLMOpsError, ValueError)), one

    asyncio.run(main())
    check(deployed)


@pytest.mark.parametrize("seed", range(3))
def test_threads_leave_nothing_taken(deploy, seed):
    deployed = deploy(Faulty(), clock=SYSTEM_CLOCK, concurrency=SLOTS, failures=10_000, limit_tokens=LIMIT * 100)

    def one(number):
        end, streams = ENDS[(number * 7 + seed) % len(ENDS)], number % 2 == 0
        request = request_of("ok" if end == "429" else end)  # it would pause the others
        try:
            if not streams:
                deployed.stage.complete(request)
                return
            for _ in deployed.stage.stream(request):
                if end in ("leave", "cancel"):
                    return
        except (LLMOpsError, ValueError, KeyboardInterrupt):
            return

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(400)))
    assert deployed.inner.most_inside <= SLOTS
    assert deployed.inner.inside == 0
    assert deployed.is_idle()
    assert 0 < deployed.spent <= 400 * 31
