"""The one line that swaps a model in: what docs/providers.md says of each is what holds."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.config import Settings, resolve_model
from llmops_sdk.errors import AuthenticationError
from llmops_sdk.providers.litellm._endpoint import base_variables, endpoint_of, key_variables

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
ROWS = {
    match["model"]: match["variables"]
    for match in re.finditer(
        r'^\| `"(?P<model>[^"]+)"`.*\|[^|]*\| (?P<variables>[^|]*) \|$', PAGE.read_text(), re.MULTILINE
    )
    if "…" not in match["model"]
}
NAMED = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION_NAME", "AZURE_API_VERSION", "AZURE_AD_TOKEN"}
"""Variables that litellm reads itself."""


def test_the_page_has_the_providers_that_people_ask_for():
    vendors = {model.partition("/")[0] for model in ROWS}
    assert {"openai", "anthropic", "gemini", "bedrock", "azure", "ollama", "offline", "cassette", "http:"} <= vendors


@pytest.mark.parametrize("model", ROWS)
def test_the_page_names_the_variables_that_are_read(model: str):
    resolved = resolve_model(Settings(), model)
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", ROWS[model]))
    read = {*key_variables(resolved), *base_variables(resolved)}
    assert told <= read | NAMED
    assert (told & set(key_variables(resolved))) or not key_variables(resolved)


@pytest.mark.parametrize("model", [model for model in ROWS if key_variables(resolve_model(Settings(), model))])
def test_the_key_is_asked_for_by_its_name_and_taken(model: str, monkeypatch: pytest.MonkeyPatch):
    resolved = resolve_model(Settings(), model)
    if resolved.provider != "openai_compatible":
        with pytest.raises(AuthenticationError, match=key_variables(resolved)[0]):
            llmops.chat("Hi", model=model)
        assert llmops.query("SELECT count(*) FROM attempts").scalar() == 1, "a missing key is not tried again"
    key = secrets.token_hex(8)
    monkeypatch.setenv(key_variables(resolved)[0], key)
    assert endpoint_of(resolved).api_key == key


def test_azure_may_be_signed_in_to_without_a_key(monkeypatch: pytest.MonkeyPatch):
    resolved = resolve_model(Settings(), "azure/mine")
    monkeypatch.setenv("AZURE_AD_TOKEN", secrets.token_hex(8))
    monkeypatch.setenv("AZURE_API_BASE", "https://mine.example.com/")
    assert (endpoint_of(resolved).api_key, endpoint_of(resolved).base_url) == (None, "https://mine.example.com")
