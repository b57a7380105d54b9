"""The retry budget: it limits retries in an outage, and short failures cost nothing. Real threads."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

import llmops_sdk as llmops
from llmops_sdk.config import RetrySettings
from llmops_sdk.providers import Request
from llmops_sdk.resilience import RetryProvider
from llmops_sdk.resilience._budget import RetryBudget, budget_of
from llmops_sdk.testing import FailingProvider, ManualClock, ScriptedProvider, use_clock, use_provider

ASKED = Request(model="openai/gpt", messages=[{"role": "user", "content": "Hi"}])


def ask(provider: RetryProvider, request: Request = ASKED) -> str | None:
    try:
        return provider.complete(request).text
    except llmops.ProviderError:
        return None


def retrying(inner, **policy) -> RetryProvider:
    return RetryProvider(inner, RetrySettings(**policy), clock=ManualClock(), random=lambda low, _: low)


def test_an_outage_allows_35_retries_in_all():
    down = FailingProvider(llmops.ServerError("down", status_code=503))
    provider = retrying(down, attempts=3)
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, itertools.repeat(provider, 1_000))) == {None}
    assert len(down.requests) == 1_000 + 500 // 14
    assert len(down.requests) <= 1.1 * 1_000


def test_throttled_calls_may_retry_more_often():
    busy = FailingProvider(llmops.RateLimitError("busy", status_code=429))
    provider = retrying(busy, attempts=2)
    for _ in range(200):
        ask(provider)
    assert len(busy.requests) == 200 + 500 // 5


def test_retries_that_succeed_refund_the_budget():
    error = llmops.ServerError("once", status_code=500)
    flaky = ScriptedProvider([error, "ok"], repeat=True)
    provider = retrying(flaky, attempts=2)
    assert {ask(provider) for _ in range(500)} == {"ok"}


def test_calls_without_a_retry_refill_the_budget():
    provider = retrying(FailingProvider(llmops.ServerError("down"), times=2, then="ok"), attempts=2, budget=14.0)
    assert [ask(provider), ask(provider)] == [None, "ok"], "one retry, which failed, and then none is left"
    budget = budget_of(ASKED.model, 14.0)
    assert budget is not None
    assert budget.take(throttled=False) is None
    for _ in range(13):
        ask(provider)
    assert budget.take(throttled=False) == 14.0


def test_the_budget_never_exceeds_its_size():
    budget = RetryBudget(20)
    for _ in range(100):
        budget.give()
    assert [budget.take(throttled=False), budget.take(throttled=True), budget.take(throttled=True)] == [14.0, 5.0, None]


def test_each_model_has_its_own_budget_or_none():
    down = FailingProvider(llmops.ServerError("down"))
    spent = retrying(down, attempts=2, budget=14.0)
    assert [ask(spent), ask(spent)] == [None, None]
    assert len(down.requests) == 3
    other = Request(model="anthropic/claude", messages=ASKED.messages)
    ask(spent, other)
    assert len(down.requests) == 5
    ask(retrying(down, attempts=2, budget=None))
    assert len(down.requests) == 7


class Located(FailingProvider):
    """Has a server."""

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(llmops.ServerError("down"))
        self._server = server

    @property
    def server(self) -> tuple[str, int]:
        return self._server


def test_models_of_one_server_share_a_budget():
    requests = [Request(model=f"openai/{name}", messages=ASKED.messages) for name in ("a", "b", "c", "d")]
    first, second = Located(("one.example", 443)), Located(("two.example", 443))
    for request in requests:
        ask(retrying(first, attempts=2, budget=14.0), request)
    assert len(first.requests) == len(requests) + 1
    ask(retrying(second, attempts=2, budget=14.0), requests[0])
    assert len(second.requests) == 2


@pytest.mark.parametrize("way", ["stream", "astream", "achat", "embed"])
async def test_the_budget_applies_to_every_way_of_calling(way: str):
    llmops.configure(retry={"attempts": 3, "budget": 14.0, "base": 0.001})
    down = FailingProvider(llmops.ServerError("down"))

    async def call() -> object:
        if way == "stream":
            return list(llmops.stream("Hi"))
        if way == "astream":
            return [chunk async for chunk in llmops.astream("Hi")]
        return await llmops.achat("Hi") if way == "achat" else llmops.embed(["Hi"])

    with use_clock(ManualClock()), use_provider(down):
        for _ in range(10):
            with pytest.raises(llmops.ServerError):
                await call()
    assert len(down.requests) == 11


def test_a_call_without_budget_falls_back():
    llmops.configure(retry={"attempts": 3, "budget": 14.0}, fallbacks=["offline/echo"], model="openai/gpt")
    down = FailingProvider(llmops.ServerError("down"))
    with use_clock(ManualClock()), use_provider(down, model="openai/*"):
        assert [llmops.chat("Hi").model for _ in range(5)] == ["echo"] * 5
    assert len(down.requests) == 6


def test_use_provider_starts_with_a_full_budget():
    llmops.configure(retry={"attempts": 2, "budget": 14.0})
    for _ in range(3):
        with use_clock(ManualClock()), use_provider(FailingProvider(llmops.ServerError, times=1)):
            assert llmops.chat("Hi").text == "ok"
