"""The stage around a real provider and a real server: outages, cancellation in every phase, and time-outs."""

from __future__ import annotations

import asyncio
import gc

import pytest
from loopback import Fault
from openai_server import OpenAIServer
from traffic_waits import settle, until

from llmops_sdk.config import ModelSettings, RetrySettings, Settings, Timeout, resolve_model
from llmops_sdk.errors import (
    CircuitOpenError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers import Request, open_provider
from llmops_sdk.resilience import RetryProvider
from llmops_sdk.resilience.traffic._provider import TrafficProvider

pytestmark = pytest.mark.slow  # importing litellm takes seconds

OPEN = 30.0
HOLD = Fault(hold_after=2)
DOWN = Fault(status=500)


def asked(total=60.0):
    return Request(
        model="openai/m",
        messages=[{"role": "user", "content": "x" * 32}],
        params={"max_tokens": 50},
        timeout=Timeout(total=total),
    )


@pytest.fixture
def server():
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def provider_at(monkeypatch):
    monkeypatch.setenv("TEAM_KEY", "key-for-tests")

    def make(url):
        entry = ModelSettings(model="openai/m", base_url=url, api_key_env="TEAM_KEY")
        provider = open_provider(resolve_model(Settings(models={"m": entry}), "m"))
        opened.append(provider)
        return provider

    opened = []
    yield make
    for provider in opened:
        provider.close()


@pytest.fixture
def deployed(server, provider_at, deploy):
    return deploy(provider_at(server.base_url), concurrency=100, limit_tokens=1e6)


@pytest.fixture
def probing(deployed, clock):
    """Return the deployment as it is when its open time is over."""
    deployed.breaker.admit().end("failure")
    clock.advance(OPEN)
    return deployed


def ways(provider, request):
    """Return each way to make a call: sync, async, and both streams."""

    async def collect():
        return [chunk async for chunk in provider.astream(request)]

    return {
        "complete": lambda: provider.complete(request),
        "acomplete": lambda: asyncio.run(provider.acomplete(request)),
        "stream": lambda: list(provider.stream(request)),
        "astream": lambda: asyncio.run(collect()),
    }


WAYS = ["complete", "acomplete", "stream", "astream"]


@pytest.mark.parametrize("way", WAYS)
def test_a_call_counts_what_the_server_says(deployed, way):
    ways(deployed.stage, asked())[way]()
    assert deployed.spent == 11 + 7
    assert deployed.is_idle()


@pytest.mark.parametrize("way", WAYS)
def test_an_open_breaker_keeps_requests_from_the_server(server, deployed, way):
    server.faults.extend([DOWN] * 5)
    ask = ways(deployed.stage, asked())[way]
    with pytest.raises(ServerError):
        ask()
    for _ in range(5):
        with pytest.raises(CircuitOpenError):
            ask()
    assert len(server.requests) == 1
    assert deployed.spent == 0


async def test_of_100_tasks_one_request_reaches_the_server_when_the_time_is_up(server, probing):
    server.faults.append(Fault(hold_after=1))
    tasks = [asyncio.create_task(probing.stage.acomplete(asked())) for _ in range(100)]
    await settle(lambda: sum(task.done() for task in tasks) == 99)
    await asyncio.to_thread(until, lambda: server.requests)
    (probe,) = [task for task in tasks if not task.done()]
    probe.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found].count(CircuitOpenError) == 99
    assert len(server.requests) == 1
    assert (probing.breaker.state, probing.breaker.is_ready) == ("half_open", True)
    assert probing.is_idle()


async def test_a_request_cancelled_on_its_way_frees_the_connection_and_everything_taken(server, probing):
    server.faults.append(HOLD)
    task = asyncio.create_task(probing.stage.acomplete(asked()))
    await asyncio.to_thread(until, lambda: server.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.left.wait, 30)
    assert probing.breaker.is_ready
    assert probing.is_idle()


async def test_a_stream_cancelled_on_its_way_frees_the_connection_and_everything_taken(server, probing):
    server.faults.append(HOLD)
    got = asyncio.Event()

    async def read():
        async for _ in probing.stage.astream(asked()):
            got.set()

    task = asyncio.create_task(read())
    await got.wait()
    assert probing.breaker.state == "closed"  # the first piece ended the probe
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.left.wait, 30)
    assert probing.is_idle()


@pytest.mark.parametrize("end", ["closed", "abandoned"])
def test_a_stream_left_early_frees_the_connection_and_everything_taken(server, probing, end):
    server.faults.append(HOLD)
    chunks = probing.stage.stream(asked())
    next(chunks)
    if end == "closed":
        chunks.close()
    del chunks
    gc.collect()
    assert server.left.wait(30)
    until(probing.is_idle)
    assert probing.breaker.state == "closed"


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("fault", [Fault(cut_after=4), Fault(eof_after=4), Fault(error_after=4)], ids=repr)
def test_a_stream_that_breaks_is_a_failure(server, deployed, way, fault):
    server.faults.append(fault)
    with pytest.raises(StreamInterruptedError):
        ways(deployed.stage, asked())[way]()
    assert deployed.breaker.state == "open"
    assert deployed.spent > 11  # the prompt, and what arrived
    assert deployed.is_idle()


@pytest.mark.parametrize("way", WAYS)
def test_a_time_out_is_a_failure_whichever_stage_notices_it(server, provider_at, deploy, system_clock, way):
    server.faults.append(HOLD)
    deployed = deploy(provider_at(server.base_url), clock=system_clock)
    retrying = RetryProvider(deployed.stage, RetrySettings(attempts=1))
    with pytest.raises((ProviderTimeoutError, StreamInterruptedError)):
        ways(retrying, asked(total=0.5))[way]()
    assert deployed.breaker.state == "open"
    assert deployed.spent > 0
    until(deployed.is_idle)


@pytest.mark.parametrize("way", WAYS)
def test_the_callers_own_retry_passes_after_the_servers_retry_after(server, provider_at, deploy, system_clock, way):
    server.faults.append(Fault(status=429, headers={"retry-after": "0.1"}))
    deployed = deploy(provider_at(server.base_url), clock=system_clock)
    retrying = RetryProvider(deployed.stage, RetrySettings(attempts=2, base=0.001))
    ways(retrying, asked())[way]()
    assert len(server.requests) == 2
    assert deployed.spent == 18


def test_a_retry_after_holds_for_another_stage_of_the_deployment(server, deployed, provider_at):
    server.faults.append(Fault(status=429, headers={"retry-after": "7"}))
    other = TrafficProvider(provider_at(server.base_url), "east", breaker=deployed.breaker, clock=deployed.clock)
    with pytest.raises(RateLimitError):
        deployed.stage.complete(asked())
    with pytest.raises(CircuitOpenError) as caught:
        other.complete(asked())
    assert caught.value.retry_at == pytest.approx(7, abs=0.05)
    assert len(server.requests) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_is_not_there_is_a_failure_that_costs_nothing(provider_at, deploy, way):
    deployed = deploy(provider_at("http://127.0.0.1:9/v1"))
    with pytest.raises(ProviderConnectionError):
        ways(deployed.stage, asked())[way]()
    assert (deployed.breaker.state, deployed.spent) == ("open", 0)


@pytest.mark.parametrize("fault", [DOWN, Fault(drop=True)], ids=["500", "dropped"])
def test_a_failed_probe_opens_it_again_and_a_good_one_closes_it(server, probing, clock, fault):
    server.faults.append(fault)
    with pytest.raises((ServerError, ProviderConnectionError)):
        probing.stage.complete(asked())
    assert probing.breaker.state == "open"
    clock.advance(OPEN)
    assert probing.stage.complete(asked()).text == "Good day to you."
    assert probing.breaker.state == "closed"
