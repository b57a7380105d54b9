"""Cassettes: what was recorded comes back, what was not is named, no secret is written. Real files and processes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from loopback import Fault, Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk import errors
from llmops_sdk.providers import Chunk, Embeddings, Request, Response, ToolCall, ToolCallDelta, Usage
from llmops_sdk.providers.cassettes._answers import error_of, plain_error
from llmops_sdk.providers.cassettes._provider import CassetteProvider
from llmops_sdk.testing import CassetteError, ManualClock, RealCallBlockedError, ScriptedProvider, block_real_calls

CALLS = (ToolCall(id="c1", name="find", arguments='{"a": 1}'), ToolCall(id="c2", name="pay", arguments="{}"))
RICH = Response(
    text="Hello", tool_calls=CALLS, usage=Usage(input_tokens=3, output_tokens=0, reasoning_tokens=2), cost=0.25,
    model="gpt", provider="openai", finish_reason="tool_calls", response_id="r1", reasoning="Hm.",
)  # fmt: skip
PIECES = (
    Chunk(text="Good ", reasoning="So"),
    Chunk(text="day", tool_calls=(ToolCallDelta(index=0, id="c1", name="find"), ToolCallDelta(index=1, name="pay"))),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments='{"a":'), ToolCallDelta(index=0, arguments=" 1}"))),
    Chunk(finish_reason="stop", usage=Usage(input_tokens=3), cost=0.5, model="gpt", provider="openai"),
)

ERRORS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.ProviderError)]


def ask(text: str = "Hello?", **more: Any) -> Request:
    return Request(model="cassette/support", messages=[{"role": "user", "content": text}], **more)


def cassette(
    script: Sequence[Any] = (), mode: str = "replay", *, realtime: bool = False, clock: Any = None, **settings: Any
) -> CassetteProvider:
    """One whose model answers by a script; without one it has none."""
    llmops.configure(cassettes={"mode": mode}, **settings)
    source = ScriptedProvider(list(script))

    def recorder() -> tuple[str, Any]:
        assert script, "no model is to be asked"
        return "openai/gpt", source

    return CassetteProvider("support", recorder, realtime=realtime, clock=clock or ManualClock())


def file() -> Path:
    return Path("cassettes/support.jsonl")


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in file().read_text().splitlines()]


def told(response: Response) -> list[Any]:
    """What a recording keeps of an answer."""
    return [
        response.text, response.tool_calls, response.usage, response.cost, response.model, response.provider,
        response.finish_reason, response.response_id, response.reasoning,
    ]  # fmt: skip


async def whole(provider: CassetteProvider, request: Request, way: str) -> Response:
    return provider.complete(request) if way == "sync" else await provider.acomplete(request)


async def pieces(provider: CassetteProvider, request: Request, way: str) -> list[Chunk]:
    if way == "sync":
        return list(provider.stream(request))
    return [chunk async for chunk in provider.astream(request)]


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_a_whole_answer_comes_back_as_it_was(way: str):
    first = await whole(cassette([RICH], "new"), ask(), way)
    again = await whole(cassette(), ask(), way)
    assert told(again) == told(first) == told(RICH)
    assert again.simulated
    assert again.raw is None


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_a_stream_comes_back_piece_by_piece(way: str):
    first = await pieces(cassette([PIECES], "new"), ask(), way)
    again = await pieces(cassette(), ask(), way)
    fields = ("text", "tool_calls", "reasoning", "finish_reason", "usage", "cost")
    assert [[getattr(chunk, name) for name in fields] for chunk in again] == [
        [getattr(chunk, name) for name in fields] for chunk in first
    ]
    assert all(chunk.simulated for chunk in again)


def test_a_stream_may_be_asked_for_whole_and_the_reverse():
    recording = cassette([PIECES, RICH], "new")
    list(recording.stream(ask("streamed")))
    recording.complete(ask("whole"))
    replayed = cassette()
    assert replayed.complete(ask("streamed")).text == "Good day"
    assert [call.arguments for call in replayed.complete(ask("streamed")).tool_calls] == ['{"a": 1}', ""]
    chunks = list(replayed.stream(ask("whole")))
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert chunks[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_vectors_come_back(way: str):
    vectors = Embeddings(vectors=[[0.5, -1e-9], [1.0, 2.0]], usage=Usage(input_tokens=4), cost=0.1, model="e")
    recording = cassette([vectors], "new")
    asked = Request(model="cassette/support", messages=[], params={"dimensions": 2})
    made = recording.embed(["a", "b"], asked) if way == "sync" else await recording.aembed(["a", "b"], asked)
    again = cassette().embed(["a", "b"], asked) if way == "sync" else await cassette().aembed(["a", "b"], asked)
    assert (again.vectors, again.usage, again.cost, again.model) == (made.vectors, made.usage, 0.1, "e")
    with pytest.raises(CassetteError, match="nearest of 1 differs: texts"):
        cassette().embed(["b", "a"], asked)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_of_a_provider_comes_back_with_its_class(kind: type[errors.ProviderError]):
    error = kind("no", provider="openai", model="gpt", status_code=418, retry_after=1.5, request_id="r")
    again = error_of(json.loads(json.dumps(plain_error(error))))
    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_error_and_its_retry_are_two_recordings_in_their_order():
    busy = errors.RateLimitError("busy", status_code=429, retry_after=2.0)
    for mode, script in (("new", [busy, RICH]), ("replay", [])):
        provider = cassette(script, mode)
        with pytest.raises(errors.RateLimitError) as raised:
            provider.complete(ask())
        assert (raised.value.retry_after, raised.value.status_code) == (2.0, 429)
        assert provider.complete(ask()).text == "Hello"
    assert provider.complete(ask()).text == "Hello", "the last one again"
    assert [[*line] for line in lines()] == [
        ["digest", "request", "seconds", "error"],
        ["digest", "request", "seconds", "response"],
    ]


def test_a_broken_stream_comes_back_broken():
    script = [[*PIECES[:2], errors.StreamInterruptedError("cut")]]
    for mode in ("new", "replay"):
        got: list[str] = []
        with pytest.raises(errors.StreamInterruptedError) as raised:
            got.extend(chunk.text for chunk in cassette(script if mode == "new" else (), mode).stream(ask()))
        assert got == ["Good ", "day"]
        assert raised.value.partial.text == "Good day"


async def test_a_stream_that_is_left_is_not_recorded():
    stream = cassette([PIECES], "new").stream(ask())
    assert next(stream).text == "Good "
    stream.close()  # type: ignore[attr-defined]
    astream = cassette([PIECES], "new").astream(ask())
    assert (await anext(astream)).text == "Good "
    await astream.aclose()  # type: ignore[attr-defined]
    assert not file().exists()


def test_new_asks_for_what_is_missing_alone_and_record_for_everything():
    cassette(["one"], "new").complete(ask("1"))
    provider = cassette(["two"], "new")
    assert [provider.complete(ask("1")).text, provider.complete(ask("2")).text] == ["one", "two"]
    again = cassette(["uno", "uno again"], "record")
    assert [again.complete(ask("1")).text, again.complete(ask("1")).text] == ["uno", "uno again"]
    replayed = cassette()
    texts = [replayed.complete(ask(text)).text for text in ("1", "1", "1", "2")]
    assert texts == ["uno", "uno again", "uno again", "two"]
    assert len(lines()) == 3


def test_what_is_missing_is_named_with_the_nearest():
    with pytest.raises(
        CassetteError, match=r"it has none\. To record it, run with LLMOPS_CASSETTES__MODE=new"
    ) as raised:
        cassette().complete(ask())
    assert raised.value.nearest is None
    provider = cassette(["one", "two"], "new")
    provider.complete(ask("Where is my card?", params={"temperature": 0}))
    provider.complete(ask("Something else that is long enough to be far away"))
    with pytest.raises(CassetteError) as raised:
        cassette().complete(ask("Where is my cat?", params={"temperature": 1}, extra={"top_k": 3}))
    assert "the nearest of 2 differs: extra is" in str(raised.value)
    assert 'messages[0].content is "Where is my cat?", recorded is "Where is my card?"' in str(raised.value)
    assert "params.temperature is 1, recorded is 0" in str(raised.value)
    assert raised.value.nearest == lines()[0]["request"]


def test_what_decides_the_answer_is_in_the_key_and_nothing_else():
    schema, tools = {"type": "object"}, [{"type": "function", "function": {"name": "f"}}]
    cassette(["one"], "new").complete(ask(params={"seed": 1}, tools=tools, response_schema=schema))
    same = ask(
        params={"seed": 1}, tools=tuple(tools), response_schema=schema, cache=False, first_attempt=3, reason="retry",
        extra={"api_key": "x", "extra_headers": {"X-Trace": "1"}}, timeout=llmops.Timeout(total=3),
    )  # fmt: skip
    assert cassette().complete(same).text == "one"
    for other in (
        ask(params={"seed": 2}, tools=tools, response_schema=schema),
        ask(params={"seed": 1}, response_schema=schema),
        ask(params={"seed": 1}, tools=tools),
        ask("Hello", params={"seed": 1}, tools=tools, response_schema=schema),
    ):
        with pytest.raises(CassetteError):
            cassette().complete(other)


def test_no_secret_is_written_and_the_request_is_found_all_the_same():
    key = "sk-" + "proj-" + secrets.token_hex(24)
    remove = llmops.add_redactor(lambda text: text.replace("Project X", "[project]"))
    try:
        asked = ask(f"My key is {key}, I am E-123456 of Project X", extra={"api_key": key})
        patterns = {"patterns": {"employee": "E-[0-9]{6}"}}
        cassette([f"{key} it is"], "new", redaction=patterns).complete(asked)
    finally:
        remove()
    written = file().read_text()
    for secret in (key, "E-123456", "Project X"):
        assert secret not in written
    assert cassette().complete(asked).text.startswith("[REDACTED")


def test_long_contents_are_kept_as_their_digest():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    asked = Request(model="m", messages=[{"role": "user", "content": [image]}])
    cassette(["A picture."], "new").complete(asked)
    assert file().stat().st_size < 2_000
    assert cassette().complete(asked).text == "A picture."
    image["image_url"]["url"] += "B"
    with pytest.raises(CassetteError, match="100023 characters"):
        cassette().complete(asked)


def test_times_are_waited_for_where_they_are_wanted():
    recorded = {"digest": "", "request": {}, "chunks": [[0.5, {"text": "a"}], [0.25, {"text": "b"}]]}
    cassette(["x"], "new").complete(ask())
    recorded["digest"] = lines()[0]["digest"]
    file().write_text(json.dumps(recorded) + "\n")
    clock = ManualClock()
    assert [chunk.text for chunk in cassette(realtime=True, clock=clock).stream(ask())] == ["a", "b"]
    assert [wait for wait in clock.waits if wait] == [0.5, 0.25]
    clock = ManualClock()
    list(cassette(clock=clock).stream(ask()))
    assert not any(clock.waits)


def test_a_changed_file_is_read_anew():
    cassette(["one"], "new").complete(ask())
    provider = cassette()
    assert provider.complete(ask()).text == "one"
    file().write_text(file().read_text().replace('"one"', '"none"'))
    assert provider.complete(ask()).text == "none"


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"request": {}}', '{"digest": 3}'])
def test_a_line_that_is_no_recording_is_named(line: str):
    cassette(["one"], "new").complete(ask())
    file().write_text(file().read_text() + "\n" + line + "\n")
    with pytest.raises(CassetteError, match=r"line 3 of the cassette .*support\.jsonl is no recording"):
        cassette().complete(ask())


def test_a_folder_that_cannot_be_written_is_named():
    Path("cassettes").write_text("a file")
    with pytest.raises(CassetteError, match=r"support\.jsonl cannot be (read|written): "):
        cassette(["one"], "new").complete(ask())


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a//b", "a/../b", ".hidden", "a b", ""])
def test_a_name_stays_in_the_folder(name: str):
    with pytest.raises(llmops.ConfigError):
        llmops.chat("Hi", model=f"cassette/{name}")


def test_without_a_model_to_record_from_there_is_a_word_of_it():
    llmops.configure(cassettes={"mode": "new"})
    with pytest.raises(llmops.ConfigError, match=r"\[cassettes\] records"):
        llmops.chat("Hi", model="cassette/support", retry=False)
    llmops.configure(cassettes={"mode": "new", "records": "cassette/other"})
    with pytest.raises(llmops.ConfigError, match="a cassette itself"):
        llmops.chat("Hi", model="cassette/support", retry=False)
    llmops.configure(models={"m": {"model": "cassette/support", "options": {"record": "offline/echo"}}})
    with pytest.raises(llmops.ConfigError, match="did you mean"):
        llmops.chat("Hi", model="m")


def test_nothing_is_recorded_where_real_calls_are_blocked():
    llmops.configure(model="cassette/support", cassettes={"mode": "new", "records": "offline/echo"})
    llmops.chat("recorded")
    with block_real_calls():
        assert llmops.chat("recorded", cache=False).text == "recorded"
        with pytest.raises(RealCallBlockedError):
            llmops.chat("not recorded")
    assert llmops.chat("not recorded").text == "not recorded"


def test_a_miss_is_not_tried_again_and_reaches_no_fallback():
    llmops.configure(model="cassette/support", fallbacks=["offline/echo"], retry={"attempts": 3, "base": 0.001})
    with pytest.raises(CassetteError):
        llmops.chat("Hi")
    assert llmops.query("SELECT count(*) FROM attempts").scalar() == 1


RACE = """
import sys
import llmops_sdk as llmops
llmops.configure(model="cassette/support", cassettes={"mode": "new", "records": "offline/echo"}, enabled=False)
for number in range(20):
    llmops.chat(f"{sys.argv[1]}-{number}")
"""


def test_several_processes_record_into_one_file():
    writers = [subprocess.Popen([sys.executable, "-c", RACE, str(number)], env={**os.environ}) for number in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    asked = {line["request"]["messages"][0]["content"] for line in lines()}
    assert asked == {f"{one}-{number}" for one in range(3) for number in range(20)}
    assert len(lines()) == 60
    assert [path.name for path in Path("cassettes").iterdir()] == ["support.jsonl"]


@pytest.mark.slow  # importing litellm takes seconds
def test_a_whole_application_runs_from_a_cassette_of_real_http(monkeypatch: pytest.MonkeyPatch):
    def application() -> list[Any]:
        tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
        answer = llmops.chat("Where?", tools=tools)
        chunks = [chunk.text for chunk in llmops.stream("And then?")]
        vectors = llmops.embed(["a", "b"]).vectors
        return [told(answer), [one.status_code for one in answer.attempts], chunks, vectors]

    llmops.configure(
        model="smart", retry={"attempts": 2, "base": 0.001},
        models={"smart": {"model": "cassette/support", "options": {"records": "openai/gpt-4.1-mini"}}},
        cassettes={"mode": "new"},
    )  # fmt: skip
    with OpenAIServer(Reply(text="In Rome.", tool_calls=(("find", {"a": 1}),))) as server:
        monkeypatch.setenv("OPENAI_API_KEY", secrets.token_hex(8))
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        server.faults.append(Fault(status=503))
        recorded = application()
        asked = len(server.requests)
    assert recorded[1] == [503, None]
    assert asked == 4
    monkeypatch.delenv("OPENAI_API_KEY")
    llmops.configure(
        model="smart", retry={"attempts": 2, "base": 0.001},
        models={"smart": {"model": "cassette/support", "options": {"records": "openai/gpt-4.1-mini"}}},
        cassettes={"mode": "replay"},
    )  # fmt: skip
    with llmops.LLM() as fresh:
        monkeypatch.setattr(llmops, "chat", fresh.chat)
        monkeypatch.setattr(llmops, "stream", fresh.stream)
        monkeypatch.setattr(llmops, "embed", fresh.embed)
        with block_real_calls():
            assert application() == recorded
