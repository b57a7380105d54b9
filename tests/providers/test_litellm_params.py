"""Parameters that a model does not take are left out and told once: swaps and fallbacks do not fail on them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from loopback import Fault
from openai_server import OpenAIServer

import llmops_sdk as llmops

pytestmark = pytest.mark.slow  # importing litellm takes seconds

EVERYTHING: dict[str, Any] = {
    "temperature": 0, "top_p": 0.5, "stop": ["END"], "seed": 1, "n": 2, "reasoning_effort": "low", "verbosity": "low",
    "service_tier": "flex", "user": "u", "logprobs": True, "top_logprobs": 2, "frequency_penalty": 0.5,
    "presence_penalty": 0.5, "parallel_tool_calls": False, "logit_bias": {"50256": -100}, "max_tokens": 9,
}  # fmt: skip
REFUSED = {
    "openai/gpt-5-mini": ("temperature", "stop", "top_p"),
    "openai/o3-mini": ("temperature", "verbosity"),
    "openai/gpt-4.1-mini": ("reasoning_effort", "verbosity"),
    "anthropic/claude-sonnet-4-5": ("n", "verbosity", "service_tier", "seed"),
    "groq/llama-3.3-70b-versatile": ("verbosity",),
    "mistral/mistral-large-latest": ("n", "service_tier", "reasoning_effort"),
    "http": ("verbosity",),
}


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Any:
    with OpenAIServer() as openai, AnthropicServer() as anthropic:
        for vendor in ("OPENAI", "ANTHROPIC", "GROQ", "MISTRAL"):
            monkeypatch.setenv(f"{vendor}_API_KEY", "key-for-tests")
        monkeypatch.setenv("OPENAI_BASE_URL", openai.base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", anthropic.url)
        models = {vendor: {"model": f"{vendor}/x", "base_url": openai.base_url} for vendor in ("groq", "mistral")}
        llmops.configure(models=models)
        yield openai, anthropic


def named(model: str, openai: OpenAIServer) -> str:
    vendor = model.partition("/")[0]
    if vendor == "http":
        return f"{openai.base_url}#llama"
    if vendor in {"groq", "mistral"}:
        llmops.configure(models={"it": {"model": model, "base_url": openai.base_url}})
        return "it"
    return model


@pytest.mark.parametrize("model", REFUSED)
def test_every_standard_parameter_at_once_does_not_break_a_call(model: str, servers: Any, caplog: Any):
    openai, anthropic = servers
    server = anthropic if model.startswith("anthropic") else openai
    name = named(model, openai)
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        for _ in range(2):
            assert llmops.chat("Hello?", model=name, **EVERYTHING).text == "Good day to you."
        streamed = {key: value for key, value in EVERYTHING.items() if key != "n"}
        assert "".join(chunk.text for chunk in llmops.stream("Hello?", model=name, **streamed)) == "Good day to you."
    for parameter in REFUSED[model]:
        assert parameter not in server.requests[0].body
        assert caplog.text.count(f"does not take {parameter}") <= 1
    assert "litellm" not in caplog.text


@pytest.mark.parametrize("parameter", ["temperature", "stop"])
def test_fallback_does_not_fail_on_a_parameter(parameter: str, servers: Any):
    openai, anthropic = servers
    anthropic.faults.extend([Fault(status=500)])
    llmops.configure(
        models={"m": {"model": "anthropic/claude-sonnet-4-5", "fallbacks": ["openai/gpt-5-mini"]}},
        retry={"attempts": 1},
    )
    answer = llmops.chat("Hello?", model="m", **{parameter: EVERYTHING[parameter]})
    assert answer.model == "gpt-5-mini-served"
    assert parameter not in openai.requests[0].body
    assert parameter.replace("stop", "stop_sequences") in anthropic.requests[0].body


def test_value_that_the_model_takes_is_sent(servers: Any):
    openai, _ = servers
    llmops.chat("Hello?", model="openai/gpt-5-mini", temperature=1, reasoning_effort="low", verbosity="low")
    llmops.chat("Hello?", model="openai/gpt-4.1-mini", temperature=0, stop=["x"])
    first, second = (request.body for request in openai.requests)
    assert (first["temperature"], first["reasoning_effort"], first["verbosity"]) == (1, "low", "low")
    assert (second["temperature"], second["stop"]) == (0, ["x"])


def test_extra_sends_a_parameter_all_the_same(servers: Any):
    openai, _ = servers
    llmops.chat("Hello?", model=f"{openai.base_url}#llama", extra={"reasoning_effort": "low", "verbosity": "high"})
    assert openai.requests[0].body["reasoning_effort"] == "low"
    assert openai.requests[0].body["verbosity"] == "high"


def test_error_about_a_parameter_has_no_advice_for_other_libraries(servers: Any):
    with pytest.raises(llmops.BadRequestError) as raised:
        llmops.chat("Hello?", model="openai/gpt-5-mini", extra={"temperature": 0.5}, retry=False)
    assert "temperature" in str(raised.value)
    assert "drop_params" not in str(raised.value)
    assert "litellm_settings" not in str(raised.value)
