"""Prices of models: from `[prices]`, and from the table that litellm brings along."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import llmops_sdk as llmops
from llmops_sdk.config import PriceSettings, resolve_model
from llmops_sdk.pricing._builtin import builtin_price
from llmops_sdk.pricing._cost import ModelPrice, Tokens, token_cost
from llmops_sdk.pricing._find import find_price
from llmops_sdk.providers import Usage, cost_of

FULL = PriceSettings(input=3, output=15, cache_read=0.3, cache_write=3.75)


@pytest.mark.parametrize(
    ("tokens", "price", "usd"),
    [
        (Tokens(1_000_000, 1_000_000), FULL, 18.0),
        (Tokens(1_000_000, 0, 400_000, 100_000), FULL, 0.5 * 3 + 0.4 * 0.3 + 0.1 * 3.75),
        (Tokens(1_000_000, 0, 0, 1_000_000), FULL, 3.75),
        (Tokens(1_000_000, 0, 400_000, 100_000), PriceSettings(input=3), 3.0),
        # The library reported the input without the cached tokens.
        (Tokens(10, 0, 400_000, 100_000), FULL, 10 * 3e-6 + 0.4 * 0.3 + 0.1 * 3.75),
        (Tokens(), FULL, 0.0),
    ],
)
def test_each_token_has_its_price(tokens, price, usd):
    assert token_cost(tokens, price) == pytest.approx(usd)


def test_cache_writes_of_our_calls_are_priced():
    usage = Usage(input_tokens=1_000_000, output_tokens=0, cache_read_tokens=400_000, cache_creation_tokens=100_000)
    assert cost_of(usage, FULL) == pytest.approx(0.5 * 3 + 0.4 * 0.3 + 0.1 * 3.75)


def test_a_long_prompt_has_the_price_of_its_tier():
    price = ModelPrice(((-1, PriceSettings(input=1)), (200_000, PriceSettings(input=2))))
    assert [price.cost(Tokens(count)) for count in (0, 200_000, 200_001)] == pytest.approx([0, 0.2, 0.400002])


@pytest.mark.thorough
def test_the_table_agrees_with_litellm_for_every_vendor():
    models = {
        "openai": ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "text-embedding-3-small"),
        "anthropic": ("claude-sonnet-4-5",),
        "gcp.gemini": ("gemini-2.5-pro",),
        "mistral_ai": ("mistral-large-latest",),
        "deepseek": ("deepseek-chat",),
    }
    vendors = {"gcp.gemini": "gemini", "mistral_ai": "mistral"}
    asked = [(vendors.get(p, p), m) for p, names in models.items() for m in names]
    program = (
        "import os, sys, json\nos.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'\nimport litellm\n"
        "print(json.dumps([sum(litellm.cost_per_token(model=m, custom_llm_provider=v, prompt_tokens=1000, "
        "completion_tokens=500)) for v, m in json.loads(sys.argv[1])]))"
    )
    ran = subprocess.run([sys.executable, "-c", program, json.dumps(asked)], capture_output=True, text=True, check=True)
    theirs = json.loads(ran.stdout.splitlines()[-1])
    prices = [find_price(p, [m]) for p, names in models.items() for m in names]
    assert [p.cost(Tokens(1000, 500)) for p in prices if p is not None] == pytest.approx(theirs)
    assert len(theirs) == len(prices)


def test_the_table_is_read_without_importing_litellm():
    program = (
        "import sys\nfrom llmops_sdk.pricing._builtin import builtin_price\n"
        "print(builtin_price('gpt-4.1-mini') is not None, 'litellm' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(
    ("provider", "model", "server"),
    [
        ("openai", "gpt-4.1-mini", "127.0.0.1"),
        ("openai", "gpt-4.1-mini", "[::1]"),
        ("openai", "gpt-4.1-mini", "10.1.2.3"),
        ("openai", "gpt-4.1-mini", "vllm"),
        ("openai", "gpt-4.1-mini", "gpu.internal"),
        ("openai", "claude-sonnet-4-5", "api.openai.com"),
        ("openai", "no such model", None),
        ("openai", "", None),
        ("openai", "x" * 100_000, None),
        (None, "sample_spec", None),
    ],
)
def test_the_price_of_another_servers_model_is_unknown(provider, model, server):
    assert find_price(provider, [model], server) is None


def test_models_without_a_price_per_token_have_none():
    assert builtin_price("dall-e-3") is None


@pytest.mark.parametrize("key", ["fast", "openai/gpt-4.1-mini", "gpt-4.1-mini"])
def test_a_price_takes_each_name_of_a_model(key):
    settings = llmops.configure(models={"fast": {"model": "openai/gpt-4.1-mini"}}, prices={key: {"input": 7}})
    price = resolve_model(settings, "fast").price
    assert price is not None
    assert price.input == 7


def test_the_price_of_a_named_model_wins_over_its_targets():
    prices = {"fast": {"input": 1}, "gpt-4.1-mini": {"input": 2}}
    settings = llmops.configure(models={"fast": {"model": "openai/gpt-4.1-mini"}}, prices=prices)
    found = [resolve_model(settings, name).price for name in ("fast", "openai/gpt-4.1-mini")]
    assert [price.input for price in found if price] == [1, 2]


@pytest.mark.parametrize("key", ["openai/gpt4.1-mini", "GPT-4.1-mini", "azure/gpt-4.1-mini"])
def test_a_misspelt_price_is_told(key, caplog):
    llmops.configure(model="openai/gpt-4.1-mini", prices={key: {"input": 7}})
    assert [f'did you mean "{wanted}"' in caplog.text for wanted in ("openai/gpt-4.1-mini", "gpt-4.1-mini")].count(
        True
    ) == 1
    assert key in caplog.text


def test_doctor_lists_the_prices_that_no_configured_model_uses(tmp_path, monkeypatch):
    lines = [
        'model = "openai/gpt-4.1-mini"',
        "[prices]",
        '"openai/gpt-4.1-mini" = {input = 1}',
        '"gpt-5" = {input = 7}',
    ]
    (tmp_path / "llmops.toml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "llmops_sdk", "doctor", "--problems", "--format", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    listed = [one["what"] for one in found if one["what"].startswith("prices.")]
    assert listed == ["prices.gpt-5"]


def test_prices_of_other_models_are_no_mistake(caplog):
    prices = {"gpt-4.1": {"input": 7}, "openai/gpt-4.1-mini": {"input": 7}, "claude-sonnet-4-5": {"input": 3}}
    llmops.configure(model="openai/gpt-4.1-mini", prices=prices)
    assert caplog.text == ""
