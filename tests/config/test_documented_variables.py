"""Every `LLMOPS_*` variable that a page names is one that the configuration accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.config.loading._environment import environment_layer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.toml"))]
MISSPELT = {"LLMOPS_MODLE"}
"""Variables that a page shows as mistakes."""
VARIABLES = sorted(
    {name for page in PAGES for name in re.findall(r"\bLLMOPS_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_]*\*)", page.read_text())}
    - MISSPELT
)


def test_pages_name_variables():
    assert {"LLMOPS_API_KEY", "LLMOPS_MODEL", "LLMOPS_CONFIG_FILE", "LLMOPS_STORE__PATH"} <= set(VARIABLES)


@pytest.mark.parametrize("name", VARIABLES)
def test_documented_variable_is_a_known_key(name: str):
    _, problems = environment_layer({name: "1"}, Path.cwd())

    assert [problem.message for problem in problems if "unknown key" in problem.message] == []


def test_key_of_a_server_given_by_its_url_breaks_no_call(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLMOPS_API_KEY", "a key")

    assert llmops.chat("Hi", model="offline/echo").text
