"""Instrument OpenAI's real client, and call a server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import llmops_sdk_openai
import pytest
from loopback import Fault, Reply
from openai import AsyncOpenAI, OpenAI, RateLimitError
from openai_server import OpenAIServer
from openinference.instrumentation.openai import OpenAIInstrumentor

import llmops_sdk as llmops
from llmops_sdk.testing import Traces


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    llmops_sdk_openai.instrument()
    yield
    llmops_sdk_openai.uninstrument()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(Reply(cached_tokens=4)) as running:
        yield running


MESSAGES = [{"role": "user", "content": "Where is my card?"}]


def ask(server: OpenAIServer) -> str | None:
    with OpenAI(api_key="key", base_url=server.base_url, max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES)
    return answer.choices[0].message.content


def test_call_is_one_row_below_our_span(server: OpenAIServer, llmops_traces: Traces) -> None:
    with llmops.context(session_id="s", user_id="u"), llmops.span("answer") as above:
        assert ask(server) == "Good day to you."
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["parent_span_id"], row["trace_id"]) == (above.span_id, above.trace_id)
    assert (row["provider"], row["request_model"], row["model"]) == ("openai", "gpt-4.1-mini", "gpt-4.1-mini-served")
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (11, 7, 4)
    assert (row["finish_reason"], row["session_id"], row["user_id"]) == ("stop", "s", "u")
    contents = llmops_traces.sql("SELECT role, content FROM messages ORDER BY direction").rows()
    assert contents == [("user", "Where is my card?"), ("assistant", "Good day to you.")]


async def _stream(server: OpenAIServer) -> str:
    async with AsyncOpenAI(api_key="key", base_url=server.base_url, max_retries=0) as client:
        chunks = await client.chat.completions.create(
            model="gpt-4.1-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]
    return "".join(pieces)


def test_async_stream_is_recorded(server: OpenAIServer, llmops_traces: Traces) -> None:
    assert asyncio.run(_stream(server)) == "Good day to you."
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["output_tokens"], row["status"]) == (7, "ok")
    assert row["ttft_ms"] > 0


def test_client_error_is_recorded_and_raised_unchanged(server: OpenAIServer, llmops_traces: Traces) -> None:
    server.faults.append(Fault(status=429))
    with pytest.raises(RateLimitError):
        ask(server)
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["status"], row["error_type"], row["request_model"]) == ("error", "RateLimitError", "gpt-4.1-mini")


def test_instrument_twice_records_once_and_uninstrument_stops(server: OpenAIServer, llmops_traces: Traces) -> None:
    llmops_sdk_openai.instrument()
    ask(server)
    llmops_sdk_openai.uninstrument()
    llmops_sdk_openai.uninstrument()
    ask(server)
    llmops_sdk_openai.instrument()
    ask(server)
    assert llmops_traces.sql("SELECT count(*) FROM llm_calls").scalar() == 2


def test_instrumentor_of_the_application_stays_on(server: OpenAIServer, llmops_traces: Traces) -> None:
    llmops_sdk_openai.uninstrument()
    theirs = OpenAIInstrumentor()
    theirs.instrument()
    llmops_sdk_openai.instrument()
    llmops_sdk_openai.uninstrument()
    try:
        ask(server)
    finally:
        theirs.uninstrument()
    assert llmops_traces.sql("SELECT count(*) FROM llm_calls").scalar() == 1


def test_call_of_the_sdk_is_counted_once(
    server: OpenAIServer, llmops_traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    assert llmops.chat("Where is my card?", model="openai/gpt-4.1-mini").text == "Good day to you."
    (row,) = llmops_traces.sql("SELECT name, input_tokens FROM llm_calls").rows()
    assert row == ("chat gpt-4.1-mini", 11)
