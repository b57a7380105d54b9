"""Every end of both requests, in both orders, with and without a caller who leaves: nothing is left open."""

from __future__ import annotations

import asyncio
import itertools
import queue
import random
import threading

import pytest

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.config import HedgeSettings, RetrySettings, Timeout
from llmops_sdk.errors import CircuitOpenError, ServerError
from llmops_sdk.providers import Chunk, Request, Response
from llmops_sdk.providers.traffic import Leg, Route
from llmops_sdk.resilience import RetryProvider
from llmops_sdk.resilience.hedging import HedgePolicies, HedgeProvider
from llmops_sdk.resilience.hedging._call import HedgedCall
from llmops_sdk.resilience.hedging._race import arace, race

ENDS = ("ok", "error", "refused", "hangs")
SETTINGS = HedgeSettings(share=1.0, samples=2, min_delay=0.0)
PLANS = [
    (first, second, order, leaves)
    for first, second in itertools.product(ENDS, ENDS)
    for order in ((0, 1), (1, 0))
    for leaves in (False, True)
    # Where nobody answers, only a caller who leaves ends the call.
    if leaves or "hangs" not in (first, second) or "ok" in (first, second)
]


def warm() -> HedgePolicies:
    policies = HedgePolicies.of(SETTINGS)
    for policy in (policies.answers, policies.streams):
        for _ in range(5):
            policy.observe(0.0)
    return policies


def end_of(plan: str, value: object) -> object:
    if plan == "error":
        raise ServerError("down")
    if plan == "refused":
        raise CircuitOpenError("open")
    return value


def route_of() -> Route:
    leg = Leg("first", 0, SYSTEM_CLOCK.monotonic())
    return Route([], [leg], leg)


def check(call: HedgedCall[str], route: Route, plans: tuple[str, str], outcome: object) -> None:
    """Check the result, and what the attempt's record gets."""
    if "ok" in plans and outcome != "left":
        assert outcome in {"first", "hedge"}
    assert len(route.legs) == len({id(leg) for leg in route.legs}) <= 2
    still_open = [leg for leg in route.legs if leg.status is None]
    # The end of the attempt is the end of one of them; a request that was refused is not among them.
    assert len(still_open) == 1
    assert still_open[0].reason == {"hedge": "hedge"}.get(str(outcome), "first")
    assert route.legs[0].reason == "first"


@pytest.mark.parametrize(("first", "second", "order", "leaves"), PLANS)
def test_async(first, second, order, leaves):
    plans = first, second
    opened: list[str] = []
    closed: list[str] = []

    async def main() -> None:
        policies = warm()
        route = route_of()
        call: HedgedCall[str] = HedgedCall(policies.answers, SYSTEM_CLOCK, "smart", route)
        gates = [asyncio.Event(), asyncio.Event()]
        both = asyncio.Event()

        async def send(entry) -> str:
            number = 0 if entry is call.first else 1
            opened.append(plans[number])
            if number == 1:
                both.set()
            try:
                await gates[number].wait()
                result = str(end_of(plans[number], ("first", "hedge")[number]))
            except BaseException:
                closed.append(plans[number])
                raise
            return result

        async def discard(result: str) -> None:
            closed.append("ok")

        task = asyncio.create_task(arace(call, send, discard))
        await both.wait()
        if leaves:
            task.cancel()
        for number in order:
            if plans[number] != "hangs":
                gates[number].set()
            await asyncio.sleep(0)
        try:
            outcome: object = await task
        except asyncio.CancelledError:
            outcome = "left"
        except (ServerError, CircuitOpenError) as error:
            outcome = error
        used = ["ok"] if outcome in {"first", "hedge"} else []
        assert sorted(closed + used) == sorted(opened)
        assert len(asyncio.all_tasks()) == 1
        check(call, route, plans, outcome)

    asyncio.run(main())


@pytest.mark.parametrize(("first", "second", "order", "leaves"), [plan for plan in PLANS if not plan[3]])
def test_sync(first, second, order, leaves):
    plans = first, second
    gates = [threading.Event(), threading.Event()]
    ended = [threading.Event(), threading.Event()]
    discarded: queue.SimpleQueue[str] = queue.SimpleQueue()
    policies = warm()
    route = route_of()
    call: HedgedCall[str] = HedgedCall(policies.answers, SYSTEM_CLOCK, "smart", route)
    both = threading.Event()

    def send(entry) -> str:
        number = 0 if entry is call.first else 1
        if number == 1:
            both.set()
        try:
            assert gates[number].wait(30)
            return str(end_of(plans[number], ("first", "hedge")[number]))
        finally:
            ended[number].set()

    def control() -> None:
        assert both.wait(30)
        for number in order:
            if plans[number] != "hangs":
                gates[number].set()
                assert ended[number].wait(30)

    controller = threading.Thread(target=control)
    controller.start()
    try:
        outcome: object = race(call, send, discarded.put)
    except (ServerError, CircuitOpenError) as error:
        outcome = error
    controller.join(30)
    check(call, route, plans, outcome)
    for gate in gates:
        gate.set()
    assert all(event.wait(30) for event in ended)
    if plans == ("ok", "ok"):
        assert {discarded.get(timeout=30), outcome} == {"first", "hedge"}


class Random:
    """Answers at random: well, with an error, or never."""

    name = "script"

    def __init__(self, draw) -> None:
        self.draw = draw
        self.under_way = 0

    async def acomplete(self, request: Request) -> Response:
        self.under_way += 1
        try:
            for _ in range(self.draw.randrange(4)):
                await asyncio.sleep(0)
            match self.draw.choice(["ok", "ok", "error", "hangs"]):
                case "error":
                    raise ServerError("down")
                case "hangs":
                    await asyncio.Event().wait()
            return Response(text="ok", finish_reason="stop")
        finally:
            self.under_way -= 1

    async def astream(self, request: Request):
        response = await self.acomplete(request)
        self.under_way += 1
        try:
            yield Chunk(text=response.text)
            await asyncio.sleep(0)
            yield Chunk(finish_reason="stop")
        finally:
            self.under_way -= 1


@pytest.mark.parametrize("seed", range(5))
def test_random_calls_of_many_tasks_leave_nothing_under_way_and_keep_the_share(seed):
    draw = random.Random(seed)
    inner = Random(draw)
    settings = HedgeSettings(share=0.3, samples=2, min_delay=0.0)
    policies = HedgePolicies.of(settings)
    stage = RetryProvider(
        HedgeProvider(inner, settings, policies=policies), RetrySettings(attempts=2, base=0.0001), routes=True
    )
    request = Request(model="a/b", messages=[{"role": "user", "content": "Hi"}], timeout=Timeout(total=60))
    hedges, calls = [], 0

    async def one(streams: bool) -> None:
        attempts = ()
        if streams:
            async for chunk in stage.astream(request):
                attempts = chunk.attempts
                if draw.random() < 0.1:
                    break
        else:
            attempts = (await stage.acomplete(request)).attempts
        assert [attempt.number for attempt in attempts] == list(range(1, len(attempts) + 1))
        hedges.extend(attempt for attempt in attempts if attempt.reason == "hedge")

    async def main() -> None:
        nonlocal calls
        for _ in range(20):
            tasks = [asyncio.create_task(one(draw.random() < 0.5)) for _ in range(20)]
            calls += len(tasks)
            for _ in range(60):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_asyncgens()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert inner.under_way == 0
    assert hedges
    # Each policy earns `share` with each call that it observes, of which there are at most two a call: its attempts.
    assert len(hedges) <= 0.3 * 2 * calls
