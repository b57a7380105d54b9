"""Providers of a test, and blocked calls to real ones: whole, streamed, async, in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

import llmops_sdk as llmops
from llmops_sdk.providers import Embeddings
from llmops_sdk.testing import (
    FailingProvider,
    ManualClock,
    RealCallBlockedError,
    ScriptedProvider,
    Traces,
    block_real_calls,
    use_clock,
    use_provider,
)


async def _first(stream: llmops.AsyncStream) -> str:
    async for chunk in stream:
        if chunk.text:
            return chunk.text
    return ""


def _prompt(question: str) -> str:
    return question


CALLS: dict[str, Callable[[str], object]] = {
    "chat": lambda model: llmops.chat("Hi", model=model, retry=False).text,
    "achat": lambda model: asyncio.run(llmops.achat("Hi", model=model, retry=False)).text,
    "stream": lambda model: "".join(chunk.text for chunk in llmops.stream("Hi", model=model, retry=False)),
    "astream": lambda model: asyncio.run(_first(llmops.astream("Hi", model=model, retry=False))),
    "embed": lambda model: llmops.embed(["Hi"], model=model).vectors,
    "aembed": lambda model: asyncio.run(llmops.aembed(["Hi"], model=model)).vectors,
    "LLM": lambda model: llmops.LLM(model).chat("Hi").text,
    "@llm": lambda model: llmops.llm(model=model)(_prompt)("Hi"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_real_call_is_blocked_and_never_sent(call: Callable[[str], object], real, llmops_traces: Traces):
    model = f"{real.base_url}#llama"
    with block_real_calls(), pytest.raises(RealCallBlockedError) as caught:
        call(model)

    assert caught.value.model == "openai/llama"
    assert isinstance(caught.value, llmops.LLMOpsError)
    assert not isinstance(caught.value, llmops.ProviderError)
    assert 'block_real_calls(allow=["openai/llama"])' in str(caught.value)
    assert 'use_provider(ScriptedProvider(["…"]), model="openai/llama")' in str(caught.value)
    assert real.requests == []
    assert llmops_traces.sql("SELECT error_type, status FROM llm_calls").rows() == [("RealCallBlockedError", "error")]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_offline_models_answer_as_before(call: Callable[[str], object]):
    expected = call("offline/echo")
    with block_real_calls():
        assert call("offline/echo") == expected


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_provider_of_the_test_serves_every_way_of_calling(call: Callable[[str], object], real):
    vectors = [[0.5, 0.5]]
    provider = ScriptedProvider([lambda request: "Hello." if request.messages else Embeddings(vectors=vectors)])
    with block_real_calls(), use_provider(provider):
        assert call(f"{real.base_url}#llama") in ("Hello.", "Hello", vectors)
    assert len(provider.requests) == 1
    assert real.requests == []


def test_a_blocked_call_is_not_retried_and_names_the_model(real, llmops_traces: Traces):
    llmops.configure(models={"smart": {"model": "openai/gpt-x", "base_url": real.base_url}}, retry={"attempts": 5})
    with block_real_calls(), pytest.raises(RealCallBlockedError, match=r'"openai/gpt-x" \(as "smart"\)'):
        llmops.chat("Hi", model="smart")
    assert llmops_traces.sql("SELECT count(*) FROM attempts").scalar() == 0  # nothing was tried


def test_allowed_models_are_called(real, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 8)
    llmops.configure(models={"smart": {"model": "openai/gpt-x", "base_url": real.base_url}})
    for allow in (["openai/*"], ["smart"], ["other", "openai/gpt-x"]):
        with block_real_calls(allow=allow):
            assert llmops.chat("Hi", model="smart").text == real.reply.text
    with block_real_calls(allow=["openai/gpt-y", "anthropic/*"]), pytest.raises(RealCallBlockedError):
        llmops.chat("Hi", model="smart")
    assert len(real.requests) == 3


def test_the_innermost_block_decides_and_afterwards_calls_go_out_again(real, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 8)
    llmops.configure(models={"smart": {"model": "openai/gpt-x", "base_url": real.base_url}}, model="smart")
    with llmops.LLM() as assistant:
        assert assistant.chat("One").text  # its provider is open before any block
        with block_real_calls():
            with block_real_calls(allow=["smart"]):
                assert assistant.chat("Two").text
            with pytest.raises(RealCallBlockedError):
                assistant.chat("Three")
        assert assistant.chat("Four").text
    assert [request.body["messages"][0]["content"] for request in real.requests] == ["One", "Two", "Four"]


def test_a_stream_that_was_made_before_is_blocked_at_its_first_piece(real):
    stream = llmops.stream("Hi", model=f"{real.base_url}#llama")
    with block_real_calls(), pytest.raises(RealCallBlockedError):
        next(iter(stream))
    assert real.requests == []


def test_every_thread_is_blocked(real):
    caught: list[str] = []

    def call() -> None:
        try:
            llmops.chat("Hi", model=f"{real.base_url}#llama")
        except RealCallBlockedError as error:
            caught.append(error.model)

    with block_real_calls():
        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert caught == ["openai/llama"] * 8
    assert real.requests == []


def test_a_bare_string_and_use_as_a_decorator_are_rejected():
    with pytest.raises(TypeError, match=r"allow='openai/\*' is not a list of models: write allow=\['openai/\*'\]"):
        block_real_calls(allow="openai/*")
    with pytest.raises(TypeError):
        block_real_calls()(lambda: None)  # type: ignore[operator]  # pyright: ignore[reportCallIssue]


def test_the_innermost_matching_provider_serves_despite_blocks():
    general, special = ScriptedProvider(["general"], repeat=True), ScriptedProvider(["special"], repeat=True)
    with use_provider(general), use_provider(special, model="openai/*"), block_real_calls():
        assert llmops.chat("Hi", model="openai/gpt-x").text == "special"
        assert llmops.chat("Hi", model="anthropic/claude").text == "general"
        assert llmops.chat("Hi").text == "general"
        with use_provider(general, model="openai/gpt-x"):
            assert llmops.chat("Hi", model="openai/gpt-x").text == "general"
            assert llmops.chat("Hi", model="openai/gpt-y").text == "special"
    assert llmops.chat("Hi").text == "Hi"


def test_the_stages_around_a_model_stay(llmops_traces: Traces):
    scripted = ScriptedProvider([llmops.ServerError, "first", "second"])
    llmops.configure(cache={"exact": True})
    with use_clock(ManualClock()) as clock, use_provider(scripted, model="offline/echo"):
        answers = [llmops.chat(f"card {'4111 1111' + ' 1111 1111'}", guards=["cards"]) for _ in range(2)]
    assert [answer.text for answer in answers] == ["first", "first"]
    assert [answer.cache for answer in answers] == [None, "exact"]
    assert answers[0].provider == "scripted"
    assert len(clock.waits) == 1
    assert scripted.remaining == 1
    assert "1111" not in scripted.requests[0].messages[0]["content"]
    sql = "SELECT provider, simulated, attempts, cache FROM llm_calls ORDER BY start_ns"
    assert llmops_traces.sql(sql).rows() == [("scripted", True, 2, None), ("scripted", True, 0, "exact")]


def test_offline_models_wait_on_the_clock():
    llmops.configure(options={"latency": 30})
    with use_clock(ManualClock()) as clock:
        assert llmops.chat("Hi").text == "Hi"
        assert clock.waits == [30]


async def test_async_waits_use_the_clock():
    with use_clock(ManualClock()) as clock, use_provider(FailingProvider(llmops.ServerError, times=2)):
        assert (await llmops.achat("Hi")).text == "ok"
    assert len(clock.waits) == 2
