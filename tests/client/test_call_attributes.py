"""The attributes of a call's span, line by line of the GenAI conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault, Reply
from openai_server import OpenAIServer
from otlp_receiver import OtlpReceiver

import llmops_sdk as llmops
from llmops_sdk.cli._app import run


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "k")


def sent(backend: OtlpReceiver, count: int = 1) -> list[dict[str, Any]]:
    assert llmops.flush(30.0).pending == 0
    assert len(backend.spans) == count
    return [span.attributes for span in backend.spans]


def test_an_openai_call_has_the_conventional_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply(cached_tokens=3, reasoning_tokens=2)
    with OtlpReceiver() as backend, OpenAIServer(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(export={"endpoint": backend.url})
        llmops.chat(
            "Hi",
            model="openai/gpt-x",
            temperature=0.5,
            max_tokens=9,
            top_p=0.9,
            frequency_penalty=0.1,
            presence_penalty=0.2,
            seed=7,
            stop="END",
            n=2,
            service_tier="auto",
            extra={"response_format": {"type": "json_object"}},
        )
        (found,) = sent(backend)
        port = int(server.url.rpartition(":")[2])
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-x-served",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "openai.request.service_tier": "auto",
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_1",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert {name: found.get(name) for name in expected} == expected
    absent = ("request.stream", "response.time_to_first_chunk", "usage.cache_write.input_tokens")
    assert not any(f"gen_ai.{name}" in found for name in absent)
    assert not any(name.endswith((".messages", ".definitions")) for name in found), "content is off"


def test_an_anthropic_stream_has_the_conventional_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as backend, AnthropicServer(Reply(cached_tokens=3, cache_creation_tokens=2)) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        llmops.configure(export={"endpoint": backend.url})
        list(llmops.stream("Hi", model="anthropic/claude-x", extra={"top_k": 4}))
        (found,) = sent(backend)
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.request.top_k"] == 4
    assert 0 < found["gen_ai.response.time_to_first_chunk"] < 60
    # Anthropic counts its cache beside the input; in the conventions it is within.
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.cache_creation.input_tokens"]) == (11, 2)
    assert found["gen_ai.usage.cache_read.input_tokens"] == 3
    assert not any(name.startswith("openai.") for name in found)


def test_a_fallback_records_the_server_that_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as backend, OpenAIServer() as first, AnthropicServer() as second:
        monkeypatch.setenv("OPENAI_BASE_URL", first.base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", second.url)
        first.faults.extend([Fault(status=401), Fault(status=401)])
        smart = {"model": "openai/gpt-x", "fallbacks": ["anthropic/claude-x"]}
        lasting = {"model": "openai/gpt-x", "fallbacks": ["offline/echo"]}
        llmops.configure(export={"endpoint": backend.url}, models={"smart": smart, "lasting": lasting})
        llmops.chat("Hi", model="smart")
        llmops.chat("Hi", model="lasting")
        served, here = sent(backend, 2)
        assert served["server.port"] == int(second.url.rpartition(":")[2])
    assert (here["gen_ai.provider.name"], "server.address" in here, "server.port" in here) == ("offline", False, False)


@pytest.mark.parametrize(
    ("model", "server"),
    [
        ("openai/gpt-x", ("api.openai.com", 443)),
        ("anthropic/claude-x", ("api.anthropic.com", 443)),
        ("https://models.example/v1#m", ("models.example", 443)),
        ("http://models.example:8000/v1#m", ("models.example", 8000)),
        ("ollama/llama", ("127.0.0.1", 11434)),
        ("bedrock/m", None),
        ("offline/echo", None),
    ],
)
def test_the_server_is_known_before_anything_is_sent(model: str, server: tuple[str, int] | None) -> None:
    from llmops_sdk.config import Settings, resolve_model
    from llmops_sdk.providers import open_provider

    assert getattr(open_provider(resolve_model(Settings(), model)), "server", None) == server


def test_an_embedding_call_has_the_conventional_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    with OtlpReceiver() as backend, OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(export={"endpoint": backend.url})
        llmops.embed(["a", "b"], model="openai/e")
        (found,) = sent(backend)
    assert (found["gen_ai.operation.name"], found["gen_ai.embeddings.dimension.count"]) == ("embeddings", 2)
    assert (found["openinference.span.kind"], found["server.address"]) == ("EMBEDDING", "127.0.0.1")


@pytest.mark.parametrize("content", [False, True])
def test_spans_of_the_application_have_conventional_attributes(content: bool) -> None:
    @llmops.trace("weather", kind="tool")
    def weather(city: str) -> dict[str, str]:
        return {"sky": "blue"}

    @llmops.trace("planner", kind="agent")
    def planner() -> None:
        weather("Paris")
        with llmops.span("find", kind="retriever"), llmops.span("rank", kind="reranker"), llmops.span("plain"):
            pass

    with OtlpReceiver() as backend:
        llmops.configure(export={"endpoint": backend.url, "content": content})
        planner()
        llmops.flush(30.0)
        found = {span.name: span.attributes for span in backend.spans}
    assert {name: one.get("gen_ai.operation.name") for name, one in found.items()} == {
        "weather": "execute_tool",
        "planner": "invoke_agent",
        "find": "retrieval",
        "rank": None,
        "plain": None,
    }
    assert (found["weather"]["gen_ai.tool.name"], found["weather"]["gen_ai.tool.type"]) == ("weather", "function")
    assert found["planner"]["gen_ai.agent.name"] == "planner"
    told = (found["weather"].get("gen_ai.tool.call.arguments"), found["weather"].get("gen_ai.tool.call.result"))
    assert told == (('{"city":"Paris"}', '{"sky":"blue"}') if content else (None, None))


@pytest.mark.parametrize(
    ("asked", "name", "target"),
    [
        ("fast", "fast", "offline/script"),
        ("alias", "alias", "offline/script"),
        ("offline/script", "offline/script", None),
        (None, "alias", "offline/script"),
    ],
)
def test_the_name_of_the_model_is_recorded_and_found(
    asked: str | None, name: str, target: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    script = {"answers": ["Hello"]}
    llmops.configure(
        model="alias" if asked is None else asked, options=script,
        models={"fast": {"model": "offline/script", "options": script}, "alias": {"model": "fast"}},
    )  # fmt: skip
    llmops.chat("Hi", model=asked)
    list(llmops.stream("Hi", model="fast"))
    llmops.embed(["Hi"], model="fast")
    llmops.flush()
    sql = """SELECT attributes->>'llmops.model.name', attributes->>'llmops.model.target' FROM spans
             WHERE kind IN ('llm', 'embedding') ORDER BY start_ns"""
    assert llmops.query(sql).rows() == [(name, target), *[("fast", "offline/script")] * 2]
    for wanted, count in ((name, 3 if name in ("fast", "offline/script") else 1), ("offline/script", 3), ("x/y", 0)):
        capsys.readouterr()
        assert run(["traces", "--model", wanted, "--format", "json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == count


def test_credentials_in_a_models_url_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(Reply()) as server:
        secret = "s3" + "cr3t" * 3
        llmops.chat("Hi", model=server.base_url.replace("://", f"://me:{secret}@") + "#m")
    llmops.flush()
    (row,) = llmops.query("SELECT attributes::VARCHAR FROM llm_calls").rows()
    assert secret not in row[0]
    assert '"llmops.model.name":"openai/m"' in row[0].replace(" ", "")
