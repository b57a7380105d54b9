"""One model on two servers: one turns slow, then fails, then recovers. Real HTTP on loopback, and SQL afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from loopback import Fault, Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.providers import Request
from llmops_sdk.testing import ManualClock, ScriptedProvider, block_real_calls, use_clock, use_provider

SLOW, DOWN = Fault(hold_after=0), Fault(status=500)
PRICE = {"input": 1_000.0, "output": 1_000.0}
COST = 18 / 1_000  # the server counts 11 tokens of the prompt and 7 of the answer
NAME = """attributes->>'$."llmops.model.name"'"""
Ask = Callable[[], llmops.Response]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, OpenAIServer]]:
    monkeypatch.setenv("OPENAI_API_KEY", uuid.uuid4().hex)
    with ExitStack() as stack:
        yield {name: stack.enter_context(OpenAIServer(Reply(text=f"From {name}."))) for name in ("east", "west")}


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    with use_clock(ManualClock()) as clock:
        yield clock


def configure(servers: dict[str, OpenAIServer], **options: Any) -> None:
    named = {name: {"model": "openai/gpt-x", "base_url": server.base_url} for name, server in servers.items()}
    smart = {"deployments": list(servers), "balance": "weighted"} | options.pop("smart", {})
    llmops.configure(
        models={"smart": smart, **named},
        prices={"openai/gpt-x": PRICE},
        **{"retry": {"attempts": 2, "base": 0.001}, **options},
    )


@pytest.fixture(params=["chat", "achat", "stream", "astream"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Each of the four ways to a whole answer of the model "smart"; the async ones in one loop."""

    def stream() -> llmops.Response:
        chunks = llmops.stream("Hi", model="smart")
        assert "".join([chunk.text for chunk in chunks]) == chunks.response.text
        return chunks.response

    async def astream() -> llmops.Response:
        chunks = llmops.astream("Hi", model="smart")
        assert "".join([chunk.text async for chunk in chunks]) == chunks.response.text
        return chunks.response

    sync: dict[str, Ask] = {"chat": lambda: llmops.chat("Hi", model="smart"), "stream": stream}
    if request.param in sync:
        yield sync[request.param]
        return
    with asyncio.Runner() as runner:
        if request.param == "achat":
            yield lambda: runner.run(llmops.achat("Hi", model="smart"))
        else:
            yield lambda: runner.run(astream())


def asked(servers: dict[str, OpenAIServer]) -> dict[str, int]:
    return {name: len(server.requests) for name, server in servers.items()}


@pytest.mark.thorough
def test_a_deployment_turns_slow_then_fails_then_recovers(servers, ask, clock, rows):
    def control(delay: float) -> None:
        configure(
            servers,
            limits={"concurrency": 8},
            breaker={"failures": 2, "open_seconds": 30.0},
            hedge={"share": 1.0, "samples": 2, "min_delay": delay},
            budgets=[{"name": "all", "limit_usd": 100.0}],
        )

    east = servers["east"]
    # Well: they take turns. No call of this phase is as slow as a minute.
    control(60.0)
    answers = [ask() for _ in range(4)]
    assert [answer.text for answer in answers] == [f"From {answer.deployment}." for answer in answers]
    assert Counter(answer.deployment for answer in answers) == {"east": 2, "west": 2}

    # East turns slow: a hedge to west answers its calls. Other settings go on with the same latencies.
    control(0.1)
    east.faults.extend([SLOW] * 100)
    slow = [ask() for _ in range(4)]
    assert {(answer.deployment, answer.cost) for answer in slow} == {("west", COST)}
    won = [
        answer.attempts
        for answer in slow
        if answer.attempts[-1].reason == "hedge" and answer.attempts[-1].status == "ok"
    ]
    assert won
    for attempts in won:
        assert [(one.deployment, one.status) for one in attempts] == [("east", "cancelled"), ("west", "ok")]

    # East fails: its calls are repeated at west, until its breaker opens.
    control(60.0)
    east.faults.clear()
    east.faults.extend([DOWN] * 2)
    before = asked(servers)
    down = [ask() for _ in range(10)]
    assert {answer.deployment for answer in down} == {"west"}
    assert asked(servers) == {"east": before["east"] + 2, "west": before["west"] + 10}
    repeated = [answer.attempts for answer in down if len(answer.attempts) == 2]
    assert [[(one.deployment, one.status_code) for one in attempts] for attempts in repeated] == [
        [("east", 500), ("west", None)]
    ] * 2

    # East recovers: one probe closes its breaker, and they take turns again.
    clock.advance(31)
    well = [ask() for _ in range(6)]
    assert {answer.deployment for answer in well} == {"east", "west"}

    answers += slow + down + well
    found = rows(f"SELECT {NAME} AS name, deployment, count(*) AS calls, sum(cost) AS usd FROM llm_calls GROUP BY ALL")
    assert {row["name"] for row in found} == {"smart"}
    assert {row["deployment"]: row["calls"] for row in found} == Counter(answer.deployment for answer in answers)
    assert sum(row["usd"] for row in found) == pytest.approx(24 * COST)
    sent = rows("SELECT deployment, reason, status, count(*) AS sent FROM attempts GROUP BY ALL ORDER BY ALL")
    assert {(row["deployment"], row["reason"], row["status"]): row["sent"] for row in sent} == Counter(
        (one.deployment, one.reason, one.status) for answer in answers for one in answer.attempts
    )
    ports = rows("SELECT DISTINCT deployment, CAST(attributes->>'$.\"server.port\"' AS INT) AS port FROM llm_calls")
    assert {row["deployment"]: row["port"] for row in ports} == {
        name: int(server.url.rpartition(":")[2]) for name, server in servers.items()
    }
    decisions = rows("SELECT policy, decision, deployment, cost FROM traffic ORDER BY time")
    assert [(row["decision"], row["deployment"]) for row in decisions if row["policy"] == "breaker"] == [
        (decision, "east") for decision in ("opened", "half_open", "closed")
    ]
    hedges = [(row["decision"], row["cost"]) for row in decisions if row["policy"] == "hedge"]
    assert hedges.count(("won", pytest.approx(COST))) == len(won)
    assert len([decision for decision, _ in hedges if decision == "hedged"]) * 2 == len(hedges)


def test_without_any_ready_deployment_the_call_fails_at_once_and_falls_back(servers, ask, clock):
    configure(servers, breaker={"failures": 1}, retry={"attempts": 1})
    for server in servers.values():
        server.faults.append(DOWN)
    for _ in range(2):
        with pytest.raises(llmops.ServerError):
            ask()
    with pytest.raises(llmops.CircuitOpenError, match="none of its 2 deployments is ready") as caught:
        ask()
    assert caught.value.retry_at == pytest.approx(30.0)
    assert asked(servers) == {"east": 1, "west": 1}
    configure(servers, breaker={"failures": 1}, smart={"fallbacks": ["offline/echo"]})
    answer = ask()
    assert (answer.text, answer.simulated, answer.deployment) == ("Hi", True, None)


def test_limits_of_a_deployment_hold_for_its_own_name_and_through_a_model(servers):
    configure(servers, limits={"requests_per_minute": 1.0, "queue": 0}, retry={"attempts": 1})
    with use_clock(ManualClock()):
        assert llmops.chat("Hi", model="east").deployment == "east"
        assert llmops.chat("Hi", model="smart").deployment == "west"
        with pytest.raises(llmops.LimitExceededError):
            llmops.chat("Hi", model="smart")
    assert asked(servers) == {"east": 1, "west": 1}


def test_vectors_are_shared_among_deployments(servers):
    llmops.configure(
        models={
            "vectors": {"deployments": ["one", "two"], "balance": "weighted"},
            "one": {"model": "offline/echo"},
            "two": {"model": "offline/script"},
        }
    )
    assert [llmops.embed(["a"], model="vectors").deployment for _ in range(3)] == ["one", "two", "one"]


def test_a_named_model_is_the_deployment_of_its_calls(servers, rows):
    configure(servers)
    assert llmops.chat("Hi", model="east").deployment == "east"
    assert llmops.chat("Hi", model="offline/echo").deployment is None
    found = rows(f"SELECT {NAME}, deployment FROM llm_calls ORDER BY start_time")
    assert [tuple(row.values()) for row in found] == [("east", "east"), ("offline/echo", None)]
    found = rows("SELECT deployment, model FROM attempts ORDER BY start_time")
    assert [tuple(row.values()) for row in found] == [("east", "gpt-x"), (None, "echo")]


def test_with_everything_off_nothing_stands_between_the_retries_and_the_provider(servers):
    llmops.configure(models={"plain": {"model": "offline/echo"}})
    with llmops.LLM(model="plain") as llm, llm._stages.lease() as stages:
        model = stages.model("plain")
        assert stages.served(model).provider is stages.provider(model)


def test_a_cached_answer_belongs_to_the_model_whichever_deployment_made_it(servers, ask):
    configure(servers, cache={"exact": True})
    first, second = ask(), ask()
    assert (first.cache, second.cache) == (None, "exact")
    assert sum(asked(servers).values()) == 1


def test_the_judge_of_a_guard_is_shared_among_deployments_too(servers):
    configure(servers)
    with llmops.LLM() as llm, llm._stages.lease() as stages:
        provider, _ = stages.judge("smart")
        request = Request(model="openai/gpt-x", messages=[{"role": "user", "content": "Hi"}])
        assert [provider.complete(request).deployment for _ in range(3)] == ["east", "west", "east"]


@pytest.mark.parametrize("model", ["smart", "east", "openai/gpt-x"])
def test_a_test_replaces_the_deployments_by_each_of_their_names(servers, model):
    configure(servers)
    with use_provider(ScriptedProvider(["scripted"]), model=model):
        assert llmops.chat("Hi", model="smart").text == "scripted"
    assert asked(servers) == {"east": 0, "west": 0}


def test_a_block_of_real_calls_allows_the_model_by_its_name(servers):
    configure(servers, retry={"attempts": 1})
    with block_real_calls(allow=["smart"]):
        assert llmops.chat("Hi", model="smart").text == "From east."
    with block_real_calls(), pytest.raises(llmops.RealCallBlockedError):
        llmops.chat("Hi", model="smart")
