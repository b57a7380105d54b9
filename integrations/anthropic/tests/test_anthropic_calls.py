"""Instrument Anthropic's real client, and call a server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import llmops_sdk_anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, RateLimitError
from anthropic_server import AnthropicServer
from loopback import Fault, Reply

import llmops_sdk as llmops
from llmops_sdk.testing import Traces


@pytest.fixture(autouse=True)
def instrumented() -> Iterator[None]:
    llmops_sdk_anthropic.instrument()
    yield
    llmops_sdk_anthropic.uninstrument()


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer(Reply(cached_tokens=4)) as running:
        yield running


MODEL = "claude-opus-4-5"
MESSAGES = [{"role": "user", "content": "Where is my card?"}]


def ask(server: AnthropicServer) -> str:
    with Anthropic(api_key="key", base_url=server.url, max_retries=0) as client:
        answer = client.messages.create(model=MODEL, max_tokens=9, system="You answer.", messages=MESSAGES)
    return "".join(block.text for block in answer.content if block.type == "text")


def test_call_is_one_row_below_our_span(server: AnthropicServer, llmops_traces: Traces) -> None:
    with llmops.context(session_id="s", user_id="u"), llmops.span("answer") as above:
        assert ask(server) == "Good day to you."
    # The client also makes a span of its own, below the instrumentor's. It must not count as a second call.
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["parent_span_id"], row["trace_id"]) == (above.span_id, above.trace_id)
    assert (row["provider"], row["request_model"], row["model"]) == ("anthropic", MODEL, f"{MODEL}-served")
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"]) == (11, 7, 4)
    assert (row["finish_reason"], row["session_id"], row["user_id"]) == ("stop", "s", "u")
    (answer,) = json.loads(row["output_messages"])
    assert answer["parts"] == [{"type": "text", "content": "Good day to you."}]
    assert llmops_traces.sql("SELECT sum(input_tokens) FROM traces").scalar() == 11


async def _stream(server: AnthropicServer) -> str:
    async with (
        AsyncAnthropic(api_key="key", base_url=server.url, max_retries=0) as client,
        client.messages.stream(model=MODEL, max_tokens=9, messages=MESSAGES) as stream,
    ):
        return "".join([text async for text in stream.text_stream])


def test_async_stream_is_recorded(server: AnthropicServer, llmops_traces: Traces) -> None:
    assert asyncio.run(_stream(server)) == "Good day to you."
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["output_tokens"], row["status"], row["finish_reason"]) == (7, "ok", "stop")


def test_tool_calls_are_recorded(server: AnthropicServer, llmops_traces: Traces) -> None:
    server.reply = Reply(text="", tool_calls=(("weather", {"city": "Oslo"}),))
    ask(server)
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert row["finish_reason"] == "tool_calls"
    (answer,) = json.loads(row["output_messages"])
    assert answer["parts"] == [{"type": "tool_call", "id": "toolu_0", "name": "weather", "arguments": {"city": "Oslo"}}]


def test_client_error_is_recorded_and_raised_unchanged(server: AnthropicServer, llmops_traces: Traces) -> None:
    server.faults.append(Fault(status=429))
    with pytest.raises(RateLimitError):
        ask(server)
    (row,) = llmops_traces.sql("FROM llm_calls").dicts()
    assert (row["status"], row["error_type"], row["request_model"]) == ("error", "RateLimitError", MODEL)


def test_instrument_twice_records_once_and_uninstrument_stops(server: AnthropicServer, llmops_traces: Traces) -> None:
    llmops_sdk_anthropic.instrument()
    ask(server)
    llmops_sdk_anthropic.uninstrument()
    llmops_sdk_anthropic.uninstrument()
    ask(server)
    rows = llmops_traces.sql("SELECT scope, count(*) FROM llm_calls GROUP BY ALL ORDER BY ALL").rows()
    # The second call has only the client's own span.
    assert rows == [("com.anthropic.sdk.python", 1), ("openinference.instrumentation.anthropic", 1)]
