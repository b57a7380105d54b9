"""Settings of routed models: what is read, what is refused, and what a file that was only found may not set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops_sdk import config
from llmops_sdk.config import RouterSettings, RouteRule, resolve_model
from llmops_sdk.config.loading._trust import rule_of
from llmops_sdk.errors import ConfigError

ROUTED = """
[models.fast]
model = "openai/gpt-4.1-mini"
tools = false
schema = true
[models.auto]
route = ["fast", "openai/gpt-4.1"]
[models.auto.router]
policy = "rules"
score = "helpful"
[models.auto.router.rules.math]
model = "openai/gpt-4.1"
prompt_names = ["math"]
[models.auto.router.rules.eu]
only = ["fast"]
tags = ["eu"]
[models.smart]
model = "auto"
"""
TWO = ["offline/echo", "offline/script"]


@pytest.fixture
def file(own_surroundings: Path) -> Path:
    return own_surroundings / "llmops.toml"


def test_route_and_rules_of_a_file(file: Path) -> None:
    file.write_text(ROUTED)
    settings = config.load()
    for name in ("auto", "smart"):
        found = resolve_model(settings, name)
        assert (found.route, found.routed_by) == (("fast", "openai/gpt-4.1"), "auto")
        assert found.model == "openai/gpt-4.1"  # that of the default, the last one
    assert found.router == RouterSettings(
        policy="rules",
        score="helpful",
        rules={
            "math": RouteRule(model="openai/gpt-4.1", prompt_names=("math",)),
            "eu": RouteRule(only=("fast",), tags=("eu",)),
        },
    )
    assert (settings.models["fast"].tools, settings.models["fast"].schema_) == (False, True)
    assert resolve_model(settings, "fast").route == ()


def test_route_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_MODELS__AUTO__ROUTE", "openai/a,openai/b")
    monkeypatch.setenv("LLMOPS_MODELS__AUTO__ROUTER__PIN", "openai/c")
    found = resolve_model(config.load(), "auto")
    assert (found.route, found.router.pin) == (("openai/a", "openai/b"), "openai/c")


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"auto": {"route": ["offline/echo"]}}, "needs two or more different models"),
        ({"auto": {"route": ["offline/echo"] * 2}}, "needs two or more different models"),
        ({"auto": {"route": ["offline/echo", "other"]}}, "'other' is not a model"),
        ({"auto": {"route": ["auto", "offline/echo"]}}, "leads back to this model (auto -> auto)"),
        ({"auto": {"route": ["b", "offline/echo"]}, "b": {"model": "auto"}}, "leads back to this model"),
        ({"auto": {"route": TWO}, "two": {"route": ["auto", "offline/echo"]}}, "has a route of its own"),
        ({"auto": {"route": TWO, "guardrails": {"input": ["cards"]}}}, "would have no effect"),
        ({"auto": {"route": TWO}, "b": {"model": "auto", "retry": {"attempts": 2}}}, "would have no effect"),
        ({"auto": {"route": TWO, "model": "offline/echo"}}, "would have no effect"),
        ({"auto": {"model": "offline/echo", "router": {"pin": "offline/echo"}}}, "has no route to choose from"),
        ({"auto": {"route": TWO, "router": {"default": "openai/x"}}}, "'openai/x' is not in the route"),
        ({"auto": {"route": TWO, "router": {"rules": {"a": {"model": "b"}}}}}, "'b' is not in the route"),
        ({"auto": {"route": TWO, "router": {"rules": {"a": {"only": ["b"]}}}}}, "'b' is not in the route"),
        ({"auto": {"route": TWO, "router": {"rules": {"a": {}}}}}, "either the key model or the key only"),
        ({"auto": {"route": TWO, "router": {"pin": "b"}}}, "'b' is not a model"),
        ({"auto": {"route": TWO, "router": {"pin": "auto"}}}, "is a route"),
        ({"auto": {"route": TWO, "router": {"quality": 0.9, "max_cost": 1.0}}}, "quality or max_cost, not both"),
        ({"auto": {"route": TWO, "router": {"verify": "function"}}}, "module:name"),
        ({"auto": {"route": TWO, "router": {"explore": 0.9}}}, "from 0 to 0.5"),
        ({"auto": {"route": TWO}, "b": {"model": "offline/echo", "fallbacks": ["auto"]}}, "is a route"),
        ({"auto": {"route": TWO}, "b": {"deployments": ["auto", "offline/echo"]}}, "is a route"),
        ({"auto": {}}, "models.auto.model is missing"),
    ],
)
def test_mistakes_are_told(models: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(models=models)
    assert message in str(caught.value)


def test_a_route_is_no_fallback_of_the_default_model() -> None:
    with pytest.raises(ConfigError, match="is a route"):
        config.load(fallbacks=["auto"], models={"auto": {"route": TWO}})


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("models.auto.route", "route"),
        ("models.auto.router.pin", "router.pin"),
        ("models.auto.router.path", "router.path"),
        ("models.auto.router.verify", "router.verify"),
        ("models.auto.router.quality", "router"),
    ],
)
def test_rules_of_trust(key: str, rule: str) -> None:
    assert rule_of(tuple(key.split("."))) == rule
