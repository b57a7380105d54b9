"""`llmops doctor --explain`: each value and the key that sets it."""

from __future__ import annotations

import json
import secrets
from importlib.metadata import version
from pathlib import Path

CONFIGURATION = """
model = "smart"
options = { seed = 7 }
[retry]
attempts = 4
[models.smart]
model = "base"
fallbacks = ["local"]
retry = { attempts = 2 }
guardrails = { input = ["cards"] }
[models.base]
model = "anthropic/claude-sonnet-4-5"
retry = { attempts = 9, max_wait = 3.0 }
options = { extra = { top_k = 3 } }
[models.local]
model = "http://127.0.0.1:8000/v1#llama"
[prices."anthropic/claude-sonnet-4-5"]
input = 3.0
output = 15.0
"""


def explained(command, model: str, **more) -> dict[str, tuple[str, str, str]]:
    Path("llmops.toml").write_text(CONFIGURATION)
    ran = command("doctor", "--explain", model, "--format", "json")
    assert ran.status == 0, ran.err
    return {row["what"]: (row["value"], row["set by"], row["source"].partition(":")[0]) for row in json.loads(ran.out)}


def test_first_named_model_that_sets_a_key_wins_over_the_section(command, monkeypatch):
    monkeypatch.setenv("LLMOPS_RETRY__BASE", "0.7")
    found = explained(command, "smart")
    assert found["model"] == ("'anthropic/claude-sonnet-4-5'", "models.base.model", "llmops.toml")
    assert found["retry.attempts"] == ("2", "models.smart.retry.attempts", "llmops.toml")
    assert found["retry.max_wait"] == ("3.0", "models.base.retry.max_wait", "llmops.toml")
    assert found["retry.base"] == ("0.7", "retry.base", "environment")
    assert found["retry.max_retry_after"] == ("60.0", "retry.max_retry_after", "default")
    assert found["guardrails.input"][1] == "models.smart.guardrails.input"
    assert found["fallback 1"] == ("'local'", "models.smart.fallbacks", "llmops.toml")
    assert found["options.seed"][1] == "options.seed"
    assert found["options.extra"][1] == "models.base.options.extra"
    assert found["price"] == (
        "3 in, 15 out, USD per million tokens", 'prices."anthropic/claude-sonnet-4-5"', "llmops.toml",
    )  # fmt: skip


def test_explained_values_equal_the_resolved_ones(command):
    from llmops_sdk.config import load, resolve_model

    found = explained(command, "base")
    resolved = resolve_model(load("llmops.toml"), "base")
    for policy in ("retry", "timeout", "fallback", "cache", "guardrails"):
        section = getattr(resolved, policy)
        for field in type(section).model_fields:
            assert found[f"{policy}.{field}"][0] == repr(getattr(section, field))


def test_api_key_variable_is_named_and_its_value_hidden(command, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://user:hidden@127.0.0.1:9")
    assert explained(command, "smart")["key"] == ("NOT SET", "ANTHROPIC_API_KEY", "")
    key = secrets.token_hex(12)
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    found = explained(command, "smart")
    assert found["key"] == ("set", "ANTHROPIC_API_KEY", "environment")
    assert found["base_url"][1:] == ("ANTHROPIC_BASE_URL", "environment")
    assert key not in str(found)
    assert "hidden" not in str(found)
    monkeypatch.delenv("LLMOPS_API_KEY", raising=False)
    assert explained(command, "local")["key"] == ("not set; many servers need no key", "LLMOPS_API_KEY", "")
    found = explained(command, "offline/echo")
    assert (found["key"][0], found["price"][0]) == ("not needed", "none")
    assert explained(command, "local")["price"][0] == f"the table of litellm {version('litellm')}, if it has the model"


def test_unknown_model_suggests_the_nearest_name(command):
    assert explained(command, "openai/gpt-4.1")["model"] == ("openai/gpt-4.1", "the call", "")
    ran = command("doctor", "--explain", "smrt")
    assert ran.status == 1
    assert "the nearest is 'smart'" in ran.err
