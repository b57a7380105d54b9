"""Messages and tools on spans, in the store and at a backend, satisfy the schemas of the GenAI conventions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from jsonschema import Draft202012Validator
from loopback import Fault, Reply
from openai_server import OpenAIServer
from otlp_receiver import OtlpReceiver

import llmops_sdk as llmops
from llmops_sdk.providers import Request, Response
from llmops_sdk.providers._genai import input_messages_json, output_messages_json, tool_definitions_json

SCHEMAS = json.loads((Path(__file__).parent / "schemas" / "messages.json").read_text())
PIXEL = "iVBORw0KGgo="
TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": {"type": "object"}},
}
CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
    for n, city in enumerate(("Paris", "Rome"))
]

PROMPTS: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "user", "content": "Hi"}],
    "system as text": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "system as parts": [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Hi"},
    ],
    "image inline": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        }
    ],
    "tool calls and results": [
        {"role": "user", "content": "The weather?"},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "call_0", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "sun"}]},
    ],
}
# Shapes that not every vendor takes: what stands on the span is made from the request alone.
MORE: dict[str, list[Any]] = {
    "image by address": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x.example/a.png"}]}],
    "image of anthropic": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
            ],
        }
    ],
    "audio": [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"format": "wav", "data": PIXEL}}]},
    ],
    "files": [
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"file_id": "f-1"}},
                {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PIXEL}", "filename": "a.pdf"}},
            ],
        }
    ],
    "refusal": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "refusal": "I cannot help with that.", "tool_calls": []},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ],
    "reasoning": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text"}]}],
    "developer": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "Ann"}],
    "old functions": [
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{broken"}},
        {"role": "function", "name": "f", "content": "1"},
    ],
    "bare texts and unknown parts": [{"role": "user", "content": ["one", {"type": "video_url", "video_url": "x"}, {}]}],
    "hostile": [
        {"role": "assistant", "tool_calls": [None, {"id": 7, "function": {"name": None, "arguments": {1: object()}}}]},
        {"role": "user", "content": [{"type": "text", "text": None}, {"type": "image_url"}, "\ud83d"]},
        {"role": "tool", "tool_call_id": 3, "content": object()},
        "no message",
    ],
}  # fmt: skip
REPLIES = {
    "text": Reply(),
    "length": Reply(finish_reason="length"),
    "filtered": Reply(finish_reason="content_filter"),
    "one tool": Reply(text="", tool_calls=(("weather", {"city": "Paris"}),)),
    "parallel tools": Reply(text="Both:", tool_calls=(("weather", {"city": "Paris"}), ("weather", {"city": "Rome"}))),
    "reasoning": Reply(reasoning="Let me think."),
    "refusal": Reply(text="", refusal="I cannot help with that."),
    "nothing": Reply(text=""),
}


def check(kind: str, found: Any) -> None:
    errors = list(Draft202012Validator({**SCHEMAS, "$ref": f"#/$defs/{kind}"}).iter_errors(found))
    assert not errors, (kind, found, [error.message for error in errors])


def test_the_schemas_reject_wrong_messages() -> None:
    Draft202012Validator.check_schema(SCHEMAS)
    wrong = [[], [{"role": "assistant", "parts": []}], [{"role": "x", "parts": [], "finish_reason": "stop"}]]
    wrong += [[{"role": "assistant", "parts": [{"type": "text"}], "finish_reason": "stop"}]]
    for messages in wrong:
        with pytest.raises(AssertionError):
            check("output", messages)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "k")
    with OtlpReceiver() as receiver:
        llmops.configure(export={"endpoint": receiver.url, "content": True}, retry={"attempts": 1})
        yield receiver


def verified(backend: OtlpReceiver, calls: int) -> list[dict[str, Any]]:
    """The output messages of every call, once the store's and the backend's are checked."""
    assert llmops.flush(30.0).pending == 0
    rows = llmops.query(
        """SELECT span_id, input_messages, output_messages, finish_reason,
                  attributes->>'$."gen_ai.tool.definitions"' FROM llm_calls ORDER BY start_ns"""
    ).rows()
    assert len(rows) == len(backend.spans) == calls
    sent = {span.span_id: span.attributes for span in backend.spans}
    messages: list[dict[str, Any]] = []
    for span_id, asked, answered, finish, tools in rows:
        attributes = sent[span_id]
        for name, stored in (("input", asked), ("output", answered)):
            check(name, json.loads(stored))
            assert isinstance(attributes[f"gen_ai.{name}.messages"], str)
            assert json.loads(attributes[f"gen_ai.{name}.messages"]) == json.loads(stored)
        check("tools", json.loads(tools))
        check("tools", json.loads(attributes["gen_ai.tool.definitions"]))
        (message,) = json.loads(answered)
        assert message["finish_reason"] == finish
        assert attributes["gen_ai.response.finish_reasons"] == [finish]
        messages.append(message)
    return messages


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_every_prompt_fits_the_input_schema(
    vendor: str, backend: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenAIServer() as one, AnthropicServer() as other:
        monkeypatch.setenv("OPENAI_BASE_URL", one.base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", other.url)
        for prompt in PROMPTS.values():
            llmops.chat(prompt, model=f"{vendor}/m", tools=[TOOL], max_tokens=9)
            list(llmops.stream(prompt, model=f"{vendor}/m", tools=[TOOL], max_tokens=9))
    messages = verified(backend, 2 * len(PROMPTS))
    assert {part["content"] for message in messages for part in message["parts"]} == {"Good day to you."}


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
@pytest.mark.parametrize("name", REPLIES)
def test_every_answer_fits_the_output_schema(
    vendor: str, name: str, backend: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = (OpenAIServer if vendor == "openai" else AnthropicServer)(REPLIES[name])
    if vendor == "anthropic" and server.reply.finish_reason:
        ends = {"length": "max_tokens", "content_filter": "refusal"}
        server.reply = Reply(finish_reason=ends[server.reply.finish_reason])
    with server:
        url = server.base_url if isinstance(server, OpenAIServer) else server.url
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", url)
        llmops.chat("Hi", model=f"{vendor}/m", tools=[TOOL], max_tokens=9)
        list(llmops.stream("Hi", model=f"{vendor}/m", tools=[TOOL], max_tokens=9))
    whole, streamed = verified(backend, 2)
    assert whole["parts"] == streamed["parts"]
    expected = {
        "length": "length",
        "filtered": "content_filter",
        "one tool": "tool_calls",
        "parallel tools": "tool_calls",
        "refusal": "refusal" if vendor == "openai" else "stop",  # Anthropic has no words of refusal
    }
    assert {whole["finish_reason"], streamed["finish_reason"]} == {expected.get(name, "stop")}
    calls = [part for part in whole["parts"] if part["type"] == "tool_call"]
    cities = [city for _, arguments in REPLIES[name].tool_calls for city in arguments.values()]
    assert [call["arguments"] for call in calls] == [{"city": city} for city in cities]


def test_typed_closed_and_cut_answers_fit_the_schema(backend: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(Reply(text='{"total": 3}')) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert llmops.chat("Hi", model="openai/m", response_model=dict[str, int]).parsed == {"total": 3}
        with llmops.stream("Hi", model="openai/m") as left:
            next(left)
        server.faults.append(Fault(cut_after=2))
        with pytest.raises(llmops.StreamInterruptedError):
            list(llmops.stream("Hi", model="openai/m"))
    llmops.flush(30.0)
    found = [json.loads(span.attributes["gen_ai.output.messages"]) for span in backend.spans]
    assert len(found) == 3
    for messages in found:
        check("output", messages)
    assert [messages[0]["finish_reason"] for messages in found] == ["stop", "unknown", "unknown"]


@pytest.mark.parametrize("name", MORE)
def test_unusual_message_shapes_fit_the_schema(name: str) -> None:
    check("input", json.loads(input_messages_json(Request(model="o/m", messages=MORE[name]))))


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls", "content_filter", "odd", None])
def test_an_output_message_always_has_a_finish_reason(finish: str | None) -> None:
    (message,) = json.loads(output_messages_json(Response(finish_reason=finish)))
    check("output", [message])
    assert message["finish_reason"] == (finish or "unknown")


@pytest.mark.parametrize(
    ("tool", "shown"),
    [
        (
            TOOL,
            {"type": "function", "name": "weather", "description": "The weather.", "parameters": {"type": "object"}},
        ),
        ({"type": "web_search"}, {"type": "web_search", "name": "web_search"}),
        (
            {"type": "function", "name": "flat", "parameters": {}},
            {"type": "function", "name": "flat", "parameters": {}},
        ),
    ],
)
def test_tool_definitions_fit_the_schema(tool: dict[str, Any], shown: dict[str, Any]) -> None:
    found = json.loads(tool_definitions_json([tool]))
    check("tools", found)
    assert found == [shown]
