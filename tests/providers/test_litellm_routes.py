"""Call the OpenAI chat API, the Anthropic messages API and Ollama over real HTTP on loopback."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault, LoopbackServer, Reply
from ollama_server import OllamaServer
from openai_server import OpenAIServer

from llmops_sdk import errors
from llmops_sdk.config import ModelSettings, PriceSettings, Settings, Timeout, resolve_model
from llmops_sdk.providers import Accumulator, Chunk, Provider, Request, Response, open_provider

TOOLS = [
    {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}
    for name in ("find", "pay")
]
pytestmark = pytest.mark.slow  # importing litellm takes seconds

OPENAI, ANTHROPIC, OLLAMA = "openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5", "ollama/llama3.2"


def ask(model: str, **fields: Any) -> Request:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]
    return Request(model=model, messages=messages, **fields)


def key() -> str:
    return "key-for-tests"


@pytest.fixture(params=[OPENAI, ANTHROPIC])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, LoopbackServer]]:
    model: str = request.param
    kind = OpenAIServer if model == OPENAI else AnthropicServer
    vendor = model.partition("/")[0].upper()
    with kind() as server:
        monkeypatch.setenv(f"{vendor}_API_KEY", key())
        monkeypatch.setenv(f"{vendor}_BASE_URL", server.base_url if isinstance(server, OpenAIServer) else server.url)
        yield model, server


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Provider]]:
    providers: list[Provider] = []

    def open_(model: str, **settings: Any) -> Provider:
        providers.append(open_provider(resolve_model(Settings(**settings), model)))
        return providers[-1]

    yield open_
    for provider in providers:
        await provider.aclose()


async def every_style(provider: Provider, request: Request) -> dict[str, Response | errors.LLMOpsError]:
    """Return the answer or error of each of the four call styles."""

    def whole(chunks: list[Chunk]) -> Response:
        joined = Accumulator()
        for chunk in chunks:
            joined.add(chunk)
        return joined.response()

    found: dict[str, Response | errors.LLMOpsError] = {}
    for style in ("complete", "acomplete", "stream", "astream"):
        try:
            if style == "complete":
                found[style] = provider.complete(request)
            elif style == "acomplete":
                found[style] = await provider.acomplete(request)
            elif style == "stream":
                found[style] = whole(list(provider.stream(request)))
            else:
                found[style] = whole([chunk async for chunk in provider.astream(request)])
        except errors.LLMOpsError as error:
            found[style] = error
    return found


async def test_all_call_styles_give_the_same_answer_by_one_request(route, opened):
    model, server = route
    server.reply = Reply(cached_tokens=3)
    answers = await every_style(opened(model), ask(model))
    assert len(server.requests) == 4
    for answer in answers.values():
        assert isinstance(answer, Response), answer
        assert answer.text == "Good day to you."
        assert answer.finish_reason == "stop"
        assert answer.provider == model.partition("/")[0]
        usage = answer.usage
        assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (11, 7, 3)
        assert answer.cost is not None
        assert answer.cost > 0
        assert not answer.simulated
    if model == OPENAI:  # litellm drops the served model of Anthropic's streams
        # Streams also name the served model; otherwise GROUP BY model has two rows for one model.
        assert {answer.model for answer in answers.values() if isinstance(answer, Response)} == {"gpt-4.1-mini-served"}
    sent = server.requests[0].headers
    assert sent.get("authorization", "").endswith(key()) or sent.get("x-api-key") == key()


async def test_parallel_tool_calls_arrive_whole_and_streamed(route, opened):
    model, server = route
    server.reply = Reply(text="", tool_calls=(("find", {"name": "Ada"}), ("pay", {"amount": 3})))
    for answer in (await every_style(opened(model), ask(model, tools=TOOLS))).values():
        assert isinstance(answer, Response), answer
        assert [(call.name, call.arguments) for call in answer.tool_calls] == [
            ("find", '{"name": "Ada"}'),
            ("pay", '{"amount": 3}'),
        ]
        assert len({call.id for call in answer.tool_calls}) == 2
        assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (402, errors.PermissionDeniedError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (422, errors.BadRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (529, errors.ServerError),
    ],
)
async def test_http_error_is_one_request_and_one_typed_error(route, opened, status, kind):
    model, server = route
    server.faults.extend([Fault(status=status, headers={"retry-after": "1.5"})] * 4)
    for error in (await every_style(opened(model), ask(model))).values():
        assert type(error) is kind, error
        assert error.status_code == status
        assert error.retry_after == 1.5
        assert error.request_id == "req-1"
        assert error.model == model
        assert error.__cause__ is not None
    assert len(server.requests) == 4


async def test_dropped_connection_is_one_request_and_a_connection_error(route, opened):
    model, server = route
    server.faults.extend([Fault(drop=True)] * 4)
    for error in (await every_style(opened(model), ask(model))).values():
        assert type(error) is errors.ProviderConnectionError, error
        assert error.status_code is None
    assert len(server.requests) == 4


async def test_exception_that_the_application_handles_is_not_the_cause(route, opened):
    model, server = route
    server.faults.append(Fault(status=503))
    provider = opened(model)
    try:
        raise TimeoutError("the application's own")
    except TimeoutError:
        with pytest.raises(errors.ServerError):
            provider.complete(ask(model))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(cut_after=4), errors.StreamInterruptedError),
        (Fault(error_after=4), errors.StreamInterruptedError),
        (Fault(garbage_after=4), errors.StreamInterruptedError),
        (Fault(eof_after=4), errors.IncompleteResponseError),
    ],
)
async def test_broken_or_unfinished_stream_never_ends_normally(route, opened, fault, kind):
    model, server = route
    server.reply = Reply(text="one two three four five six")
    server.faults.extend([None, None, fault, fault])
    answers = await every_style(opened(model), ask(model))
    for style in ("stream", "astream"):
        error = answers[style]
        assert isinstance(error, kind), error
        assert error.partial.text
        assert server.reply.text.startswith(error.partial.text)
        assert error.partial.finish_reason is None
    assert len(server.requests) == 4


async def test_break_before_the_first_chunk_is_a_connection_error(route, opened):
    model, server = route
    server.faults.extend([None, None, Fault(cut_after=0), Fault(cut_after=0)])
    answers = await every_style(opened(model), ask(model))
    for style in ("stream", "astream"):
        assert type(answers[style]) is errors.ProviderConnectionError


async def test_stream_that_ends_before_its_first_text_is_incomplete(route, opened):
    model, server = route
    server.faults.extend([None, None, Fault(eof_after=1), Fault(eof_after=1)])
    answers = await every_style(opened(model), ask(model))
    for style in ("stream", "astream"):
        error = answers[style]
        assert type(error) is errors.IncompleteResponseError, error
        assert error.partial.text == ""


async def test_error_event_before_the_first_chunk_is_a_server_error(route, opened):
    model, server = route
    server.faults.extend([None, None, Fault(error_after=0), Fault(error_after=0)])
    answers = await every_style(opened(model), ask(model))
    for style in ("stream", "astream"):
        assert type(answers[style]) is errors.ServerError


async def test_silent_server_times_out(route, opened):
    model, server = route
    server.faults.extend([Fault(hold_after=0)] * 4)
    request = ask(model, timeout=Timeout(total=0.3, between_chunks=0.3, connect=5))
    for error in (await every_style(opened(model), request)).values():
        assert type(error) is errors.ProviderTimeoutError, error
        assert error.status_code is None


@pytest.mark.parametrize("held", [0, 1], ids=["headers alone", "an event without text"])
async def test_first_chunk_has_its_own_time_limit(route, opened, held: int):
    model, server = route
    server.faults.extend([Fault(hold_after=held)] * 2)
    request = ask(model, timeout=Timeout(total=60, between_chunks=60, first_token=0.3))
    provider = opened(model)
    for read in (lambda: list(provider.stream(request)), lambda: collected(provider.astream(request))):
        with pytest.raises(errors.ProviderTimeoutError, match=r"the first chunk did not come within 0.3 s"):
            await settled(read)
        assert server.left.wait(20)
        server.left.clear()


async def test_first_chunk_limit_does_not_apply_to_later_chunks(route, opened):
    model, server = route
    server.faults.extend([Fault(hold_after=4)] * 2)
    request = ask(model, timeout=Timeout(total=60, between_chunks=0.5, first_token=0.2))
    provider = opened(model)
    chunks, achunks = provider.stream(request), provider.astream(request)
    for first, rest in (
        (lambda: next(chunks), lambda: list(chunks)),
        (lambda: anext(achunks), lambda: collected(achunks)),
    ):
        assert (await settled(first)).text
        began = time.monotonic()
        with pytest.raises(errors.StreamInterruptedError) as broken:
            await settled(rest)
        assert time.monotonic() - began >= 0.45
        assert broken.value.partial.text


async def settled(call: Callable[[], Any]) -> Any:
    found = call()
    return await found if inspect.isawaitable(found) else found


async def collected(chunks: AsyncIterator[Chunk]) -> list[Chunk]:
    return [chunk async for chunk in chunks]


async def test_closing_a_stream_closes_its_connection(route, opened):
    model, server = route
    provider = opened(model)
    server.faults.append(Fault(hold_after=4))
    chunks = provider.stream(ask(model))
    assert next(chunks).text
    chunks.close()
    assert server.left.wait(20)
    server.left.clear()
    server.faults.append(Fault(hold_after=4))
    achunks = provider.astream(ask(model))
    assert (await anext(achunks)).text
    await achunks.aclose()
    assert server.left.wait(20)


async def test_unread_stream_sends_nothing(route, opened):
    model, server = route
    provider = opened(model)
    provider.stream(ask(model)).close()
    await provider.astream(ask(model)).aclose()
    assert server.requests == []


async def test_ollama_host_variable_selects_the_server(opened, monkeypatch):
    with OllamaServer() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
        answers = await every_style(opened(OLLAMA), ask(OLLAMA))
        chats = [request for request in server.requests if request.path == "/api/chat"]
    assert len(chats) == 4
    for answer in answers.values():
        assert isinstance(answer, Response), answer
        assert (answer.text, answer.finish_reason, answer.model) == ("Good day to you.", "stop", "llama3.2")


async def test_compatible_server_never_gets_the_openai_key(opened, monkeypatch):
    with OpenAIServer() as server:
        model = f"{server.base_url}#llama-3.2"
        monkeypatch.setenv("OPENAI_API_KEY", key())
        answer = opened(model).complete(ask("openai/llama-3.2"))
        assert (answer.model, answer.provider, answer.cost) == ("llama-3.2-served", "openai_compatible", None)
        assert key() not in str(server.requests[0].headers)
        monkeypatch.setenv("LLMOPS_API_KEY", "own-" + key())
        opened(model).complete(ask("openai/llama-3.2"))
        assert server.requests[1].headers["authorization"] == f"Bearer own-{key()}"


async def test_configured_key_variable_and_price_are_used(opened, monkeypatch):
    with OpenAIServer() as server:
        named = ModelSettings(model="openai/own", base_url=server.base_url, api_key_env="TEAM_KEY")
        provider = opened(
            "mine", models={"mine": named}, prices={"openai/own": PriceSettings(input=1_000_000, output=0)}
        )
        with pytest.raises(errors.AuthenticationError, match="TEAM_KEY"):
            provider.complete(ask("openai/own"))
        assert server.requests == []
        monkeypatch.setenv("TEAM_KEY", key())
        assert provider.complete(ask("openai/own")).cost == 11.0


@pytest.mark.parametrize(("model", "name"), [(OPENAI, "OPENAI_API_KEY"), (ANTHROPIC, "ANTHROPIC_API_KEY")])
async def test_missing_key_error_names_the_variable(opened, model, name):
    provider = opened(model)
    for error in (await every_style(provider, ask(model))).values():
        assert type(error) is errors.AuthenticationError
        assert name in str(error)


def test_unknown_provider_suggests_the_nearest(opened):
    with pytest.raises(errors.ConfigError, match="anthropic/claude") as caught:
        opened("antropic/claude").complete(ask("antropic/claude"))
    assert caught.value.nearest == "anthropic"


async def test_schema_image_and_parameters_are_sent(opened, monkeypatch):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    message = {"role": "user", "content": [{"type": "text", "text": "Look"}, image]}
    with OpenAIServer(Reply(text='{"a": 1}', reasoning="Well, …", reasoning_tokens=2)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", key())
        monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
        request = Request(
            model=OPENAI,
            messages=[message],
            response_schema=schema,
            response_schema_name="Look",
            params={"temperature": 0.5, "max_tokens": 9},
            extra={"my_own": 1},
        )
        answers = await every_style(opened(OPENAI), request)
        sent = server.requests[0].body
    assert sent["messages"] == [message]
    assert sent["response_format"]["json_schema"] == {"name": "Look", "schema": schema, "strict": False}
    assert (sent["temperature"], sent["max_tokens"], sent["my_own"]) == (0.5, 9, 1)
    for answer in answers.values():
        assert isinstance(answer, Response), answer
        assert (answer.reasoning, answer.usage.reasoning_tokens) == ("Well, …", 2)


async def test_vectors_keep_the_order_of_their_texts(opened, monkeypatch):
    model = "openai/text-embedding-3-small"
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", key())
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        provider = opened(model)
        request = Request(model=model, messages=[])
        for found in (provider.embed(["a", "b"], request), await provider.aembed(["a", "b"], request)):
            assert found.vectors == [[0.0, 1.0], [1.0, 1.0]]
            assert found.usage.input_tokens == 5


def test_program_without_close_prints_nothing():
    """Importing and using litellm shows no advice and no warnings, also none about unclosed connections."""
    program = """
import asyncio, sys
from openai_server import OpenAIServer
from llmops_sdk.config import Settings, resolve_model
from llmops_sdk.providers import Request, open_provider
import os
with OpenAIServer() as server:
    os.environ |= {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": server.base_url}
    provider = open_provider(resolve_model(Settings(), "openai/gpt-4.1-mini"))
    assert "litellm" not in sys.modules
    request = Request(model="openai/gpt-4.1-mini", messages=[{"role": "user", "content": "Hi"}])
    provider.complete(request)
    list(provider.stream(request))
    async def main():
        await provider.acomplete(request)
    asyncio.run(main())
    asyncio.run(main())
    assert len(server.requests) == 4
"""
    paths = os.pathsep.join(path for path in sys.path if path.endswith(("tests/loopback", "tests/receivers")))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONWARNINGS": "always"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_model_name_makes_a_call_contact_another_host():
    """litellm fetches tokenizers for such names to count unused tokens; a stream once took 47 s."""
    program = """
import asyncio, sys
from openai_server import OpenAIServer
from llmops_sdk.config import Settings, resolve_model
from llmops_sdk.providers import Request, open_provider
asked = []
sys.addaudithook(lambda event, args: asked.append(args[0]) if event == "socket.getaddrinfo" else None)
with OpenAIServer() as server:
    for name in ("llama-3-8b", "llama-2-7b", "command-r"):
        provider = open_provider(resolve_model(Settings(), f"{server.base_url}#{name}"))
        request = Request(model=f"openai/{name}", messages=[{"role": "user", "content": "Hi"}])
        provider.complete(request)
        list(provider.stream(request))
        async def main():
            await provider.acomplete(request)
            assert [chunk async for chunk in provider.astream(request)]
        asyncio.run(main())
        provider.close()
    assert len(server.requests) == 12
print({str(host) for host in asked} - {"127.0.0.1"})
"""
    paths = os.pathsep.join(path for path in sys.path if path.endswith(("tests/loopback", "tests/receivers")))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONWARNINGS": "default", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")
