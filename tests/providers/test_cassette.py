"""Cassettes replay recordings, describe missing ones, and never write secrets. Real files and processes."""

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
from llmops_sdk.providers.cassettes._codec import decode_error, encode_error
from llmops_sdk.providers.cassettes._provider import CassetteProvider
from llmops_sdk.testing import CassetteError, ManualClock, RealCallBlockedError, ScriptedProvider, block_real_calls

CALLS = (ToolCall(id="c1", name="find", arguments='{"a": 1}'), ToolCall(id="c2", name="pay", arguments="{}"))
RICH = Response(
    text="Hello", tool_calls=CALLS, usage=Usage(input_tokens=3, output_tokens=0, reasoning_tokens=2), cost=0.25,
    model="gpt", provider="openai", finish_reason="tool_calls", response_id="r1", reasoning="Hm.",
)  # fmt: skip
CHUNKS = (
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
    """Return a cassette that records from a script; without a script, recording fails the test."""
    llmops.configure(cassettes={"mode": mode}, **settings)
    source = ScriptedProvider(list(script))

    def open_recorded() -> tuple[str, Any]:
        assert script, "no model should be asked"
        return "openai/gpt", source

    return CassetteProvider("support", open_recorded, realtime=realtime, clock=clock or ManualClock())


def file() -> Path:
    return Path("cassettes/support.jsonl")


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in file().read_text().splitlines()]


def recorded_fields(response: Response) -> list[Any]:
    """Return the fields that a recording keeps."""
    return [
        response.text, response.tool_calls, response.usage, response.cost, response.model, response.provider,
        response.finish_reason, response.response_id, response.reasoning,
    ]  # fmt: skip


async def complete(provider: CassetteProvider, request: Request, style: str) -> Response:
    return provider.complete(request) if style == "sync" else await provider.acomplete(request)


async def stream(provider: CassetteProvider, request: Request, style: str) -> list[Chunk]:
    if style == "sync":
        return list(provider.stream(request))
    return [chunk async for chunk in provider.astream(request)]


@pytest.mark.parametrize("style", ["sync", "async"])
async def test_whole_answer_replays_unchanged(style: str):
    first = await complete(cassette([RICH], "new"), ask(), style)
    again = await complete(cassette(), ask(), style)
    assert recorded_fields(again) == recorded_fields(first) == recorded_fields(RICH)
    assert again.simulated
    assert again.raw is None


@pytest.mark.parametrize("style", ["sync", "async"])
async def test_stream_replays_chunk_by_chunk(style: str):
    first = await stream(cassette([CHUNKS], "new"), ask(), style)
    again = await stream(cassette(), ask(), style)
    fields = ("text", "tool_calls", "reasoning", "finish_reason", "usage", "cost")
    assert [[getattr(chunk, name) for name in fields] for chunk in again] == [
        [getattr(chunk, name) for name in fields] for chunk in first
    ]
    assert all(chunk.simulated for chunk in again)


def test_recorded_stream_replays_whole_and_the_reverse():
    recording = cassette([CHUNKS, RICH], "new")
    list(recording.stream(ask("streamed")))
    recording.complete(ask("whole"))
    replayed = cassette()
    assert replayed.complete(ask("streamed")).text == "Good day"
    assert [call.arguments for call in replayed.complete(ask("streamed")).tool_calls] == ['{"a": 1}', ""]
    chunks = list(replayed.stream(ask("whole")))
    assert "".join(chunk.text for chunk in chunks) == "Hello"
    assert chunks[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize("style", ["sync", "async"])
async def test_vectors_replay_unchanged(style: str):
    vectors = Embeddings(vectors=[[0.5, -1e-9], [1.0, 2.0]], usage=Usage(input_tokens=4), cost=0.1, model="e")
    recording = cassette([vectors], "new")
    request = Request(model="cassette/support", messages=[], params={"dimensions": 2})

    async def embed(provider: CassetteProvider) -> Embeddings:
        texts = ["a", "b"]
        return provider.embed(texts, request) if style == "sync" else await provider.aembed(texts, request)

    first, again = await embed(recording), await embed(cassette())
    assert (again.vectors, again.usage, again.cost, again.model) == (first.vectors, first.usage, 0.1, "e")
    with pytest.raises(CassetteError, match="nearest of 1 differs: texts"):
        cassette().embed(["b", "a"], request)


@pytest.mark.parametrize("error_class", ERRORS)
def test_provider_error_replays_with_its_class(error_class: type[errors.ProviderError]):
    error = error_class("no", provider="openai", model="gpt", status_code=418, retry_after=1.5, request_id="r")
    again = decode_error(json.loads(json.dumps(encode_error(error))))
    assert type(again) is error_class
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_error_and_its_retry_replay_in_order():
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


def test_interrupted_stream_replays_interrupted():
    script = [[*CHUNKS[:2], errors.StreamInterruptedError("cut")]]
    for mode in ("new", "replay"):
        got: list[str] = []
        with pytest.raises(errors.StreamInterruptedError) as raised:
            got.extend(chunk.text for chunk in cassette(script if mode == "new" else (), mode).stream(ask()))
        assert got == ["Good ", "day"]
        assert raised.value.partial.text == "Good day"


async def test_stream_closed_early_is_not_recorded():
    chunks = cassette([CHUNKS], "new").stream(ask())
    assert next(chunks).text == "Good "
    chunks.close()  # type: ignore[attr-defined]
    achunks = cassette([CHUNKS], "new").astream(ask())
    assert (await anext(achunks)).text == "Good "
    await achunks.aclose()  # type: ignore[attr-defined]
    assert not file().exists()


def test_mode_new_records_missing_requests_and_mode_record_all():
    cassette(["one"], "new").complete(ask("1"))
    provider = cassette(["two"], "new")
    assert [provider.complete(ask("1")).text, provider.complete(ask("2")).text] == ["one", "two"]
    again = cassette(["uno", "uno again"], "record")
    assert [again.complete(ask("1")).text, again.complete(ask("1")).text] == ["uno", "uno again"]
    replayed = cassette()
    texts = [replayed.complete(ask(text)).text for text in ("1", "1", "1", "2")]
    assert texts == ["uno", "uno again", "uno again", "two"]
    assert len(lines()) == 3


def test_missing_recording_error_describes_the_nearest_request():
    with pytest.raises(
        CassetteError, match=r"it is empty\. To record it, run with LLMOPS_CASSETTES__MODE=new"
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


def test_key_has_only_what_decides_the_answer():
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


def test_whole_floats_and_integers_are_one_request():
    cassette(["one"], "new").complete(ask(params={"temperature": 0}, extra={"top_k": 5.0}))
    assert cassette().complete(ask(params={"temperature": 0.0}, extra={"top_k": 5})).text == "one"


def test_secrets_are_redacted_and_the_request_is_still_found():
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


async def in_pieces(text: str, size: int, style: str) -> list[Chunk]:
    """Record and replay a stream with `text` as its text, its reasoning and a tool argument, in pieces of `size`."""
    arguments = json.dumps({"note": text})
    length = max(len(text), len(arguments))
    delta = ToolCallDelta(index=0, id="c1", name="pay")
    script = [Chunk(tool_calls=(delta,))] + [
        Chunk(
            text=text[at : at + size],
            reasoning=text[at : at + size],
            tool_calls=(ToolCallDelta(index=0, arguments=arguments[at : at + size]),),
        )
        for at in range(0, length, size)
    ]
    source = ScriptedProvider([[*script, Chunk(finish_reason="stop")]])
    file().unlink(missing_ok=True)
    llmops.configure(cassettes={"mode": "new"})
    provider = CassetteProvider("support", lambda: ("m", source), realtime=False, clock=ManualClock())
    assert len(await stream(provider, ask(), style)) == len(script) + 1
    return await stream(cassette(), ask(), style)


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("size", [1, 3, 7, 20])
async def test_secret_split_over_chunks_is_not_written(style: str, size: int):
    key = "sk-" + "proj-" + secrets.token_hex(24)
    replayed = await in_pieces(f"Your key: {key}, keep it \N{GRINNING FACE}.", size, style)
    recorded = lines()[0]["chunks"]
    for name in ("text", "reasoning"):
        written = "".join(chunk.get(name, "") for _, chunk in recorded)
        assert written.startswith("Your key: [REDACTED:")
        assert written.endswith(", keep it \N{GRINNING FACE}.")
        assert written == "".join(getattr(chunk, name) for chunk in replayed)
    arguments = "".join(call.get("arguments", "") for _, chunk in recorded for call in chunk.get("tool_calls", ()))
    assert json.loads(arguments)["note"].startswith("Your key: [REDACTED:")
    assert key not in "".join(json.dumps(recorded))


@pytest.mark.parametrize("style", ["sync", "async"])
async def test_stream_without_a_secret_keeps_its_chunks(style: str):
    text = 'A caf\u00e9 "quoted" \\ and \N{GRINNING FACE}\n' * 3
    replayed = await in_pieces(text, 4, style)
    assert [chunk.text for chunk in replayed if chunk.text] == [text[at : at + 4] for at in range(0, len(text), 4)]


SECRET_PARAMETERS: list[Any] = [
    "aws_session_token", "aws_secret_access_key", "client_secret", "azure_password", "clientSecret", "X-Api-Key",
    "apikey", "vertex_credentials", "sas", "sig", "Authorization", "id_token", "db_pwd", "jwt", "proxy_cookie",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET_PARAMETERS)
@pytest.mark.parametrize("inside", [None, "extra_body", "extra_query", "extra_headers", "cookies", "default_query"])
def test_secret_parameters_are_neither_written_nor_part_of_the_request(name: str, inside: str | None):
    value = "".join(secrets.choice("ghjkmnpqrs") for _ in range(24))  # the shape of no known key

    def asked(secret: str) -> Request:
        parameters = {name: secret, "nested": [{name: {"value": secret}}]}
        return ask(extra={"top_k": 3, **(parameters if inside is None else {inside: parameters})})

    cassette([f"You sent {value}."], "new").complete(asked(value))
    assert value not in file().read_text()
    assert cassette().complete(asked("another")).text == "You sent [REDACTED:credential]."
    with pytest.raises(CassetteError, match="top_k"):
        cassette().complete(ask(extra={"top_k": 4}))


def test_query_headers_and_hosted_tools_are_not_written_under_any_name():
    value = "".join(secrets.choice("ghjkmnpqrs") for _ in range(24))
    hosted = {"type": "mcp", "server_label": "mail", "authorization": value, "headers": {"X-Team": value}}
    cassette(["Done."], "new").complete(
        ask(tools=[hosted], extra={"extra_query": {"code": value}, "extra_headers": {"X-Team": value}})
    )
    assert value not in file().read_text()
    assert lines()[0]["request"]["tools"] == [{"type": "mcp", "server_label": "mail"}]


def test_ordinary_headers_and_queries_do_not_change_the_answer():
    extra = {"extra_headers": {"Accept": "application/json"}, "extra_query": {"api-version": "2024-10-21"}}
    cassette(["Send application/json since 2024-10-21."], "new").complete(ask(extra=extra))
    assert cassette().complete(ask()).text == "Send application/json since 2024-10-21."


def test_parameters_that_only_sound_secret_decide_the_answer():
    one = {"stop_token_ids": [1], "thinking_token_budget": 5, "max_tokens_per_step": 7, "monkey": "b", "author": "c"}
    cassette(["one"], "new").complete(ask(extra=one))
    assert lines()[0]["request"]["extra"] == one
    with pytest.raises(CassetteError):
        cassette().complete(ask(extra={**one, "stop_token_ids": [2]}))


def test_long_contents_are_written_as_digests():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    asked = Request(model="m", messages=[{"role": "user", "content": [image]}])
    cassette(["A picture."], "new").complete(asked)
    assert file().stat().st_size < 2_000
    assert cassette().complete(asked).text == "A picture."
    image["image_url"]["url"] += "B"
    with pytest.raises(CassetteError, match="100023 characters"):
        cassette().complete(asked)


def test_realtime_replays_the_recorded_delays():
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


def test_changed_file_is_read_again():
    cassette(["one"], "new").complete(ask())
    provider = cassette()
    assert provider.complete(ask()).text == "one"
    file().write_text(file().read_text().replace('"one"', '"none"'))
    assert provider.complete(ask()).text == "none"


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"request": {}}', '{"digest": 3}'])
def test_error_names_a_line_that_is_not_a_recording(line: str):
    cassette(["one"], "new").complete(ask())
    file().write_text(file().read_text() + "\n" + line + "\n")
    with pytest.raises(CassetteError, match=r"line 3 of the cassette .*support\.jsonl is not a recording"):
        cassette().complete(ask())


def test_error_names_a_file_that_cannot_be_written():
    Path("cassettes").write_text("a file")
    with pytest.raises(CassetteError, match=r"support\.jsonl cannot be (read|written): "):
        cassette(["one"], "new").complete(ask())


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a//b", "a/../b", ".hidden", "a b", ""])
def test_invalid_cassette_name_raises_config_error(name: str):
    with pytest.raises(llmops.ConfigError, match=r"is not a (valid cassette name|model)"):
        llmops.chat("Hi", model=f"cassette/{name}")


def test_invalid_model_to_record_from_raises_config_error():
    llmops.configure(cassettes={"mode": "new"})
    with pytest.raises(llmops.ConfigError, match=r"\[cassettes\] records"):
        llmops.chat("Hi", model="cassette/support", retry=False)
    llmops.configure(cassettes={"mode": "new", "records": "cassette/other"})
    with pytest.raises(llmops.ConfigError, match="a cassette itself"):
        llmops.chat("Hi", model="cassette/support", retry=False)
    llmops.configure(models={"m": {"model": "cassette/support", "options": {"record": "offline/echo"}}})
    with pytest.raises(llmops.ConfigError, match="did you mean"):
        llmops.chat("Hi", model="m")


def test_blocked_real_calls_are_not_recorded():
    llmops.configure(model="cassette/support", cassettes={"mode": "new", "records": "offline/echo"})
    llmops.chat("recorded")
    with block_real_calls():
        assert llmops.chat("recorded", cache=False).text == "recorded"
        with pytest.raises(RealCallBlockedError):
            llmops.chat("not recorded")
    assert llmops.chat("not recorded").text == "not recorded"


@pytest.mark.parametrize("mode", ["new", "record"])
def test_recording_under_a_block_says_that_the_two_contradict(mode):
    llmops.configure(model="cassette/support", cassettes={"mode": "new", "records": "offline/echo"})
    llmops.chat("recorded")
    llmops.configure(model="cassette/support", cassettes={"mode": mode, "records": "offline/echo"})
    with block_real_calls(), pytest.raises(RealCallBlockedError) as caught:
        llmops.chat("recorded" if mode == "record" else "missing")
    for part in ('"cassette/support"', f'mode = "{mode}"', "block_real_calls()", "pytest -o usefixtures="):
        assert part in str(caught.value)


def test_missing_recording_is_not_retried_and_skips_fallbacks():
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


def test_processes_record_into_one_file_without_loss():
    writers = [subprocess.Popen([sys.executable, "-c", RACE, str(number)], env={**os.environ}) for number in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    recorded = {line["request"]["messages"][0]["content"] for line in lines()}
    assert recorded == {f"{one}-{number}" for one in range(3) for number in range(20)}
    assert len(lines()) == 60
    assert [path.name for path in Path("cassettes").iterdir()] == ["support.jsonl"]


@pytest.mark.slow  # importing litellm takes seconds
def test_application_replays_recorded_http_calls(monkeypatch: pytest.MonkeyPatch):
    def application() -> list[Any]:
        tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
        answer = llmops.chat("Where?", tools=tools)
        chunks = [chunk.text for chunk in llmops.stream("And then?")]
        vectors = llmops.embed(["a", "b"]).vectors
        return [recorded_fields(answer), [one.status_code for one in answer.attempts], chunks, vectors]

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
