"""The function that opens the stage, and what stages of one deployment share."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmops_sdk.config import Settings, resolve_model
from llmops_sdk.errors import BudgetExceededError, CircuitOpenError, LimitExceededError, ServerError
from llmops_sdk.providers import Request, Response, Usage
from llmops_sdk.resilience.traffic import _registry
from llmops_sdk.resilience.traffic._open import traffic_provider
from llmops_sdk.resilience.traffic._registry import deployment_of, forget_traffic
from llmops_sdk.shared._local import LocalState

REQUEST = Request(model="script/one", messages=[{"role": "user", "content": "Hi"}], params={"max_tokens": 10})
GOOD = Response(text="Hello", finish_reason="stop", usage=Usage(input_tokens=5, output_tokens=5))


@pytest.fixture
def opened(clock, script):
    state = LocalState(clock)

    def make(*steps, name=None, **given):
        settings = Settings(**{"model": "offline/echo", "store": {"enabled": False}, **given})
        resolved = resolve_model(settings, name)
        return traffic_provider(resolved, script(*steps), settings=settings, state=state, clock=clock)

    return make


def test_with_everything_off_the_provider_has_no_stage(opened, script):
    assert isinstance(opened(), script)
    assert not _registry._deployments


def test_stages_of_one_deployment_share_limiter_and_breaker(opened):
    on = {"breaker": {"failures": 1}, "limits": {"concurrency": 1}}
    one, other = opened(ServerError("down", status_code=500), **on), opened(GOOD, **on)
    with pytest.raises(ServerError):
        one.complete(REQUEST)
    with pytest.raises(CircuitOpenError):
        other.complete(REQUEST)
    assert one.gates.limiter is other.gates.limiter
    assert one.gates.calls is other.gates.calls


def test_newer_settings_replace_the_older_ones_in_the_same_object(opened, clock):
    one = opened(ServerError("down", status_code=500), breaker={"failures": 1, "open_seconds": 5})
    with pytest.raises(ServerError):
        one.complete(REQUEST)
    other = opened(GOOD, ServerError("down"), GOOD, breaker={"failures": 2, "open_seconds": 50})
    with pytest.raises(CircuitOpenError):
        other.complete(REQUEST)
    clock.advance(5)
    other.complete(REQUEST)
    with pytest.raises(ServerError):
        other.complete(REQUEST)
    assert one.gates.breaker.state == "closed"


def test_newer_limits_hold_for_the_calls_inside(opened):
    one = opened(limits={"concurrency": 5, "queue": 0})
    held = one.gates.limiter.enter()
    opened(limits={"concurrency": 1, "queue": 0})
    with pytest.raises(LimitExceededError):
        one.complete(REQUEST)
    held.exit()


def test_named_models_and_servers_are_deployments_of_their_own(opened):
    models = {"east": {"model": "openai/m"}, "west": {"model": "openai/m"}}
    given = {"models": models, "breaker": {"failures": 1}, "price": {}}
    given.pop("price")
    names = ["east", "west", "openai/m", "https://user:secret@host:81/v1#m"]
    found = [opened(name=name, **given).deployment for name in names]
    assert found == ["east", "west", "openai/m", "openai/m@host:81"]


def test_a_budget_spans_deployments_and_newer_stages(opened):
    budget = {"budgets": [{"name": "team", "limit_tokens": 25, "window": "total"}]}
    opened(GOOD, **budget).complete(REQUEST)
    second = opened(GOOD, name="offline/script", **budget)
    with pytest.raises(BudgetExceededError) as caught:
        second.complete(REQUEST) and second.complete(REQUEST)
    assert (caught.value.budget, caught.value.left) == ("team", 5)


def test_a_budget_may_mean_the_model_by_any_of_its_names(opened):
    models = {"fast": {"model": "east"}, "east": {"model": "openai/m"}}
    for name in ("fast", "east", "openai/m"):
        budget = {"name": name, "limit_tokens": 1, "model": name}
        with pytest.raises(BudgetExceededError):
            opened(name="fast", models=models, budgets=[budget]).complete(REQUEST)


def test_the_registry_is_bounded(clock):
    for number in range(_registry._MOST_DEPLOYMENTS + 10):
        deployment_of(f"model {number}", clock)
    assert len(_registry._deployments) == _registry._MOST_DEPLOYMENTS
    assert "model 0" not in _registry._deployments


def test_forgotten_traffic_begins_anew(opened):
    on = {"breaker": {"failures": 1}}
    with pytest.raises(ServerError):
        opened(ServerError("down"), **on).complete(REQUEST)
    forget_traffic()
    opened(GOOD, **on).complete(REQUEST)


def test_threads_that_open_a_deployment_at_the_same_time_share_it(opened):
    barrier = threading.Barrier(8)

    def one(_):
        barrier.wait(30)
        return opened(breaker={"failures": 1}, limits={"concurrency": 1})

    with ThreadPoolExecutor(8) as pool:
        stages = list(pool.map(one, range(8)))
    assert len({id(stage.gates.breaker) for stage in stages}) == 1
    assert len({id(stage.gates.limiter) for stage in stages}) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_shares_no_lock_and_no_deployment(opened):
    on = {"breaker": {"failures": 1}}
    with pytest.raises(ServerError):
        opened(ServerError("down"), **on).complete(REQUEST)
    held, done = threading.Event(), threading.Event()

    def hold():
        with _registry._lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if opened(GOOD, **on).complete(REQUEST).text == "Hello" else 1)
    done.set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
