"""Keys that no header can hold are refused before a call, and no error, log or span shows them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable

import pytest
from openai_server import OpenAIServer

import llmops_sdk as llmops
from llmops_sdk.config import ModelSettings, Settings, resolve_model
from llmops_sdk.providers.litellm._endpoint import endpoint_of

BROKEN = {"line break": "{}\n{}", "carriage return": "{}\r{}", "NUL": "{}\x07{}", "umlaut": "{}ü{}", "DEL": "{}\x7f{}"}
VARIABLES = {
    "openai/gpt-4.1-mini": "OPENAI_API_KEY",
    "anthropic/claude-sonnet-4-5": "ANTHROPIC_API_KEY",
    "gemini/gemini-2.5-flash": "GOOGLE_API_KEY",
    "azure/mine": "AZURE_AD_TOKEN",
    "together_ai/some-model": "TOGETHER_AI_API_KEY",
    "fireworks_ai/some-model": "FIREWORKS_AI_API_KEY",
    "bedrock/some-model": "AWS_SECRET_ACCESS_KEY",
    "http://127.0.0.1:9/v1#m": "LLMOPS_API_KEY",
}


def split_key() -> tuple[str, str]:
    return secrets.token_hex(8), secrets.token_hex(8)


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("model", VARIABLES)
def test_key_that_no_header_can_hold_is_a_typed_error_without_the_key(
    model: str, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    halves = split_key()
    name = VARIABLES[model]
    monkeypatch.setenv(name, BROKEN[broken].format(*halves))
    with pytest.raises(llmops.AuthenticationError, match=name) as raised:
        llmops.chat("Hello?", model=model)
    stored = str(llmops.query("SELECT * FROM spans").rows()) + str(llmops.query("SELECT * FROM attempts").rows())
    for half in halves:
        assert half not in str(raised.value) + caplog.text + stored
    assert llmops.query("SELECT count(*) FROM attempts").scalar() == 1, "it must not be retried"


@pytest.mark.parametrize("space", ["\n", "\r\n", " ", "\t", "\u00a0"])
def test_white_space_around_a_key_is_left_out_with_one_warning(
    space: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    key = secrets.token_hex(8)
    name = f"KEY_{secrets.token_hex(4)}".upper()
    monkeypatch.setenv(name, f"{space}{key}{space}")
    settings = Settings(models={"m": ModelSettings(model="openai/m", api_key_env=name)})
    with caplog.at_level(logging.WARNING, "llmops_sdk"):
        for _ in range(2):
            assert endpoint_of(resolve_model(settings, "m")).api_key == key
    assert caplog.text.count(name) == 1
    assert key not in caplog.text


@pytest.mark.slow
def test_key_that_ends_in_a_newline_reaches_the_server_without_it(monkeypatch: pytest.MonkeyPatch):
    key = secrets.token_hex(8)
    monkeypatch.setenv("OPENAI_API_KEY", f"{key}\n")
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert llmops.chat("Hello?", model="openai/gpt-4.1-mini").text == "Good day to you."
    assert server.requests[0].headers["authorization"] == f"Bearer {key}"


@pytest.mark.slow
@pytest.mark.parametrize("value", ["{}\n", " {}", "{}\x00", "{}é", "x\r\ny: {}"])
@pytest.mark.parametrize("option", ["extra_headers", "headers"])
def test_header_that_cannot_be_sent_is_an_error_of_the_caller_without_its_value(
    value: str, option: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    key = secrets.token_hex(8)
    headers = {option: {"x-team-key": value.format(key)}}
    monkeypatch.setenv("OPENAI_API_KEY", "key-for-tests")
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llmops.configure(models={"m": {"model": "openai/m", "options": headers, "fallbacks": ["offline/echo"]}})
        calls: list[Callable[[], object]] = [
            lambda: llmops.chat("Hello?", model="openai/m", extra=headers),
            lambda: list(llmops.stream("Hello?", model="openai/m", extra=headers)),
            lambda: asyncio.run(llmops.achat("Hello?", model="openai/m", extra=headers)),
            lambda: llmops.chat("Hello?", model="m"),
        ]
        for call in calls:
            with pytest.raises(llmops.BadRequestError, match="'x-team-key'") as raised:
                call()
            shown = "".join(traceback.format_exception(raised.value))
            stored = str(llmops.query("FROM spans").rows()) + str(llmops.query("FROM attempts").rows())
            assert key not in shown + stored + caplog.text
        assert server.requests == []
        assert llmops.chat("Hello?", model="openai/m", extra={option: {"x-team-key": key}}).text
        assert server.requests[0].headers["x-team-key"] == key


def test_key_of_white_space_alone_counts_as_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", " \n")
    with pytest.raises(llmops.AuthenticationError, match="OPENAI_API_KEY"):
        llmops.chat("Hello?", model="openai/gpt-4.1-mini")
