"""`@limit` on every style of callable, and as a block."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.testing import ManualClock, Traces, capture_traces


@pytest.fixture
def traces() -> Iterator[Traces]:
    with capture_traces() as captured:
        yield captured


def decisions(traces: Traces) -> list[dict[str, Any]]:
    return [dict(event.attributes) for span in traces.spans for event in span.events if event.name == "llmops.traffic"]


def test_a_function_keeps_its_name_signature_and_result():
    @llmops.limit(2)
    def ask(question: str, *, polite: bool = True) -> str:
        """Ask."""
        return question if polite else question.upper()

    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert list(inspect.signature(ask).parameters) == ["question", "polite"]
    assert ask("a", polite=False) == "A"


def test_calls_of_a_function_take_a_slot_each():
    policy = llmops.limit(1, queue=0)

    @policy
    def ask(depth: int) -> int:
        return policy.in_flight if depth == 0 else ask(depth - 1)

    assert ask(0) == 1
    with pytest.raises(llmops.LimitExceededError, match=r"ask: the limit concurrency = 1 is reached") as caught:
        ask(1)
    assert caught.value.deployment == ask.__qualname__
    assert policy.in_flight == 0


async def test_a_coroutine_waits_for_its_turn():
    policy = llmops.limit(1)
    order: list[int] = []

    @policy
    async def ask(number: int) -> int:
        assert policy.in_flight == 1
        await asyncio.sleep(0)
        order.append(number)
        return number

    assert await asyncio.gather(*(ask(number) for number in range(5))) == [0, 1, 2, 3, 4]
    assert order == [0, 1, 2, 3, 4]
    assert (policy.in_flight, policy.waiting) == (0, 0)


def test_a_generator_has_its_slot_until_the_last_item():
    policy = llmops.limit(1)

    @policy
    def count(limit: int) -> Iterator[int]:
        yield from range(limit)

    items = count(2)
    assert policy.in_flight == 0
    assert next(items) == 0
    assert policy.in_flight == 1
    assert list(items) == [1]
    assert policy.in_flight == 0

    abandoned = count(2)
    next(abandoned)
    abandoned.close()
    assert policy.in_flight == 0


async def test_an_async_generator_has_its_slot_until_the_last_item():
    policy = llmops.limit(1)

    @policy
    async def count(limit: int) -> AsyncIterator[int]:
        for number in range(limit):
            yield number

    found = [(item, policy.in_flight) async for item in count(2)]
    assert found == [(0, 1), (1, 1)]
    assert policy.in_flight == 0


async def test_methods_of_every_kind_share_the_limit_of_their_policy():
    policy = llmops.limit(1)

    class Model:
        @policy
        def plain(self) -> int:
            return policy.in_flight

        @policy
        @classmethod
        def of_class(cls) -> int:
            return policy.in_flight

        @staticmethod
        @policy
        def static() -> int:
            return policy.in_flight

        @policy
        async def coroutine(self) -> int:
            return policy.in_flight

    model = Model()
    assert [model.plain(), model.of_class(), model.static(), await model.coroutine()] == [1, 1, 1, 1]
    assert policy.name.endswith("Model.plain")


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), llmops.RateLimitError("x", status_code=429)])
def test_an_error_gives_the_slot_back(error: BaseException):
    policy = llmops.limit(1)

    @policy
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        fail()
    with pytest.raises(type(error)), policy:
        raise error
    assert policy.in_flight == 0


async def test_blocks_share_the_limit_with_functions_sync_and_async():
    policy = llmops.limit(1, name="gpu", queue=0)

    @policy
    def ask() -> None: ...

    with policy, pytest.raises(llmops.LimitExceededError, match="gpu"):
        ask()
    async with policy:
        assert policy.in_flight == 1
        with pytest.raises(llmops.LimitExceededError):
            async with policy:
                pass
    ask()
    assert policy.in_flight == 0


def test_blocks_in_threads_wait_for_each_other():
    policy = llmops.limit(2)
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with policy:
                most.append(policy.in_flight)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == 120
    assert max(most) <= 2
    assert (policy.in_flight, policy.waiting) == (0, 0)


def test_requests_a_minute_are_spread():
    clock = ManualClock()

    @llmops.limit(requests_per_minute=60, clock=clock)
    def ask() -> float:
        return clock.monotonic()

    starts = [ask() for _ in range(20)]
    # A burst of a tenth of a minute's requests, then nine tenths of the rate.
    assert starts[5] == 0.0
    assert starts[-1] == pytest.approx((20 - 6.9) / (54.1 / 60), abs=0.1)


def test_throttling_lowers_an_adaptive_limit_and_is_recorded(traces: Traces):
    policy = llmops.limit(10, adaptive=True, name="gpu")

    @policy
    def ask() -> None:
        raise llmops.RateLimitError("slow down", status_code=429)

    with llmops.span("outer"), pytest.raises(llmops.RateLimitError):
        ask()
    assert policy.concurrency == 7
    assert decisions(traces) == [
        {
            "policy": "limit",
            "decision": "lowered",
            "deployment": "gpu",
            "subject": "concurrency",
            "reason": "throttled",
            "limit": 7,
        }
    ]


def test_waits_and_refusals_are_recorded_and_calls_that_pass_are_not(traces: Traces):
    clock = ManualClock()

    @llmops.limit(requests_per_minute=1, name="gpu", queue_timeout=60, clock=clock)
    def ask() -> None: ...

    with llmops.span("outer"):
        ask()
        assert decisions(traces) == []
        ask()
        small = llmops.limit(1, queue=0, name="small")
        with small, pytest.raises(llmops.LimitExceededError), small:
            pass

    found = decisions(traces)
    assert [(one["decision"], one["deployment"], one["subject"]) for one in found] == [
        ("waited", "gpu", "requests_per_minute"),
        ("refused", "small", "concurrency"),
    ]
    assert found[0]["wait_ms"] == pytest.approx(60_000, abs=10)


async def test_users_take_turns():
    policy = llmops.limit(1, fair="user")
    order: list[str] = []

    @policy
    async def ask(user: str) -> None:
        order.append(user)

    async def call(user: str) -> None:
        with llmops.context(user_id=user):
            await ask(user)

    async with policy:
        tasks = [asyncio.create_task(call(user)) for user in ("many", "many", "many", "one")]
        for _ in range(100):
            await asyncio.sleep(0)
        assert policy.waiting == 4
    await asyncio.gather(*tasks)

    assert order == ["many", "one", "many", "many"]


def test_a_shared_limit_without_a_server_is_one_of_this_process():
    first, second = (llmops.limit(1, queue=0, name="gpu", shared=True) for _ in range(2))

    with first, pytest.raises(llmops.LimitExceededError), second:
        pass
    with second:
        assert second.in_flight == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, r"@limit\(concurrency=5\)"),
        ({"concurrency": print}, r"@limit\(concurrency=5\)"),
        ({"concurrency": 0}, "concurrency = 0 is not valid"),
        ({"requests_per_minute": -1}, "requests_per_minute = -1 is not valid"),
        ({"concurrency": 1, "queue": -1}, "queue = -1 is not valid"),
        ({"concurrency": 1, "queue_timeout": -1}, "queue_timeout = -1 is not valid"),
        ({"concurrency": 1, "fair": "everyone"}, "fair = 'everyone' is not valid"),
        ({"concurrency": 1, "shared": True}, "needs a name"),
    ],
)
def test_wrong_arguments_say_what_to_write(arguments: dict[str, Any], told: str):
    with pytest.raises(llmops.ConfigError, match=told):
        llmops.limit(**arguments)


def test_something_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="callable"):
        llmops.limit(1)(3)
