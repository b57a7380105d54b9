"""Calls in one event loop after another leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import LoopbackServer
from openai_server import OpenAIServer
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.providers.litellm._callbacks import _application_listens

pytestmark = pytest.mark.slow  # importing litellm takes seconds

WARM_UP, LOOPS = 3, 12
WATCHED = ("AsyncOpenAI", "AsyncClient", "Logging", "LoggingTask", "ModelResponse", "CustomStreamWrapper", "Task")


@pytest.fixture(params=[OpenAIServer, AnthropicServer])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    kind: type[LoopbackServer] = request.param
    vendor = kind.__name__.removesuffix("Server")
    with kind() as server:
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "key-for-tests")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", server.url + ("/v1" if vendor == "OpenAI" else ""))
        yield {"OpenAI": "openai/gpt-4.1-mini", "Anthropic": "anthropic/claude-sonnet-4-5"}[vendor]


async def whole(model: str) -> str:
    return (await llmops.achat("Hello?", model=model, cache=False)).text


async def streamed(model: str) -> str:
    return "".join([chunk.text async for chunk in llmops.astream("Hello?", model=model)])


async def failed(model: str) -> str:
    with pytest.raises(llmops.LLMOpsError):
        await llmops.achat("Hello?", model=model, cache=False, retry=False, extra={"n": -1}, timeout=1e-9)
    return "Good day to you."


def run(work: Coroutine[Any, Any, str]) -> str:
    return asyncio.run(work)


def run_without_cleanup(work: Coroutine[Any, Any, str]) -> str:
    """Run as older programs do: the loop ends without cancelling its tasks."""
    loop = asyncio.new_event_loop()
    try:
        answer = loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_asyncgens())
        return answer
    finally:
        loop.close()


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """Hide the objects of earlier tests from the collector: there are millions, and each look reads them all."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def living() -> Counter[str]:
    """Count the objects that a call makes and that must not outlive its loop."""
    gc.collect()
    found: Counter[str] = Counter()
    for one in gc.get_objects():
        name = type(one).__name__
        # By the type alone: objects of other tests refuse `isinstance`, which asks for their `__class__`.
        if issubclass(type(one), ssl.SSLContext | asyncio.AbstractEventLoop):
            name = "SSLContext" if issubclass(type(one), ssl.SSLContext) else "loop"
        elif name == "dict" and one.keys() == {"coroutine", "context"}:  # an entry of litellm's queue
            name = "LoggingTask"
        elif name not in WATCHED:
            continue
        found[name] += 1
    return found


def check_loops(
    model: str,
    style: Callable[[str], Coroutine[Any, Any, str]],
    loop: Callable[[Coroutine[Any, Any, str]], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(WARM_UP):
        assert loop(style(model)) == "Good day to you."
    before = living()
    for _ in range(LOOPS):
        loop(style(model))
    more = living() - before
    assert not {name: count for name, count in more.items() if count >= LOOPS // 2}
    assert "Task was destroyed" not in caplog.text


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize("loop", [run, run_without_cleanup])
@pytest.mark.parametrize("style", [whole, streamed, failed])
def test_each_event_loop_leaves_no_object_behind(
    model: str,
    style: Callable[[str], Coroutine[Any, Any, str]],
    loop: Callable[[Coroutine[Any, Any, str]], str],
    caplog: pytest.LogCaptureFixture,
):
    check_loops(model, style, loop, caplog)


@pytest.fixture
def vendor_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return a model of a vendor for which litellm makes the client."""
    monkeypatch.setenv("AZURE_API_VERSION", "2024-06-01")
    with OpenAIServer() as server:
        url = server.url + ("" if request.param in {"azure", "cohere"} else "/v1")
        llmops.configure(models={"m": {"model": f"{request.param}/m-x", "base_url": url, "api_key_env": "TEAM_KEY"}})
        monkeypatch.setenv("TEAM_KEY", "key-for-tests")
        yield "m"


async def tried(model: str) -> str:
    """Ask, whatever the server answers."""
    for call in (llmops.achat("Hello?", model=model, retry=False), llmops.aembed(["Hello?"], model=model)):
        try:
            await call
        except llmops.ProviderError:
            continue
    return "Good day to you."


@pytest.mark.usefixtures("only_new_objects")
@pytest.mark.parametrize(
    ("vendor_model", "style"),
    [
        ("azure", streamed),
        ("cohere", tried),
        *(thorough(*one) for one in (("azure", tried), ("moonshot", streamed))),
    ],
    indirect=["vendor_model"],
)
def test_clients_that_litellm_makes_end_with_their_event_loop(
    vendor_model: str, style: Callable[[str], Coroutine[Any, Any, str]], caplog: pytest.LogCaptureFixture
):
    check_loops(vendor_model, style, run, caplog)


def test_an_entry_that_litellm_adds_by_itself_is_no_callback_of_the_application():
    """A call to Gemini adds "cache" to litellm's callbacks."""
    listening = SimpleNamespace(cache=None, success_callback=["cache"], _async_success_callback=["cache"])
    assert not _application_listens(listening)
    assert _application_listens(SimpleNamespace(cache=object(), success_callback=["cache"]))
    assert _application_listens(SimpleNamespace(cache=None, success_callback=["cache", "langfuse"]))


def test_callbacks_of_the_application_still_run(model: str):
    from llmops_sdk.providers.litellm._library import library

    litellm, seen = library().litellm, asyncio.Event()

    async def note(kwargs: dict[str, Any], *_: object) -> None:
        if kwargs["model"] == model.partition("/")[2]:
            seen.set()

    async def call() -> None:
        await llmops.achat("Hello?", model=model, cache=False)
        await seen.wait()

    litellm.success_callback.append(note)
    try:
        asyncio.run(asyncio.wait_for(call(), 20))
    finally:  # litellm moves async functions from one list to the other
        litellm.success_callback.clear()
        litellm._async_success_callback.clear()
    assert seen.is_set()


@pytest.mark.parametrize("ends", [True, False], ids=["first loop ends", "first loop lives on"])
def test_stream_read_in_another_event_loop_is_interrupted(model: str, ends: bool):
    async def begin() -> llmops.AsyncStream:
        chunks = llmops.astream("Hello?", model=model)
        assert (await anext(chunks)).text
        return chunks

    async def read_on(chunks: llmops.AsyncStream) -> None:
        async for _ in chunks:
            pass

    loop = asyncio.new_event_loop()
    try:
        chunks = asyncio.run(begin()) if ends else loop.run_until_complete(begin())
        with pytest.raises(llmops.StreamInterruptedError, match="another event loop") as raised:
            asyncio.run(read_on(chunks))
        assert raised.value.partial.text == "Good "
        assert llmops.query("SELECT status FROM llm_calls").scalar() == "error"
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_offline_stream_read_in_another_event_loop_is_interrupted():
    async def begin() -> llmops.AsyncStream:
        chunks = llmops.astream("Good day to you", model="offline/echo")
        await anext(chunks)
        return chunks

    async def read_on(chunks: llmops.AsyncStream) -> None:
        async for _ in chunks:
            pass

    with pytest.raises(llmops.StreamInterruptedError, match="another event loop"):
        asyncio.run(read_on(asyncio.run(begin())))
