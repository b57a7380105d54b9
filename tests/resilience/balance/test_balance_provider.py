"""The stage that shares calls among deployments."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from dataclasses import replace

import pytest
from four_ways import WAYS, answer_of
from gated_requests import Requests, after, at_once, never

from llmops_sdk.config import HedgeSettings, RetrySettings, Timeout
from llmops_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    CircuitOpenError,
    LimitExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers import Chunk, Provider, Request, Response
from llmops_sdk.providers.traffic import Health
from llmops_sdk.resilience import RetryProvider
from llmops_sdk.resilience.balance import BalanceProvider, Balancer, Deployment
from llmops_sdk.resilience.hedging import HedgePolicies, HedgeProvider

REQUEST = Request(model="a/one", messages=[{"role": "user", "content": "Hi"}], timeout=Timeout(total=100))


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def deployment(script):
    """Return a function that makes a deployment: its steps, and its health."""

    class Sick(script):
        def __init__(self, *steps, health):
            super().__init__(*steps)
            self._health = health

        def health(self):
            return self._health

    def make(name, *steps, health=None):
        return Deployment(name, f"{name}/one", Sick(*steps, health=health or Health()))

    return make


def balanced(*deployments, clock=None, balance="weighted"):
    # The first one has more weight, so that it gets the first call.
    weights = [2.0, *(1.0 for _ in deployments[1:])]
    given = {} if clock is None else {"clock": clock}
    return BalanceProvider(deployments, Balancer(balance, weights), name="smart", **given)


def good(way, text="Hello"):
    response = Response(text=text, finish_reason="stop", cost=0.25)
    return [Chunk(text=text), Chunk(finish_reason="stop", cost=0.25)] if "stream" in way else response


def test_it_is_a_provider(deployment):
    assert isinstance(balanced(deployment("east")), Provider)


@pytest.mark.parametrize("name", ["complete", "stream", "embed", "close", "prepare"])
def test_the_async_twin_has_the_same_parameters(name):
    sync, twin = (inspect.signature(getattr(BalanceProvider, one)) for one in (name, "a" + name))
    assert sync.parameters == twin.parameters


def test_the_answer_has_the_deployment_and_the_request_its_model(way, deployment):
    east = deployment("east", good(way))
    answer = answer_of(balanced(east, deployment("west")), REQUEST, way)
    assert (answer.text, answer.deployment) == ("Hello", "east")
    assert [request.model for request in east.provider.requests] == ["east/one"]


def test_an_error_has_the_deployment(way, deployment):
    error = ServerError("down")
    with pytest.raises(ServerError) as caught:
        answer_of(balanced(deployment("east", error)), REQUEST, way)
    assert caught.value.deployment == "east"


def test_vectors_are_shared_too(deployment):
    provider = balanced(deployment("east", *[Response()] * 4), deployment("west", *[Response()] * 4))
    made = [provider.embed(["a"], REQUEST).deployment for _ in range(3)]
    made += [asyncio.run(provider.aembed(["a"], REQUEST)).deployment for _ in range(3)]
    assert sorted(made) == ["east"] * 4 + ["west"] * 2


def test_a_vendors_own_parameters_go_only_to_that_vendor(way, deployment):
    east, west = deployment("east", good(way)), deployment("west", good(way))
    west.provider.name = "other"
    provider = balanced(east, west)
    for _ in range(2):
        answer_of(provider, replace(REQUEST, extra={"only": 1}), way)
    assert (east.provider.requests[0].extra, west.provider.requests[0].extra) == ({"only": 1}, {})


def test_a_deployment_that_is_not_ready_gets_no_call(way, deployment):
    west = deployment("west", good(way))
    answer = answer_of(balanced(deployment("east", health=Health(ready=False)), west), REQUEST, way)
    assert answer.deployment == "west"


@pytest.mark.parametrize(
    "refusal",
    [
        CircuitOpenError("open", retry_at=3.0),
        LimitExceededError("full"),
        BudgetExceededError("spent", per="model"),
        BudgetExceededError("spent", per="user", model="east"),
    ],
)
def test_the_next_deployment_gets_a_call_that_was_refused(way, deployment, refusal):
    west = deployment("west", good(way))
    answer = answer_of(balanced(deployment("east", refusal), west), REQUEST, way)
    assert answer.deployment == "west"


def test_a_budget_of_all_deployments_is_not_tried_at_each(way, deployment):
    west = deployment("west", good(way))
    with pytest.raises(BudgetExceededError):
        answer_of(balanced(deployment("east", BudgetExceededError("spent", per="user")), west), REQUEST, way)
    assert west.provider.requests == []


def test_the_time_in_a_queue_is_not_there_for_the_next_deployment(way, deployment, clock):
    def full(_request=None):
        clock.advance(30)
        raise LimitExceededError("full")

    east = deployment("east", [full] if "stream" in way else full)
    west = deployment("west", good(way))
    answer_of(balanced(east, west, clock=clock), REQUEST, way)
    assert west.provider.requests[0].timeout.total == 70


def test_without_time_the_refusal_is_the_answer(way, deployment, clock):
    def full(_request=None):
        clock.advance(100)
        raise LimitExceededError("full")

    west = deployment("west", good(way))
    with pytest.raises(LimitExceededError):
        answer_of(balanced(deployment("east", [full] if "stream" in way else full), west, clock=clock), REQUEST, way)
    assert west.provider.requests == []


def test_when_none_is_ready_the_error_says_which_is_first_and_when(way, deployment):
    provider = balanced(
        deployment("east", health=Health(ready=False, retry_in=20.0)),
        deployment("west", health=Health(ready=False, retry_in=7.0)),
    )
    with pytest.raises(CircuitOpenError, match=r"smart: none of its 2 deployments is ready; west .* in 7 s") as caught:
        answer_of(provider, REQUEST, way)
    assert (caught.value.retry_at, caught.value.deployment) == (7.0, "west")


def test_when_all_refuse_the_error_says_which_is_first_and_when(way, deployment):
    provider = balanced(
        deployment("east", CircuitOpenError("open", retry_at=20.0)),
        deployment("west", health=Health(ready=False, retry_in=30.0)),
    )
    with pytest.raises(CircuitOpenError) as caught:
        answer_of(provider, REQUEST, way)
    assert (caught.value.retry_at, caught.value.deployment) == (20.0, "east")


def test_a_full_deployment_says_more_than_one_that_is_down(way, deployment):
    provider = balanced(deployment("east", LimitExceededError("full")), deployment("west", CircuitOpenError("open")))
    with pytest.raises(LimitExceededError):
        answer_of(provider, REQUEST, way)


@pytest.mark.parametrize(
    "end", [CircuitOpenError("open"), ServerError("down"), BadRequestError("bad"), KeyboardInterrupt(), None]
)
def test_however_a_call_ends_it_is_under_way_no_longer(way, deployment, end):
    provider = balanced(deployment("east", good(way) if end is None else end), deployment("west", good(way)))
    with suppress(ServerError, BadRequestError, KeyboardInterrupt):
        answer_of(provider, REQUEST, way)
    assert [provider.balancer.busy(index) for index in (0, 1)] == [0, 0]


def test_a_stream_counts_as_under_way_until_it_is_closed(deployment):
    provider = balanced(deployment("east", good("stream")))
    chunks = provider.stream(REQUEST)
    next(chunks)
    assert provider.balancer.busy(0) == 1
    chunks.close()
    assert provider.balancer.busy(0) == 0


def test_a_broken_stream_is_not_begun_again_elsewhere(deployment):
    east = deployment("east", [Chunk(text="Hel"), LimitExceededError("late")])
    west = deployment("west", good("stream"))
    chunks = balanced(east, west).stream(REQUEST)
    assert next(chunks).text == "Hel"
    with pytest.raises(LimitExceededError):
        next(chunks)
    assert west.provider.requests == []


def test_its_health_is_that_of_the_deployment_with_the_most_room(deployment):
    healths = Health(in_flight=3, waiting=2), Health(in_flight=5), Health(ready=False, waiting=9)
    names = "east", "west", "north"
    trio = [deployment(name, health=health) for name, health in zip(names, healths, strict=True)]
    assert balanced(*trio).health() == Health(ready=True, in_flight=8, waiting=0)
    assert not balanced(trio[2]).health().ready


# --- with the retry and the hedge above ----------------------------------------------------------------------------


def retried(provider, attempts=3, clock=None):
    given = {} if clock is None else {"clock": clock}
    policy = RetrySettings(attempts=attempts, base=1.0)
    return RetryProvider(provider, policy, random=lambda _, high: high, routes=True, **given)


def tried(attempts):
    return [(one.number, one.deployment, one.model, one.reason, one.status) for one in attempts]


def test_a_retry_goes_at_once_to_another_deployment(way, deployment, clock):
    east = deployment("east", RateLimitError("slow down", status_code=429, retry_after=50))
    west = deployment("west", good(way))
    answer = answer_of(retried(balanced(east, west), clock=clock), REQUEST, way)
    assert answer.deployment == "west"
    assert tried(answer.attempts) == [(1, "east", "one", "first", "error"), (2, "west", "one", "retry", "ok")]
    # East asked for 50 seconds, which are no affair of west.
    assert clock.waits == [0.0]


def test_a_retry_waits_where_every_deployment_has_failed(way, deployment, clock):
    east = deployment("east", ServerError("down"), good(way))
    west = deployment("west", ServerError("down", retry_after=4))
    answer = answer_of(retried(balanced(east, west), clock=clock), REQUEST, way)
    assert [one.deployment for one in answer.attempts] == ["east", "west", "east"]
    assert clock.waits == [0.0, 4.0]


def test_a_bad_key_of_one_deployment_is_no_error_of_the_others(way, deployment, clock):
    east, west = deployment("east", AuthenticationError("no such key", status_code=401)), deployment("west", good(way))
    answer = answer_of(retried(balanced(east, west), clock=clock), REQUEST, way)
    assert [one.deployment for one in answer.attempts] == ["east", "west"]


def test_a_bad_request_is_bad_everywhere(way, deployment, clock):
    west = deployment("west", good(way))
    provider = retried(balanced(deployment("east", BadRequestError("bad")), west), clock=clock)
    with pytest.raises(BadRequestError) as caught:
        answer_of(provider, REQUEST, way)
    assert [one.deployment for one in caught.value.attempts] == ["east"]
    assert west.provider.requests == []


def test_one_attempt_is_one_attempt_with_several_deployments_too(way, deployment, clock):
    provider = retried(balanced(deployment("east", ServerError("down")), deployment("west", good(way))), 1, clock)
    with pytest.raises(ServerError):
        answer_of(provider, REQUEST, way)


def test_a_refusal_is_no_attempt(way, deployment, clock):
    provider = retried(balanced(deployment("east", CircuitOpenError("open")), deployment("west", good(way))))
    assert tried(answer_of(provider, REQUEST, way).attempts) == [(1, "west", "one", "first", "ok")]


def test_a_failure_says_more_than_the_refusal_of_its_retry(way, deployment, clock):
    provider = retried(balanced(deployment("east", ServerError("down"), CircuitOpenError("open"))), clock=clock)
    with pytest.raises(ServerError) as caught:
        answer_of(provider, REQUEST, way)
    assert [one.status for one in caught.value.attempts] == ["error"]
    assert "refused" in caught.value.__notes__[0]


def test_a_hedge_goes_to_another_deployment(way):
    policies = HedgePolicies.of(HedgeSettings(share=1.0, samples=2, min_delay=0.001))
    for policy in (policies.answers, policies.streams):
        for _ in range(5):
            policy.observe(0.0)
    slow, fast = Requests(never), Requests(at_once())
    pair = balanced(Deployment("east", "east/one", slow), Deployment("west", "west/one", fast))
    stage = HedgeProvider(pair, policies.answers.settings, policies=policies)
    try:
        answer = answer_of(RetryProvider(stage, RetrySettings(attempts=1), routes=True), REQUEST, way)
    finally:
        slow.released.set()
    assert answer.deployment == "west"
    assert tried(answer.attempts) == [(1, "east", "one", "first", "cancelled"), (2, "west", "one", "hedge", "ok")]


def test_a_retry_after_a_hedge_avoids_both_deployments(way):
    policies = HedgePolicies.of(HedgeSettings(share=1.0, samples=2, min_delay=0.001))
    for policy in (policies.answers, policies.streams):
        for _ in range(5):
            policy.observe(0.0)
    west = Requests(at_once(error=ServerError("down")))

    def until_west_has_failed(requests, request):
        policies.update(HedgeSettings(share=1.0, samples=2, min_delay=1_000.0))  # the retry is not hedged, however slow
        return after(0, error=ServerError("down"))(west, request)

    east, north = Requests(until_west_has_failed), Requests(at_once())
    names = {"east": east, "west": west, "north": north}
    trio = BalanceProvider(
        [Deployment(name, f"{name}/one", one) for name, one in names.items()], Balancer("weighted", [3.0, 2.0, 1.0])
    )
    stage = HedgeProvider(trio, policies.answers.settings, policies=policies)
    answer = answer_of(RetryProvider(stage, RetrySettings(attempts=2, base=0.001), routes=True), REQUEST, way)
    assert [one.deployment for one in answer.attempts] == ["east", "west", "north"]


def test_a_stream_that_broke_names_its_deployment(deployment, clock):
    east = deployment("east", [Chunk(text="Hel"), StreamInterruptedError("reset")])
    with pytest.raises(StreamInterruptedError) as caught:
        list(retried(balanced(east), clock=clock).stream(REQUEST))
    assert caught.value.deployment == "east"
    assert [one.deployment for one in caught.value.attempts] == ["east"]
