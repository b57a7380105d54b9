"""The same calls to servers on loopback: only the configuration changes."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault, Reply
from openai_server import OpenAIServer
from pydantic import BaseModel

import llmops_sdk as llmops


class Invoice(BaseModel):
    total: float


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    made = uuid.uuid4().hex
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", made)
    return made


def test_one_line_switches_the_provider(key, monkeypatch, rows):
    @llmops.llm(max_tokens=50)
    def ask(question: str) -> str:
        return f"Please: {question}"

    with OpenAIServer(Reply(text="From one.")) as one, AnthropicServer(Reply(text="From another.")) as other:
        monkeypatch.setenv("OPENAI_BASE_URL", one.base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", other.url)
        answers = [ask("Who?")]
        llmops.configure(model="openai/gpt-4.1-mini")
        answers.append(ask("Who?"))
        llmops.configure(model="anthropic/claude-sonnet-4-5")
        answers.append(ask("Who?"))
    assert answers == ["Please: Who?", "From one.", "From another."]
    assert key in one.requests[0].headers["authorization"]
    found = rows("SELECT provider, request_model, simulated, input_tokens FROM llm_calls ORDER BY start_ns")
    assert [row["provider"] for row in found] == ["offline", "openai", "anthropic"]
    assert [row["request_model"] for row in found] == ["echo", "gpt-4.1-mini", "claude-sonnet-4-5"]
    assert [bool(row["simulated"]) for row in found] == [True, False, False]
    assert [row["input_tokens"] for row in found[1:]] == [11, 11]


def test_attempts_equal_what_the_server_saw(key, rows):
    with OpenAIServer() as server:
        server.faults.extend([Fault(status=503), Fault(status=429, headers={"retry-after": "0"}), None])
        llmops.configure(
            models={"there": {"model": "openai/gpt-x", "base_url": server.base_url}}, retry={"base": 0.001}
        )
        answer = llmops.chat("Hi", model="there")
        assert [one.status_code for one in answer.attempts] == [503, 429, None]
        server.faults.append(Fault(status=400))
        with pytest.raises(llmops.BadRequestError) as caught:
            llmops.chat("Hi", model="there")
        assert len(caught.value.attempts) == 1
    assert len(server.requests) == 4
    assert rows("SELECT attempts, status FROM llm_calls ORDER BY start_ns") == [
        {"attempts": 3, "status": "ok"},
        {"attempts": 1, "status": "error"},
    ]


async def test_leaving_a_stream_closes_the_connection(key, rows):
    with OpenAIServer(Reply(text="one two three four")) as server:
        server.faults.extend([Fault(hold_after=2), Fault(hold_after=2)])
        url = f"{server.base_url}#gpt-x"
        with llmops.stream("Hi", model=url, retry=False) as stream:
            assert next(stream).text == "one "
        assert server.left.wait(10)
        server.left.clear()
        async with llmops.astream("Hi", model=url, retry=False) as twin:
            assert (await anext(twin)).text == "one "
        assert server.left.wait(10)
    assert stream.response.text == twin.response.text == "one "
    assert [row["status"] for row in rows("SELECT status FROM llm_calls")] == ["closed", "closed"]


def test_the_server_gets_the_schema_and_the_tools(key, monkeypatch):
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    with OpenAIServer(Reply(text='{"total": 3.5}')) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(model="openai/gpt-4.1-mini")
        assert llmops.chat("Read", response_model=Invoice, tools=[weather], extra={"vendor": 1}).parsed == Invoice(
            total=3.5
        )
        body = server.requests[0].body
    assert body["response_format"]["json_schema"]["name"] == "Invoice"
    assert "total" in json.dumps(body["response_format"])
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tools"][0]["function"]["description"] == "The weather of a city."
    assert body["vendor"] == 1


def test_a_guarded_prompt_never_leaves_the_process(key, monkeypatch):
    card = "4111" + " 1111" * 3
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(model="openai/gpt-4.1-mini", guardrails={"input": ["cards"]})
        llmops.chat(f"Charge {card} now", system=f"Not {card}")
        body = json.dumps(server.requests[0].body)
    assert card not in body
    assert "Charge" in body


@pytest.mark.parametrize("model", ["offline/echo", "openai/gpt-x"])
def test_attempts_and_calls_agree_on_provider_and_model(key, monkeypatch, rows, model):
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        answer = llmops.chat("Hi", model=model)
    provider, _, name = model.partition("/")
    assert [(one.provider, one.model) for one in answer.attempts] == [(provider, name)]
    joined = "SELECT c.request_model FROM llm_calls c JOIN attempts a USING (span_id, provider)"
    assert rows(f"{joined} WHERE a.model = c.request_model") == [{"request_model": name}]


@pytest.mark.parametrize("fault", [Fault(cut_after=3), Fault(eof_after=3)])
def test_the_partial_answer_of_a_cut_stream_has_its_attempts(key, rows, fault):
    with OpenAIServer(Reply(text="one two three four")) as server:
        server.faults.extend([Fault(status=503), fault])
        url = f"{server.base_url}#gpt-x"
        with pytest.raises(llmops.StreamInterruptedError) as caught:
            list(llmops.stream("Hi", model=url, retry={"base": 0.001}))
    partial = caught.value.partial
    assert [one.status for one in partial.attempts] == ["error", "error"]
    assert partial.attempts == caught.value.attempts
    assert rows("SELECT attempts FROM llm_calls") == [{"attempts": 2}]


def ask_for_invoice(style: str) -> None:
    async def ask() -> None:
        if style == "achat":
            await llmops.achat("How?", response_model=Invoice)
        else:
            _ = [chunk async for chunk in llmops.astream("How?", response_model=Invoice)]

    if style == "chat":
        llmops.chat("How?", response_model=Invoice)
    elif style == "stream":
        list(llmops.stream("How?", response_model=Invoice))
    else:
        asyncio.run(ask())


@pytest.mark.parametrize("style", ["chat", "achat", "stream", "astream"])
def test_a_refusal_over_http_is_kept_and_asked_once(key, monkeypatch, style):
    with OpenAIServer(Reply(text="", refusal="I cannot help with that.")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(model="openai/gpt-4.1-mini")
        with pytest.raises(llmops.ValidationFailedError, match="refused") as caught:
            ask_for_invoice(style)
        assert len(server.requests) == 1
    assert caught.value.response.refusal.strip() == "I cannot help with that."
    assert caught.value.response.finish_reason == "refusal"
