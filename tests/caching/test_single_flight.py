"""Identical calls at the same time make one call to the provider."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from llmops_sdk.config import Timeout
from llmops_sdk.errors import ProviderTimeoutError, ServerError


def waiting(provider, count):
    """Wait until `count` threads wait for the one call under way."""
    flights = provider._exact._threads.under_way
    while True:
        conditions = [flight._future._condition for flight in list(flights.values())]
        with_waiters = sum(len(condition._waiters) for condition in conditions)
        if with_waiters >= count:
            return
        threading.Event().wait(0.001)


def test_50_threads_make_one_call(make, counting, request_, good):
    entered, go = threading.Semaphore(0), threading.Event()

    def answer(_):
        entered.release()
        assert go.wait(30)
        return good

    inner = counting(answer)
    provider = make(inner)
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(provider.complete, request_) for _ in range(50)]
        assert entered.acquire(timeout=30)
        waiting(provider, 49)
        go.set()
        answers = [future.result(30) for future in futures]
    assert inner.calls == 1
    assert sum(one.cache is None for one in answers) == 1
    assert {(one.text, one.cost, one.saved_cost) for one in answers if one.cache} == {(good.text, 0.0, 0.002)}
    stats = provider.stats()
    assert (stats.misses, stats.shared + stats.hits) == (1, 49)


class Slow:
    """An async provider whose answers are given by hand."""

    name = "slow"

    def __init__(self):
        self.asked: asyncio.Queue[asyncio.Future] = asyncio.Queue()
        self.calls = 0
        self.under_way = 0
        self.most = 0

    async def acomplete(self, request):
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        answer = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(answer)
        try:
            return await answer
        finally:
            self.under_way -= 1

    def close(self):
        pass


async def test_50_tasks_make_one_call(make, request_, good):
    inner = Slow()
    provider = make(inner)
    tasks = [asyncio.create_task(provider.acomplete(request_)) for _ in range(50)]
    (await inner.asked.get()).set_result(good)
    answers = await asyncio.gather(*tasks)
    assert inner.calls == 1
    assert sum(one.cache == "exact" for one in answers) == 49


async def test_after_a_leaders_error_the_next_caller_leads(make, request_, good):
    inner = Slow()
    provider = make(inner)
    tasks = [asyncio.create_task(provider.acomplete(request_)) for _ in range(10)]
    for n in range(3):
        (await inner.asked.get()).set_exception(ServerError(f"down {n}"))
    (await inner.asked.get()).set_result(good)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(str(one) for one in answers if isinstance(one, ServerError)) == ["down 0", "down 1", "down 2"]
    assert sum(getattr(one, "cache", None) == "exact" for one in answers) == 6
    assert inner.calls == 4
    assert inner.most == 1


async def test_a_cancelled_leader_neither_poisons_nor_hangs_the_others(make, request_, good):
    inner = Slow()
    provider = make(inner)
    tasks = [asyncio.create_task(provider.acomplete(request_)) for _ in range(5)]
    await inner.asked.get()
    tasks[0].cancel()
    (await inner.asked.get()).set_result(good)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [one.text for one in answers[1:]] == [good.text] * 4
    assert inner.calls == 2


async def test_a_cancelled_follower_cancels_nobody_else(make, request_, good):
    inner = Slow()
    provider = make(inner)
    tasks = [asyncio.create_task(provider.acomplete(request_)) for _ in range(5)]
    answer = await inner.asked.get()
    tasks[3].cancel()
    await asyncio.wait([tasks[3]])
    answer.set_result(good)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert inner.calls == 1


async def test_after_an_unshared_answer_all_callers_ask_at_once(make, request_, good):
    inner = Slow()
    provider = make(inner)
    tasks = [asyncio.create_task(provider.acomplete(request_)) for _ in range(5)]
    cut = replace(good, finish_reason="length")
    (await inner.asked.get()).set_result(cut)
    rest = [await inner.asked.get() for _ in range(4)]
    assert inner.most == 4
    for answer in rest:
        answer.set_result(cut)
    assert [one.cache for one in await asyncio.gather(*tasks)] == [None] * 5
    assert inner.calls == 5


async def test_a_wait_is_bounded_by_the_callers_own_deadline(make, request_):
    inner = Slow()
    provider = make(inner)
    leader = asyncio.create_task(provider.acomplete(request_))
    await inner.asked.get()
    with pytest.raises(ProviderTimeoutError):
        await provider.acomplete(replace(request_, timeout=Timeout(total=0.05)))
    leader.cancel()
    await asyncio.wait([leader])


def test_a_thread_waits_no_longer_than_its_own_deadline(make, counting, request_, good):
    go, entered = threading.Event(), threading.Event()

    def answer(_):
        entered.set()
        assert go.wait(30)
        return good

    provider = make(counting(answer))
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(provider.complete, request_)
        assert entered.wait(30)
        with pytest.raises(ProviderTimeoutError):
            provider.complete(replace(request_, timeout=Timeout(total=0.05)))
        go.set()
        assert leader.result(30).text == good.text


def test_a_call_inside_its_own_call_does_not_wait_for_itself(make, counting, request_, good):
    def answer(request):
        return provider.complete(request) if inner.calls == 1 else good

    inner = counting(answer)
    provider = make(inner)
    assert provider.complete(request_).text == good.text


def test_a_sync_call_inside_a_running_loop_does_not_wait_for_its_tasks(make, counting, request_, good):
    inner = counting()

    async def main():
        slow = Slow()
        provider = make(inner)
        task = asyncio.create_task(make(slow).acomplete(request_))
        await slow.asked.get()
        assert provider.complete(request_).text == good.text
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


def test_a_stream_and_a_call_of_one_thread_do_not_wait_for_each_other(make, counting, request_, good):
    inner = counting()
    provider = make(inner)
    stream = provider.stream(request_)
    next(stream)
    assert provider.complete(request_).text == good.text
    assert "".join(chunk.text for chunk in stream) != ""
    assert inner.calls == 2
