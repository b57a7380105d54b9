"""Switch models with one line: docs/providers.md names the right variables for each."""

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


def test_docs_list_the_common_providers():
    vendors = {model.partition("/")[0] for model in ROWS}
    assert {"openai", "anthropic", "gemini", "bedrock", "azure", "ollama", "offline", "cassette", "http:"} <= vendors


@pytest.mark.parametrize("model", ROWS)
def test_docs_name_the_variables_of_each_provider(model: str):
    resolved = resolve_model(Settings(), model)
    documented = set(re.findall(r"`([A-Z][A-Z_]+)`", ROWS[model]))
    read = {*key_variables(resolved), *base_variables(resolved)}
    assert documented <= read | NAMED
    assert (documented & set(key_variables(resolved))) or not key_variables(resolved)


@pytest.mark.parametrize("model", [model for model in ROWS if key_variables(resolve_model(Settings(), model))])
def test_missing_key_error_names_the_variable_and_a_set_key_is_used(model: str, monkeypatch: pytest.MonkeyPatch):
    resolved = resolve_model(Settings(), model)
    if resolved.provider != "openai_compatible":
        with pytest.raises(AuthenticationError, match=key_variables(resolved)[0]):
            llmops.chat("Hi", model=model)
        assert llmops.query("SELECT count(*) FROM attempts").scalar() == 1, "a missing key must not be retried"
    key = secrets.token_hex(8)
    monkeypatch.setenv(key_variables(resolved)[0], key)
    assert endpoint_of(resolved).api_key == key


def test_azure_token_replaces_the_key(monkeypatch: pytest.MonkeyPatch):
    resolved = resolve_model(Settings(), "azure/mine")
    monkeypatch.setenv("AZURE_AD_TOKEN", secrets.token_hex(8))
    monkeypatch.setenv("AZURE_API_BASE", "https://mine.example.com/")
    assert (endpoint_of(resolved).api_key, endpoint_of(resolved).base_url) == (None, "https://mine.example.com")
