"""One limiter for threads and several event loops at the same time, with cancellations and time-outs."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from llmops_sdk.config import LimitSettings
from llmops_sdk.errors import LimitExceededError
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.resilience.limits._pass import Pass
from llmops_sdk.shared._local import LocalState

MakeLimiter = Callable[..., Limiter]


class BlockingState(LocalState):
    """The state of this process, used as one on a server is."""

    @property
    def blocking(self) -> bool:
        return True


@dataclass
class Gauge:
    """Counts the calls inside."""

    most: int = 0
    now: int = 0
    passed: int = 0
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def change(self, by: int) -> None:
        with self.lock:
            self.now += by
            self.most = max(self.most, self.now)
            self.passed += by > 0


def run_threads(limiter: Limiter, gauge: Gauge, seed: int, calls: int) -> None:
    rng = random.Random(seed)
    for _ in range(calls):
        try:
            one = limiter.enter(who=rng.choice("ab"), timeout=rng.choice([0.0, 0.001, 30.0]))
        except LimitExceededError:
            gauge.refused += 1
            continue
        gauge.change(1)
        threading.Event().wait(rng.choice([0.0, 0.0005]))
        gauge.change(-1)
        one.exit(outcome=rng.choice(["ok", "throttled", "error"]))


async def run_tasks(limiter: Limiter, gauge: Gauge, seed: int, calls: int) -> None:
    rng = random.Random(seed)

    async def call(timeout: float) -> None:
        try:
            one = await limiter.aenter(who=rng.choice("ab"), timeout=timeout)
        except LimitExceededError:
            gauge.refused += 1
            return
        gauge.change(1)
        try:
            await asyncio.sleep(rng.choice([0.0, 0.0005]))
        finally:
            gauge.change(-1)
            one.exit()

    tasks: list[asyncio.Task[None]] = []
    for _ in range(calls):
        tasks.append(asyncio.create_task(call(rng.choice([0.0, 0.001, 30.0, 30.0]))))
        await asyncio.sleep(rng.choice([0.0, 0.0002]))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@hypothesis_settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32),
    concurrency=st.integers(1, 3),
    requests=st.sampled_from([None, 60_000.0]),
    adaptive=st.booleans(),
    blocking=st.booleans(),
)
def test_threads_and_event_loops_never_exceed_the_limit_and_all_end(
    seed: int, concurrency: int, requests: float | None, adaptive: bool, blocking: bool
):
    settings = LimitSettings(concurrency=concurrency, requests_per_minute=requests, adaptive=adaptive, queue=20)
    limiter = Limiter("model", settings, BlockingState() if blocking else LocalState())
    gauge = Gauge()
    threads = [threading.Thread(target=run_threads, args=(limiter, gauge, seed + n, 15)) for n in range(3)] + [
        threading.Thread(target=lambda n=n: asyncio.run(run_tasks(limiter, gauge, seed - n, 15))) for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)
    assert 0 < gauge.most <= concurrency
    last = limiter.enter(timeout=5.0)  # the slots of tasks that were cancelled come back in a thread
    last.exit()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def until_waiting(limiter: Limiter, number: int) -> None:
    for _ in range(100):
        await asyncio.sleep(0)
    assert limiter.waiting == number


async def test_a_cancelled_waiter_that_was_just_granted_gives_its_slot_on(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    first = await limiter.aenter()
    second = asyncio.create_task(limiter.aenter())
    third = asyncio.create_task(limiter.aenter())
    await until_waiting(limiter, 2)

    first.exit()  # grants to the second, whose task has not run since
    assert (limiter.in_flight, limiter.waiting) == (1, 1)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (limiter.in_flight, limiter.waiting) == (1, 0)  # at once, not when the third looks again
    one = await third
    one.exit()
    assert limiter.in_flight == 0


async def test_a_cancelled_waiter_leaves_the_queue_and_the_others_keep_their_turn(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    first = await limiter.aenter()
    order: list[int] = []

    async def call(number: int) -> None:
        one = await limiter.aenter()
        order.append(number)
        one.exit()

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    await until_waiting(limiter, 5)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.gather(tasks[0], tasks[2], return_exceptions=True)
    first.exit()
    await asyncio.gather(tasks[1], tasks[3], tasks[4])

    assert order == [1, 3, 4]


async def test_users_take_turns_whoever_came_first(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    first = await limiter.aenter()
    order: list[str] = []

    async def call(who: str) -> None:
        one = await limiter.aenter(who=who)
        order.append(who)
        one.exit()

    tasks = [asyncio.create_task(call(who)) for who in ("many", "many", "many", "one", "other", "one")]
    await until_waiting(limiter, 6)
    first.exit()
    await asyncio.gather(*tasks)

    assert order == ["many", "one", "other", "many", "one", "many"]


async def test_in_a_full_queue_the_user_with_the_most_calls_makes_room(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1, queue=3)
    first = await limiter.aenter()
    ends: list[str] = []
    limits: set[str | None] = set()

    async def call(name: str) -> None:
        try:
            one = await limiter.aenter(who=name.split()[0])
        except LimitExceededError as error:
            limits.add(error.limit)
            ends.append(f"{name} refused")
        else:
            ends.append(name)
            one.exit()

    tasks = [asyncio.create_task(call(name)) for name in ("many 1", "many 2", "many 3")]
    await until_waiting(limiter, 3)
    await call("many 4")
    assert ends == ["many 4 refused"], "nobody has more than its caller"
    tasks += [asyncio.create_task(call(name)) for name in ("one 1", "one 2", "other 1")]
    await asyncio.wait([tasks[1], tasks[2], tasks[4]], timeout=60)
    assert sorted(ends[1:]) == ["many 2 refused", "many 3 refused", "one 2 refused"]
    assert (limits, limiter.waiting) == ({"concurrency"}, 3)
    first.exit()
    await asyncio.gather(*tasks)

    assert ends[4:] == ["many 1", "one 1", "other 1"]
    assert limits == {"concurrency"}
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_the_shorter_of_queue_timeout_and_the_calls_own_bounds_the_wait(
    make_virtual: MakeLimiter, timeout: float | None
):
    limiter = make_virtual(concurrency=1, queue_timeout=20.1)
    limiter._admission.clock.advance(100.0)
    one = limiter.enter()

    with pytest.raises(LimitExceededError) as caught:
        limiter.enter(timeout=timeout)
    assert caught.value.waited == pytest.approx(timeout or 20.1, abs=0.01)
    assert (caught.value.limit, caught.value.deployment) == ("concurrency", "model")
    bound = "queue_timeout" if timeout is None else "the call's timeout"
    assert str(caught.value).endswith(f"Send fewer calls, or raise concurrency or {bound}")
    assert (limiter.in_flight, limiter.waiting) == (1, 0)
    one.exit()


async def test_the_bound_of_the_wait_holds_for_tasks_too(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=1, queue_timeout=20.0)
    one = await limiter.aenter()

    with pytest.raises(LimitExceededError) as caught:
        await limiter.aenter(timeout=5.0)
    assert caught.value.waited == pytest.approx(5.0, abs=0.01)
    assert (limiter.in_flight, limiter.waiting) == (1, 0)
    one.exit()


def test_a_wait_that_is_known_to_be_too_long_is_refused_at_once(make_virtual: MakeLimiter):
    limiter = make_virtual(requests_per_minute=1.0, queue_timeout=30.0)
    limiter.enter().exit()

    with pytest.raises(LimitExceededError, match="requests_per_minute = 1 is reached") as caught:
        limiter.enter()
    assert caught.value.retry_after == pytest.approx(60.0)
    assert caught.value.waited == 0.0
    limiter._admission.clock.advance(31.0)
    assert limiter.enter().waited == pytest.approx(29.0)


def test_a_full_queue_refuses_at_once_and_says_so(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=1, queue=1)
    one, waiting = limiter.ask(), limiter.ask()

    with pytest.raises(LimitExceededError, match=r"1 calls wait already.*or raise concurrency or queue$"):
        limiter.ask()
    one.exit()
    assert waiting.stage == "inside"


def test_without_a_queue_a_call_above_the_limit_is_refused(make_virtual: MakeLimiter):
    limiter = make_virtual(concurrency=1, queue=0)
    one = limiter.enter()

    with pytest.raises(LimitExceededError, match="queue is 0"):
        limiter.enter()
    one.exit()
    assert limiter.enter().waited == 0.0


def test_a_waiter_whose_event_loop_is_closed_does_not_hold_up_the_others(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    one = limiter.enter()
    loop = asyncio.new_event_loop()
    lost: Awaitable[Pass] = loop.create_task(limiter.aenter())
    loop.run_until_complete(asyncio.sleep(0))
    assert limiter.waiting == 1
    loop.close()
    waiting = threading.Thread(target=lambda: limiter.enter().exit())
    waiting.start()
    while limiter.waiting < 2:
        threading.Event().wait(0.001)

    one.exit()
    waiting.join(30)
    assert not waiting.is_alive()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
    lost.get_coro().close()


def test_a_lost_pass_gives_its_slot_back(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    limiter.enter()

    limiter.enter(timeout=0.0).exit()
    assert limiter.in_flight == 0


def test_a_thread_that_waits_gets_the_slot_of_a_lost_pass(make_limiter: MakeLimiter):
    limiter = make_limiter(concurrency=1)
    held = [limiter.enter()]
    waiting = threading.Thread(target=lambda: limiter.enter().exit())
    waiting.start()
    while not limiter.waiting:
        threading.Event().wait(0.001)

    held.clear()
    waiting.join(30)
    assert not waiting.is_alive()
