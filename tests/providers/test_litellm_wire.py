"""Answers of vendors and servers that differ from OpenAI's own, as they come over the wire."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import LoopbackServer, Recorded, Reply, sse
from ollama_server import OllamaServer
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.config import ModelSettings, Settings, resolve_model
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, ToolCallDelta, open_provider

pytestmark = pytest.mark.slow  # importing litellm takes seconds

Opened = Callable[..., Provider]


class WireServer(OpenAIServer):
    """Sends the deltas of a list, and joins nothing."""

    def __init__(self, *deltas: dict[str, Any], message: dict[str, Any] | None = None, finish: Any = "stop") -> None:
        super().__init__()
        self.deltas, self.message, self.finish = deltas, message, finish

    def whole(self, request: Recorded) -> dict[str, Any]:
        body = super().whole(request)
        message = {"role": "assistant", "content": self.reply.text} if self.message is None else self.message
        body["choices"][0] = {"index": 0, "message": message, "finish_reason": self.finish}
        return body

    def events(self, request: Recorded) -> Iterator[bytes]:
        frame = self._frame(request, "chat.completion.chunk")
        for delta in self.deltas or ({"role": "assistant", "content": self.reply.text},):
            yield sse({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield sse({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]})
        yield sse("[DONE]")


@pytest.fixture
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    providers: list[Provider] = []
    monkeypatch.setenv("TEAM_KEY", "key-for-tests")

    def open_(server: Any, vendor: str = "openai", **options: Any) -> Provider:
        base = server.base_url if isinstance(server, OpenAIServer) else server.url
        named = ModelSettings(model=f"{vendor}/m-x", base_url=base, api_key_env="TEAM_KEY", options=options)
        providers.append(open_provider(resolve_model(Settings(models={"m": named}), "m")))
        return providers[-1]

    yield open_
    for provider in providers:
        await provider.aclose()


def ask(vendor: str = "openai", **fields: Any) -> Request:
    return Request(model=f"{vendor}/m-x", messages=[{"role": "user", "content": "Hello?"}], **fields)


def joined(chunks: list[Chunk]) -> Response:
    whole = Accumulator()
    for chunk in chunks:
        whole.add(chunk)
    return whole.response()


async def answers(provider: Provider, request: Request) -> list[Response]:
    return [
        provider.complete(request),
        await provider.acomplete(request),
        joined(list(provider.stream(request))),
        joined([chunk async for chunk in provider.astream(request)]),
    ]


UNKNOWN = ["abort", "error", "insufficient_system_resource", "model_length", "network_error", "pause_turn", "Cut_Off"]


@pytest.mark.parametrize("word", UNKNOWN)
async def test_unknown_finish_reason_is_kept_and_told_once(word: str, opened: Opened, caplog: Any):
    with WireServer(finish=word) as server, caplog.at_level(logging.WARNING, "llmops_sdk"):
        model = f"openai/{word}"
        provider = opened(server)
        found = await answers(provider, Request(model=model, messages=[{"role": "user", "content": "Hello?"}]))
    assert [answer.finish_reason for answer in found] == [word] * 4
    assert word in caplog.text
    assert caplog.text.count("unknown finish reason") <= 2  # the request and the configuration name the model


@pytest.mark.parametrize("finish", [None, ""])
async def test_missing_finish_reason_is_none_for_a_whole_answer_and_incomplete_for_a_stream(
    finish: Any, opened: Opened
):
    with WireServer(finish=finish) as server:
        provider = opened(server)
        assert provider.complete(ask()).finish_reason is None
        assert (await provider.acomplete(ask())).finish_reason is None
        with pytest.raises(llmops.IncompleteResponseError):
            list(provider.stream(ask()))


@pytest.mark.parametrize("word", ["pause_turn", "model_context_window_exceeded", "something_new"])
async def test_unknown_stop_reason_of_anthropic_is_kept(word: str, opened: Opened):
    with AnthropicServer(Reply(finish_reason=word)) as server:
        found = await answers(opened(server, "anthropic"), ask("anthropic"))
    assert [answer.finish_reason for answer in found] == [word] * 4


@pytest.mark.parametrize("word", ["abort", None])
def test_answer_with_an_unknown_end_is_not_cached(word: Any, monkeypatch: pytest.MonkeyPatch):
    with WireServer(finish=word) as server:
        monkeypatch.setenv("LLMOPS_API_KEY", "key-for-tests")
        for _ in range(2):
            llmops.chat("Hello?", model=f"{server.base_url}#m", cache=True)
        assert len(server.requests) == 2
        server.finish = "stop"
        for _ in range(2):
            llmops.chat("Hello again?", model=f"{server.base_url}#m", cache=True)
        assert len(server.requests) == 3


@pytest.mark.parametrize("vendor", ["openai", "deepseek", "mistral"])
async def test_content_as_a_list_of_parts_keeps_text_and_reasoning(vendor: str, opened: Opened):
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Good "},
        {"type": "text", "text": "day"},
    ]
    deltas = [{"role": "assistant", "content": [part]} for part in parts]
    with WireServer(*deltas, message={"role": "assistant", "content": parts}) as server:
        for answer in await answers(opened(server, vendor), ask(vendor)):
            assert (answer.text, answer.reasoning, answer.finish_reason) == ("Good day", "Hm.", "stop")


SIGNS = "a\u0085b\u2028c\u2029d\u000be"


class RawServer(WireServer):
    """Does not escape the signs that end a line for Python."""

    def events(self, request: Recorded) -> Iterator[bytes]:
        for event in super().events(request):
            yield event.replace(b"SIGNS", SIGNS.replace("\u000b", "\\u000b").encode())


async def test_signs_that_end_a_line_for_python_do_not_cut_a_stream(opened: Opened):
    with RawServer({"content": "SIGNS"}) as server:
        for vendor in ("openai", "groq"):
            assert joined(list(opened(server, vendor).stream(ask(vendor)))).text == SIGNS
            chunks = [chunk async for chunk in opened(server, vendor).astream(ask(vendor))]
            assert joined(chunks).text == SIGNS


class RawOllama(OllamaServer):
    def events(self, request: Recorded) -> Iterator[bytes]:
        for event in super().events(request):
            yield event.replace(b"SIGNS", SIGNS.replace("\u000b", "\\u000b").encode())


async def test_signs_that_end_a_line_for_python_do_not_cut_a_stream_of_ollama(opened: Opened):
    with RawOllama(Reply(text="SIGNS")) as server:
        assert joined(list(opened(server, "ollama").stream(ask("ollama")))).text == SIGNS
        chunks = [chunk async for chunk in opened(server, "ollama").astream(ask("ollama"))]
        assert joined(chunks).text == SIGNS


class IgnoresStream(LoopbackServer):
    """Answers whole, whatever is asked."""

    def handler(self) -> Any:
        server = self

        class Handler(super().handler()):
            def _answer(self, request: Recorded, fault: Any) -> None:
                self._send(200, server.whole(request), {})

        return Handler


class WholeServer(IgnoresStream, WireServer):
    """Ignores `stream`."""


class WholeAnthropic(IgnoresStream, AnthropicServer):
    """Ignores `stream`, and thinks before it answers."""

    def whole(self, request: Recorded) -> dict[str, Any]:
        body = super().whole(request)
        return {**body, "content": [*THINKING, *body["content"]]}


THINKING = [
    {"type": "thinking", "thinking": "First, then second.", "signature": "c2ln" * 8},
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
]


@pytest.mark.parametrize(("stop", "finish"), [("tool_use", "tool_calls"), ("max_tokens", "length")])
async def test_server_of_anthropics_form_that_ignores_stream_gives_its_whole_answer(
    stop: str, finish: str, opened: Opened
):
    reply = Reply(text="Good day — “you”", tool_calls=(("find", {"a": 1}),), finish_reason=stop, input_tokens=40)
    with WholeAnthropic(reply) as server:
        for answer in await answers(opened(server, "anthropic"), ask("anthropic")):
            assert (answer.text, answer.reasoning) == (reply.text, "First, then second.")
            assert [dict(block) for block in answer.thinking_blocks] == THINKING
            assert [(one.name, json.loads(one.arguments)) for one in answer.tool_calls] == [("find", {"a": 1})]
            assert answer.finish_reason == finish
            assert (answer.usage.input_tokens, answer.usage.output_tokens) == (40, reply.output_tokens)


async def test_finish_reason_that_litellm_does_not_know_reaches_a_stream_of_a_server_that_ignores_stream(
    opened: Opened,
):
    with WholeServer(finish="abort") as server:
        assert [one.finish_reason for one in await answers(opened(server), ask())] == ["abort"] * 4


async def test_server_that_ignores_stream_gives_its_whole_answer(opened: Opened):
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"a": 1}'}}
    message = {"role": "assistant", "content": "Good day", "reasoning_content": "Hm.", "tool_calls": [call]}
    with WholeServer(message=message, finish="tool_calls") as server:
        for vendor in ("openai", "groq"):
            for answer in await answers(opened(server, vendor), ask(vendor)):
                assert (answer.text, answer.reasoning, answer.finish_reason) == ("Good day", "Hm.", "tool_calls")
                assert [(one.name, one.arguments) for one in answer.tool_calls] == [("find", '{"a": 1}')]
                assert answer.usage.input_tokens == 11


@pytest.mark.parametrize("place", ["params", "extra", "options"])
async def test_several_answers_in_a_stream_are_refused_before_the_call(place: str, opened: Opened):
    with WireServer() as server:
        provider = opened(server, **({"n": 2} if place == "options" else {}))
        request = ask() if place == "options" else ask(**{place: {"n": 2}})
        with pytest.raises(llmops.BadRequestError, match="n is 2"):
            list(provider.stream(request))
        with pytest.raises(llmops.BadRequestError, match="n is 2"):
            _ = [chunk async for chunk in provider.astream(request)]
        assert server.requests == []
        assert joined(list(provider.stream(ask(params={"n": 1})))).text


def piece(
    arguments: str = "", name: str | None = None, call_id: str | None = None, index: int | None = 0
) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    made = {"index": index, "id": call_id, "type": "function", "function": function}
    return {key: value for key, value in made.items() if value is not None}


FIND, PAY = ("find", '{"a": 1}'), ("pay", '{"b": 2}')
CALLS = {
    "a new id on each piece": (
        [piece('{"a"', "find", "x1"), piece(": 1", call_id="x2"), piece("}", call_id="x3")],
        [FIND],
    ),
    "a new id and the name on each piece": (
        [piece('{"a"', "find", "x1"), piece(": 1", "find", "x2"), piece("}", "find", "x3")],
        [FIND],
    ),
    "two calls without ids": ([piece('{"a": 1}', "find"), piece('{"b": 2}', "pay")], [FIND, PAY]),
    "two calls of one tool without ids": ([piece('{"a": 1}', "find"), piece('{"a": 1}', "find")], [FIND, FIND]),
    "two calls in pieces without ids": (
        [piece("", "find"), piece('{"a": 1}'), piece("", "pay"), piece('{"b": '), piece("2}")],
        [FIND, PAY],
    ),
    "the same name on each piece": ([piece("", "find", "x"), piece('{"a": 1', "find"), piece("}", "find")], [FIND]),
    "a call a chunk, no index": (
        [piece('{"a": 1}', "find", "x", None), piece('{"b": 2}', "pay", "y", None)],
        [FIND, PAY],
    ),
    "interleaved by index": (
        [piece("", "find", "x", 0), piece("", "pay", "y", 1), piece('{"a": 1}'), piece('{"b": 2}', index=1)],
        [FIND, PAY],
    ),
    "no arguments, other ids": ([piece("", "find", "x"), piece("", "find", "y")], [("find", ""), ("find", "")]),
    "a null name continues": ([piece('{"a"', "find", "x"), piece(": 1}", "", "x")], [FIND]),
}


@pytest.mark.parametrize("case", CALLS)
async def test_streamed_tool_calls_are_put_together(case: str, opened: Opened):
    pieces, wanted = CALLS[case]
    with WireServer(*({"tool_calls": [one]} for one in pieces), finish="tool_calls") as server:
        provider = opened(server)
        for chunks in (list(provider.stream(ask())), [chunk async for chunk in provider.astream(ask())]):
            answer = joined(chunks)
            assert [(call.name, call.arguments) for call in answer.tool_calls] == wanted
            assert len({call.id for call in answer.tool_calls}) == len(wanted)
            indexes = [delta.index for chunk in chunks for delta in chunk.tool_calls if delta.name]
            assert indexes == list(range(len(wanted)))


@pytest.mark.parametrize("case", CALLS)
def test_accumulator_puts_tool_calls_together(case: str):
    pieces, wanted = CALLS[case]
    whole = Accumulator()
    for one in pieces:
        function = one["function"]
        delta = ToolCallDelta(
            index=one.get("index", 0), id=one.get("id"), name=function.get("name"), arguments=function["arguments"]
        )
        whole.add(Chunk(tool_calls=(delta,)))
    assert [(call.name, call.arguments) for call in whole.response().tool_calls] == wanted


async def test_ollama_calls_of_one_chunk_each_stay_apart(opened: Opened):
    with OllamaServer(Reply(text="", tool_calls=(("find", {"a": 1}), ("find", {"a": 2}), ("pay", {"b": 2})))) as server:
        for answer in await answers(opened(server, "ollama"), ask("ollama")):
            assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
                ("find", {"a": 1}),
                ("find", {"a": 2}),
                ("pay", {"b": 2}),
            ]
            assert answer.finish_reason == "tool_calls"
