"""Keys stay at the server that the configuration names, and every vendor's calls keep their deadlines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault, LoopbackServer, Recorded, sse
from ollama_server import OllamaServer
from openai_server import OpenAIServer

from llmops_sdk import errors
from llmops_sdk.config import ModelSettings, Settings, Timeout, resolve_model
from llmops_sdk.providers import Provider, Request, open_provider

pytestmark = pytest.mark.slow  # importing litellm takes seconds

# Vendors that take our client, and some that do not: their clients are litellm's.
VENDORS = [
    "openai", "anthropic", "gemini", "ollama", "azure", "groq", "mistral", "deepseek", "openrouter", "xai", "moonshot",
    "perplexity", "together_ai", "fireworks_ai", "cohere", "hosted_vllm",
]  # fmt: skip
NAMED = ["azure", "groq", "mistral", "deepseek", "openrouter", "xai"]


def key() -> str:
    return "key-" + "for-tests"


@pytest.fixture
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str, LoopbackServer], Provider]]:
    providers: list[Provider] = []
    monkeypatch.setenv("TEAM_KEY", key())
    monkeypatch.setenv("AZURE_API_VERSION", "2024-06-01")

    def open_(vendor: str, server: LoopbackServer) -> Provider:
        path = "" if vendor in {"azure", "anthropic", "gemini", "ollama", "cohere"} else "/v1"
        named = ModelSettings(model=f"{vendor}/m-x", base_url=server.url + path, api_key_env="TEAM_KEY")
        providers.append(open_provider(resolve_model(Settings(models={"m": named}), "m")))
        return providers[-1]

    yield open_
    for provider in providers:
        await provider.aclose()


def ask(vendor: str, **fields: Any) -> Request:
    return Request(model=f"{vendor}/m-x", messages=[{"role": "user", "content": "Hello?"}], **fields)


async def errors_of(provider: Provider, request: Request) -> dict[str, errors.LLMOpsError]:
    """Return the error of each of the four call styles."""
    found: dict[str, errors.LLMOpsError] = {}
    for style in ("complete", "acomplete", "stream", "astream"):
        try:
            if style == "complete":
                answer: Any = provider.complete(request)
            elif style == "acomplete":
                answer = await provider.acomplete(request)
            elif style == "stream":
                answer = list(provider.stream(request))
            else:
                answer = [chunk async for chunk in provider.astream(request)]
        except errors.LLMOpsError as error:
            found[style] = error
        else:
            pytest.fail(f"{style} answered: {answer}")
    return found


@pytest.mark.parametrize(("vendor", "status"), [*((vendor, 307) for vendor in VENDORS), ("openai", 301), ("xai", 308)])
async def test_redirect_to_another_origin_is_refused(vendor: str, status: int, opened: Any):
    with OpenAIServer() as other, OpenAIServer() as server:
        location = {"location": f"{other.url}/v1/chat/completions"}
        server.faults.extend([Fault(status=status, headers=location)] * 12)
        for style, error in (await errors_of(opened(vendor, server), ask(vendor))).items():
            assert type(error) is errors.NotFoundError, (style, error)
            assert other.url in str(error)
            assert "base_url" in str(error)
        assert other.requests == []


EMBEDDERS = [
    "openai", "azure", "gemini", "mistral", "cohere", "ollama", "voyage", "jina_ai", "together_ai", "hosted_vllm",
    "lm_studio", "nvidia_nim", "databricks", "openrouter", "fireworks_ai", "infinity",
]  # fmt: skip


@pytest.mark.parametrize("vendor", EMBEDDERS)
async def test_embedding_call_reaches_its_server_once_and_no_other(vendor: str, opened: Any):
    """A vendor that litellm does not let choose the encoding of vectors is asked without one (fault 17)."""
    with OpenAIServer() as other, OpenAIServer() as server:
        server.faults.extend([Fault(status=307, headers={"location": f"{other.url}/v1/embeddings"})] * 2)
        provider = opened(vendor, server)
        with pytest.raises(errors.NotFoundError, match="base_url"):
            provider.embed(["a"], ask(vendor))
        with pytest.raises(errors.NotFoundError, match="base_url"):
            await provider.aembed(["a"], ask(vendor))
        assert (len(server.requests), other.requests) == (2, [])
        # litellm tells the vendor's client to repeat embeddings twice where it is told not to repeat them.
        server.faults.extend([Fault(status=500)] * 6)
        with pytest.raises(errors.ProviderError):
            provider.embed(["a"], ask(vendor))
        with pytest.raises(errors.ProviderError):
            await provider.aembed(["a"], ask(vendor))
        assert len(server.requests) == 4


async def test_ollama_embeds(opened: Any):
    with OllamaServer() as server:
        provider = opened("ollama", server)
        for found in (provider.embed(["a", "b"], ask("ollama")), await provider.aembed(["a", "b"], ask("ollama"))):
            assert found.vectors == [[0.0, 1.0], [1.0, 1.0]]
        assert [request.path for request in server.requests] == ["/api/embed"] * 2


@pytest.mark.parametrize("kind", [OpenAIServer, AnthropicServer])
async def test_redirect_within_the_origin_is_followed(kind: type[LoopbackServer], opened: Any):
    vendor = kind.__name__.removesuffix("Server").lower()
    with kind() as server:
        path = "/v1/messages" if vendor == "anthropic" else "/v1/chat/completions"
        server.faults.append(Fault(status=308, headers={"location": path}))
        assert opened(vendor, server).complete(ask(vendor)).text == "Good day to you."
        assert len(server.requests) == 2


class DrippingServer(OpenAIServer):
    """Sends a whole answer, or a stream, as spaces and comments that never end."""

    def whole(self, request: Recorded) -> dict[str, Any]:
        raise AssertionError("the handler drips")

    def handler(self) -> Any:
        server = self

        class Handler(super().handler()):
            def _answer(self, request: Recorded, fault: Fault) -> None:
                streaming = request.body.get("stream") is True
                self.send_response(200)
                self.send_header("content-type", "text/event-stream" if streaming else "application/json")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                drop = sse({"x": 1}).replace(b'data: {"x": 1}', b": keep-alive") if streaming else b" "
                while not server._closing.wait(0.05):
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(drop), drop))
                    self.wfile.flush()

        return Handler


@pytest.mark.parametrize("vendor", [*NAMED, "moonshot", "together_ai"])
async def test_keep_alives_do_not_extend_the_timeout(vendor: str, opened: Any):
    with DrippingServer() as server:
        provider = opened(vendor, server)
        provider.prepare()  # imports litellm, which takes seconds and is no part of a call's time
        for bound in ({"total": 0.5}, {"total": 30.0, "first_token": 0.5}):
            request = ask(vendor, timeout=Timeout(**bound))
            styles = {"stream": lambda request=request: list(provider.stream(request))}
            if "first_token" not in bound:
                styles["complete"] = lambda request=request: provider.complete(request)
            for style, call in styles.items():
                began = time.monotonic()
                with pytest.raises(errors.ProviderTimeoutError):
                    call()
                assert time.monotonic() - began < 5, style
