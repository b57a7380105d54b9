"""Failures of servers, programs and networks: each is one typed error, retried only where that may help."""

from __future__ import annotations

import gc
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault, Recorded
from ollama_server import OllamaServer
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.providers.litellm._callbacks import _application_listens
from llmops_sdk.providers.litellm._library import library

pytestmark = pytest.mark.slow  # importing litellm takes seconds


class RefusingServer(OpenAIServer):
    """Answers every request with one status, one body and some headers."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.status, self.body, self.headers = status, body, headers or {}

    def handler(self) -> Any:
        server = self

        class Handler(super().handler()):
            def _answer(self, request: Recorded, fault: Fault) -> None:
                data = server.body.encode() if isinstance(server.body, str) else json.dumps(server.body).encode()
                self.send_response(server.status)
                kind = "text/html" if isinstance(server.body, str) else "application/json"
                for name, value in ({"content-type": kind, "content-length": str(len(data))} | server.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        return Handler


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a server of the class or object the model "m" of a vendor."""

    def configure(vendor: str, server: Any, **more: Any) -> str:
        monkeypatch.setenv("TEAM_KEY", "key-for-tests")
        path = "" if vendor in {"anthropic", "gemini", "ollama"} else "/v1"
        named = {"model": f"{vendor}/m-x", "base_url": server.url + path, "api_key_env": "TEAM_KEY", **more}
        llmops.configure(models={"m": named}, retry={"attempts": 3, "base": 0.001})
        return "m"

    return configure


async def failures(model: str, **options: Any) -> Iterator[llmops.ProviderError]:
    """Return the error of each of the four call styles."""
    found = []
    for style in ("chat", "achat", "stream", "astream"):
        with pytest.raises(llmops.LLMOpsError) as raised:  # noqa: PT012
            if style == "chat":
                llmops.chat("Hello?", model=model, **options)
            elif style == "achat":
                await llmops.achat("Hello?", model=model, **options)
            elif style == "stream":
                list(llmops.stream("Hello?", model=model, **options))
            else:
                _ = [chunk async for chunk in llmops.astream("Hello?", model=model, **options)]
        found.append(raised.value)
    return found


def openai_error(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "headers", "attempts"),
    [
        (429, openai_error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), {}, 1),
        (429, openai_error("slow down"), {}, 3),
        (429, openai_error("slow down"), {"x-should-retry": "false"}, 1),
        (503, openai_error("away"), {"x-should-retry": "false"}, 1),
        (409, openai_error("locked"), {"x-should-retry": "true"}, 3),
        (409, openai_error("conflict"), {}, 1),
    ],
    ids=["quota", "429", "429 false", "503 false", "409 true", "409"],
)
async def test_server_decides_about_a_retry(status: int, body: Any, headers: Any, attempts: int, configured: Any):
    with RefusingServer(status, body, headers) as server:
        for error in await failures(configured("openai", server)):
            assert len(error.attempts) == attempts, error
            assert error.status_code == status
        assert len(server.requests) == 4 * attempts


def test_exhausted_quota_still_falls_back(configured: Any):
    body = openai_error("You exceeded your current quota", "insufficient_quota", "insufficient_quota")
    with RefusingServer(429, body) as server:
        assert llmops.chat("Hello?", model=configured("openai", server, fallbacks=["offline/echo"])).text == "Hello?"
        assert len(server.requests) == 1


TOO_LONG = {
    "openrouter": "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens",
    "mistral": "Prompt contains 40001 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "xai": "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
    "groq": "Please reduce the length of the messages or completion.",
    "deepseek": "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens",
    "openai": "the request exceeds the available context size. try increasing the context size",
    "together_ai": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Too many tokens",
}


@pytest.mark.parametrize("vendor", TOO_LONG)
async def test_prompt_that_is_too_long_is_a_context_window_error(vendor: str, configured: Any):
    with RefusingServer(400, openai_error(TOO_LONG[vendor])) as server:
        for error in await failures(configured(vendor, server)):
            assert type(error) is llmops.ContextWindowError, error
            assert len(error.attempts) == 1


async def test_bad_request_about_something_else_is_no_context_window_error(configured: Any):
    with RefusingServer(400, openai_error("The tool's name exceeds the limit of 64 characters")) as server:
        for error in await failures(configured("mistral", server)):
            assert type(error) is llmops.BadRequestError, error


async def test_empty_account_of_anthropic_is_a_permission_error_and_falls_back(configured: Any):
    text = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": text}}
    with RefusingServer(400, body) as server:
        for error in await failures(configured("anthropic", server)):
            assert type(error) is llmops.PermissionDeniedError, error
        assert llmops.chat("Hi", model=configured("anthropic", server, fallbacks=["offline/echo"])).text == "Hi"


class SmallOllama(OllamaServer):
    """Has too little memory, and says so in the stream."""

    def events(self, request: Recorded) -> Iterator[bytes]:
        text = "model requires more system memory (8.4 GiB) than is available (3.1 GiB)"
        yield json.dumps({"error": text}).encode() + b"\n"


async def test_error_of_ollama_in_a_stream_is_a_server_error(configured: Any):
    with SmallOllama() as server:
        model = configured("ollama", server)
        for call in ("stream", "astream"):
            with pytest.raises(llmops.ServerError, match="system memory"):  # noqa: PT012
                if call == "stream":
                    list(llmops.stream("Hello?", model=model, retry=False))
                else:
                    _ = [chunk async for chunk in llmops.astream("Hello?", model=model, retry=False)]


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP
UNSENDABLE = {
    "a set": {"extra": {"ids": {1, 2}}},
    "an object": {"extra": {"it": object()}},
    "bytes": {"extra": {"it": b"x"}},
    "a circle": {"extra": {"it": LOOP}},
    "stream": {"extra": {"stream": True}},
    "another model": {"extra": {"model": "other"}},
}


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "groq"])
@pytest.mark.parametrize("case", UNSENDABLE)
async def test_request_that_cannot_be_written_is_the_callers_error(case: str, vendor: str, configured: Any):
    server_class = AnthropicServer if vendor == "anthropic" else OpenAIServer
    with server_class() as server:
        model = configured(vendor, server, fallbacks=["offline/echo"])
        for error in await failures(model, **UNSENDABLE[case]):
            assert type(error) is llmops.BadRequestError, error
            assert len(error.attempts) == 1
        assert server.requests == []


CONTENT = {
    "unknown part": [{"type": "hologram", "hologram": {"url": "x"}}],
    "part without type": [{"text": "Hi"}],
    "part that is a number": [5],
    "image without url": [{"type": "image_url"}],
    "audio without data": [{"type": "input_audio"}],
}


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "ollama", "mistral"])
@pytest.mark.parametrize("case", CONTENT)
def test_unknown_content_never_raises_a_raw_exception(case: str, vendor: str, configured: Any):
    kinds = {"anthropic": AnthropicServer, "ollama": OllamaServer}
    with kinds.get(vendor, OpenAIServer)() as server:
        model = configured(vendor, server)
        for call in (llmops.chat, lambda *a, **k: list(llmops.stream(*a, **k))):
            try:
                call([{"role": "user", "content": CONTENT[case]}], model=model, retry=False)
            except llmops.LLMOpsError as error:
                # litellm asks Ollama for the model's abilities before it looks at the messages.
                known = llmops.ProviderError if vendor == "ollama" else llmops.BadRequestError | llmops.ServerError
                assert isinstance(error, known), repr(error)  # noqa: PT017


class OddServer(OpenAIServer):
    def __init__(self, **odd: Any) -> None:
        super().__init__()
        self.odd = odd

    def whole(self, request: Recorded) -> dict[str, Any]:
        return {**super().whole(request), **self.odd}


ODD = [
    {"model": 5},
    {"id": 5},
    {"usage": "many"},
    {"choices": {"a": 1}},
    {"choices": [5]},
    {"choices": [{}]},
    {"created": "x"},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_answer_is_an_answer_or_a_server_error(odd: dict[str, Any], configured: Any):
    with OddServer(**odd) as server:
        try:
            answer = llmops.chat("Hello?", model=configured("openai", server), retry=False)
        except llmops.ServerError:
            pass
        else:
            assert isinstance(answer.model, str)
            assert answer.text == "Good day to you."


@pytest.mark.parametrize("proxy", ["socks5://user:{}@127.0.0.1:9", "foo://user:{}@127.0.0.1:9", "http://[::1"])
async def test_proxy_that_cannot_be_used_is_a_config_error(proxy: str, configured: Any, monkeypatch: Any):
    password = secrets.token_hex(8)
    with OpenAIServer() as server:
        model = configured("openai", server)
        for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.format(password))
        for error in await failures(model):
            assert type(error) is llmops.ConfigError, error
            assert "ALL_PROXY" in str(error)
            assert password not in str(error)


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "groq"])
async def test_body_of_an_html_error_page_is_in_the_message(configured: Any, vendor: str):
    page = "<html><head><title>502 Bad Gateway</title></head><body>upstream is away</body></html>"
    with RefusingServer(502, page) as server:
        for error in await failures(configured(vendor, server), retry=False):
            assert type(error) is llmops.ServerError, error
            assert "upstream is away" in str(error)


async def test_connection_error_names_the_address_without_user_and_query(configured: Any, monkeypatch: Any):
    password = secrets.token_hex(8)
    monkeypatch.setenv("TEAM_KEY", "key-for-tests")
    for vendor, user in (("openai", f"user:{password}@"), ("groq", "")):
        base = f"http://{user}127.0.0.1:9/v1?token={password}"
        llmops.configure(models={"m": {"model": f"{vendor}/m", "base_url": base, "api_key_env": "TEAM_KEY"}})
        for error in await failures("m", retry=False):
            assert type(error) is llmops.ProviderConnectionError
            assert "http://127.0.0.1:9/v1" in str(error)
            assert password not in str(error)


async def test_key_that_a_server_repeats_is_hidden(configured: Any):
    with RefusingServer(401, openai_error("Incorrect API key provided: key-for-tests")) as server:
        for error in await failures(configured("openai", server)):
            assert "key-for-tests" not in str(error)
            assert type(error) is llmops.AuthenticationError


async def test_retry_delay_of_google_is_read(configured: Any):
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    body = {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": details}}
    with RefusingServer(429, body) as server:
        for error in await failures(configured("gemini", server), retry=False):
            assert type(error) is llmops.RateLimitError
            assert error.retry_after == 34.5
    assert not _application_listens(library().litellm)  # litellm has added "cache" to its callbacks


async def test_connections_of_earlier_settings_close_in_a_loop_that_goes_on(configured: Any):
    # The garbage collector warns of an open connection that nobody refers to, and every warning is an error.
    with RefusingServer(502, "<html>away</html>") as server:
        for vendor in ("openai", "anthropic", "groq", "openai"):
            await failures(configured(vendor, server), retry=False)
            gc.collect()
