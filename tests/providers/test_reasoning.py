"""`.message` is ready to be appended: a second turn has the reasoning that its vendor requires."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import LoopbackServer, Recorded, Reply, sse
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.providers import Accumulator, Response, chunks_of

pytestmark = pytest.mark.slow  # importing litellm takes seconds

CALLS = (("find", {"a": 1}),)
TOOLS = [{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}]
SIGNATURE = "c2ln" * 8
BLOCKS = [
    {"type": "thinking", "thinking": "First, then second.", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
    {"type": "thinking", "thinking": "And third.", "signature": SIGNATURE[::-1]},
]


class ThinkingServer(AnthropicServer):
    """Thinks in several blocks before it calls a tool."""

    def whole(self, request: Recorded) -> dict[str, Any]:
        body = super().whole(request)
        return {**body, "content": [*BLOCKS, *body["content"]]}

    def events(self, request: Recorded) -> Iterator[bytes]:
        inner = iter(super().events(request))
        yield next(inner)
        for index, block in enumerate(BLOCKS):
            empty = {"thinking": "", "signature": ""} if "thinking" in block else {}
            start = {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
            yield sse(start, "content_block_start")
            deltas = []
            if "thinking" in block:
                words = block["thinking"].split(" ")
                deltas = [{"type": "thinking_delta", "thinking": f"{' ' if n else ''}{w}"} for n, w in enumerate(words)]
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            for delta in deltas:
                yield sse({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
            yield sse({"type": "content_block_stop", "index": index}, "content_block_stop")
        for event in inner:
            yield event.replace(b'"index": 0', b'"index": 3')


@pytest.fixture(params=["chat", "stream"])
def first_turn(request: pytest.FixtureRequest) -> Callable[..., Response]:
    def ask(**options: Any) -> Response:
        if request.param == "chat":
            return llmops.chat("Find it", tools=TOOLS, **options)
        chunks = llmops.stream("Find it", tools=TOOLS, **options)
        for _ in chunks:
            pass
        return chunks.response

    return ask


def second_turn(answer: Response, **options: Any) -> None:
    result = {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "found"}
    conversation = [{"role": "user", "content": "Find it"}, answer.message, result]
    llmops.chat(conversation, tools=TOOLS, **options)


def sent_assistant(server: LoopbackServer) -> dict[str, Any]:
    return next(message for message in server.requests[-1].body["messages"] if message["role"] == "assistant")


def test_anthropic_gets_its_thinking_blocks_back(first_turn: Callable[..., Response], monkeypatch: pytest.MonkeyPatch):
    options = {
        "model": "anthropic/claude-sonnet-4-5",
        "extra": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "max_tokens": 2048,
    }
    with ThinkingServer(Reply(text="", tool_calls=CALLS)) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key-for-tests")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        answer = first_turn(**options)
        assert [dict(block) for block in answer.thinking_blocks] == BLOCKS
        second_turn(answer, **options)
        content = sent_assistant(server)["content"]
    assert [part for part in content if "thinking" in part["type"]] == BLOCKS
    assert content[-1]["type"] == "tool_use"


@pytest.mark.parametrize("vendor", ["deepseek", "moonshot", "xai", "http"])
def test_reasoning_content_is_sent_back(
    vendor: str, first_turn: Callable[..., Response], monkeypatch: pytest.MonkeyPatch
):
    with OpenAIServer(Reply(text="", tool_calls=CALLS, reasoning="Well, well.")) as server:
        monkeypatch.setenv("TEAM_KEY", "key-for-tests")
        named = {"model": f"{vendor}/m-x", "base_url": server.base_url, "api_key_env": "TEAM_KEY"}
        llmops.configure(models={} if vendor == "http" else {"mine": named})
        model = f"{server.base_url}#m-x" if vendor == "http" else "mine"
        answer = first_turn(model=model)
        assert answer.message["reasoning_content"] == "Well, well."
        second_turn(answer, model=model)
        sent = sent_assistant(server)
    assert sent["reasoning_content"] == "Well, well."
    assert sent["tool_calls"][0]["function"]["name"] == "find"


DETAILS = [
    {"type": "reasoning.summary", "summary": "A plan.", "id": None, "format": "openai-responses-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "c2VjcmV0", "id": "rs_1", "format": "openai-responses-v1", "index": 1},
    {"type": "reasoning.encrypted", "data": "b3RoZXI=", "id": "rs_2", "format": "openai-responses-v1", "index": 1},
    {"type": "reasoning.text", "text": "First, then.", "signature": SIGNATURE, "format": "x-v1", "index": 2},
    {"type": "reasoning.text", "text": "And third.", "signature": SIGNATURE[::-1], "format": "x-v1", "index": 2},
]


class OpenRouterServer(OpenAIServer):
    """Gives reasoning details before it calls a tool, in a stream in pieces."""

    def whole(self, request: Recorded) -> dict[str, Any]:
        body = super().whole(request)
        body["choices"][0]["message"] |= {"reasoning": "A plan.", "reasoning_details": DETAILS}
        return body

    def events(self, request: Recorded) -> Iterator[bytes]:
        frame = self._frame(request, "chat.completion.chunk")
        for detail in DETAILS:
            text = next((name for name in ("summary", "text") if name in detail), None)
            end = {name: value for name, value in detail.items() if name in {"type", "signature", "format", "index"}}
            start = {name: value for name, value in detail.items() if name != "signature"}
            words = str(detail[text]).split(" ") if text else []
            pieces = [{**start, text: f"{' ' if n else ''}{word}"} for n, word in enumerate(words)] if text else [start]
            for piece in [*pieces, *([end] if "signature" in detail else [])]:
                delta = {"role": "assistant", "content": "", "reasoning_details": [piece]}
                yield sse({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield from super().events(request)


@pytest.mark.parametrize("vendor", ["openrouter", "openai"])
def test_openrouter_gets_its_reasoning_details_back(
    vendor: str, first_turn: Callable[..., Response], monkeypatch: pytest.MonkeyPatch
):
    with OpenRouterServer(Reply(text="", tool_calls=CALLS)) as server:
        monkeypatch.setenv("TEAM_KEY", "key-for-tests")
        llmops.configure(
            models={"mine": {"model": f"{vendor}/m-x", "base_url": server.base_url, "api_key_env": "TEAM_KEY"}}
        )
        answer = first_turn(model="mine")
        assert answer.message["reasoning_details"] == DETAILS
        second_turn(answer, model="mine")
        assert sent_assistant(server)["reasoning_details"] == DETAILS


@pytest.mark.parametrize("vendor", ["openai", "mistral", "groq"])
def test_reasoning_details_do_not_reach_other_vendors(vendor: str):
    from llmops_sdk.providers.litellm._endpoint import Endpoint
    from llmops_sdk.providers.litellm._mapping import _sent_message

    message = Response(text="Hi", reasoning_details=tuple(DETAILS)).message
    assert _sent_message(message, Endpoint(vendor, "m", None, None)) == {"role": "assistant", "content": "Hi"}


def test_cached_answer_keeps_its_blocks_of_reasoning():
    from llmops_sdk.caching.exact._codec import read_response, write_response

    answer = Response(text="Hi", thinking_blocks=tuple(BLOCKS), reasoning_details=tuple(DETAILS))
    stored = json.loads(json.dumps(write_response(answer)))
    assert read_response(stored) == replace(answer, cache="exact", cost=0.0)
    assert read_response({**stored, "reasoning_details": [1]}) is None


@pytest.mark.parametrize("vendor", ["openai", "azure"])
def test_openai_itself_gets_no_reasoning_of_another_vendor(vendor: str):
    from llmops_sdk.providers.litellm._endpoint import Endpoint
    from llmops_sdk.providers.litellm._mapping import _sent_message

    message = Response(text="Hi", reasoning="Hm.", thinking_blocks=tuple(BLOCKS)).message
    sent = _sent_message(message, Endpoint(vendor, "m", None, None))
    assert sent == {"role": "assistant", "content": "Hi"}
    assert "reasoning_content" in message


def test_thinking_of_another_vendor_does_not_reach_a_compatible_server():
    message = Response(text="Hi", reasoning="Hm.", thinking_blocks=tuple(BLOCKS)).message
    with OpenAIServer() as server:
        llmops.chat([message, {"role": "user", "content": "And?"}], model=f"{server.base_url}#m")
    assert "thinking_blocks" not in sent_assistant(server)


def test_chunks_of_a_response_keep_its_blocks_of_reasoning():
    blocks = {"thinking_blocks": tuple(BLOCKS), "reasoning_details": tuple(DETAILS)}
    answer = Response(text="Hi", reasoning="Hm.", **blocks, finish_reason="stop")
    whole = Accumulator()
    for chunk in chunks_of(answer):
        whole.add(chunk)
    assert whole.response() == answer


def test_cassette_keeps_thinking_blocks(monkeypatch: pytest.MonkeyPatch):
    options = {
        "model": "cassette/thinking",
        "extra": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "max_tokens": 2048,
        "tools": TOOLS,
    }
    with ThinkingServer(Reply(text="", tool_calls=CALLS)) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key-for-tests")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        llmops.configure(cassettes={"records": "anthropic/claude-sonnet-4-5", "mode": "new"})
        recorded = llmops.chat("Find it", **options)
        llmops.configure(cassettes={"mode": "replay"})
        replayed = llmops.chat("Find it", **options)
        assert len(server.requests) == 1
    assert [dict(block) for block in replayed.thinking_blocks] == BLOCKS
    assert replayed.message == recorded.message
