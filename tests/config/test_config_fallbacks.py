"""`fallbacks`: which models a model's calls go on to, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops_sdk import config
from llmops_sdk.config import FallbackSettings, ModelSettings, Settings, resolve_model
from llmops_sdk.errors import ConfigError

# The example of the public contract, as it stands there.
CONTRACT = """\
model = "offline/echo"        # the one line: "openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5", "ollama/llama3.2", ...

[models.smart]                # a named model: llmops.chat("...", model="smart")
model = "anthropic/claude-sonnet-4-5"
fallbacks = ["openai/gpt-4.1"]
[models.smart.retry]
attempts = 4

[retry]                       # defaults for every model; likewise [timeout] [limits] [cache] [guardrails] [capture] [store] [export]
attempts = 3
"""  # noqa: E501


def test_the_example_of_the_contract(own_surroundings: Path) -> None:
    (own_surroundings / "llmops.toml").write_text(CONTRACT)
    settings = config.load()
    smart, other = resolve_model(settings, "smart"), resolve_model(settings, "openai/gpt-4.1")
    assert (smart.model, smart.fallbacks, smart.retry.attempts) == (
        "anthropic/claude-sonnet-4-5",
        ("openai/gpt-4.1",),
        4,
    )
    assert (other.fallbacks, other.retry.attempts) == ((), 3)
    assert resolve_model(settings).fallbacks == ()


def named(**models: Any) -> dict[str, Any]:
    return {name: {"model": f"x/{name}", **entry} for name, entry in models.items()}


@pytest.mark.parametrize(
    ("overrides", "wanted", "fallbacks"),
    [
        ({"fallbacks": ["x/y", "http://127.0.0.1/v1#m"]}, None, ("x/y", "http://127.0.0.1/v1#m")),
        ({"fallbacks": ["x/y"]}, "x/z", ()),
        ({"fallbacks": ["x/y"], "model": "a", "models": named(a={})}, "a", ("x/y",)),
        ({"fallbacks": ["x/y"], "model": "a", "models": named(a={"fallbacks": ["x/z"]})}, "a", ("x/z",)),
        ({"fallbacks": ["x/y"], "model": "a", "models": named(a={"fallbacks": []})}, "a", ()),
        ({"models": named(a={"fallbacks": ["x/y"]}, b={"model": "a"})}, "b", ("x/y",)),
        ({"models": named(a={"fallbacks": ["x/y"]}, b={"model": "a", "fallbacks": []})}, "b", ()),
        ({"models": named(a={"fallbacks": ["b", "c"]}, b={"fallbacks": ["d", "c"]}, c={}, d={})}, "a", ("b", "c", "d")),
        ({"models": named(a={"fallbacks": ["b", "b"]}, b={})}, "a", ("b",)),
    ],
    ids=["default", "another", "named default", "own", "none", "inherited", "not inherited", "chain", "twice"],
)
def test_whose_they_are(overrides: dict[str, Any], wanted: str | None, fallbacks: tuple[str, ...]) -> None:
    assert resolve_model(config.load(**overrides), wanted).fallbacks == fallbacks


def test_the_policy_of_a_model_needs_only_what_differs() -> None:
    settings = config.load(
        fallback={"content_filter": True}, models=named(a={"fallback": {"context_window": False}}, b={})
    )
    assert resolve_model(settings, "a").fallback == FallbackSettings(content_filter=True, context_window=False)
    assert resolve_model(settings, "b").fallback == FallbackSettings(content_filter=True)


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_FALLBACKS", "x/y,x/z")
    monkeypatch.setenv("LLMOPS_FALLBACK__CONTENT_FILTER", "true")
    found = resolve_model(config.load())
    assert (found.fallbacks, found.fallback.content_filter) == (("x/y", "x/z"), True)


def fails(**overrides: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(**overrides)
    return caught.value


def test_an_unknown_name() -> None:
    error = fails(models=named(smart={"fallbacks": ["x/y", "fasst"]}, fast={}))
    assert (error.key, error.value, error.nearest) == ("models.smart.fallbacks", "fasst", "fast")
    error = fails(fallbacks=["http://127.0.0.1/v1"])
    assert error.key == "fallbacks"
    assert "has no model" in str(error)


def test_a_name_whose_own_model_is_the_mistake_is_told_once() -> None:
    error = fails(models=named(a={"fallbacks": ["b"]}, b={"model": "nothing"}))
    assert error.key == "models.b.model"
    assert "problems" not in str(error)


@pytest.mark.parametrize(
    ("overrides", "key", "circle"),
    [
        ({"fallbacks": ["offline/echo"]}, "fallbacks", "offline/echo -> offline/echo"),
        ({"models": named(a={"fallbacks": ["a"]})}, "models.a.fallbacks", "a -> a"),
        ({"models": named(a={"fallbacks": ["b"]}, b={"fallbacks": ["a"]})}, "models.a.fallbacks", "a -> b -> a"),
        (
            {"models": named(a={"fallbacks": ["x/y", "b"]}, b={"fallbacks": ["c"]}, c={"fallbacks": ["a"]})},
            "models.a.fallbacks",
            "a -> b -> c -> a",
        ),
        ({"models": named(a={"fallbacks": ["b"]}, b={"model": "a"})}, "models.b.model", "b -> b"),
        ({"model": "a", "fallbacks": ["a"], "models": named(a={})}, "fallbacks", "a -> a"),
    ],
    ids=["default", "itself", "two", "three", "inherited", "named default"],
)
def test_a_circle(overrides: dict[str, Any], key: str, circle: str) -> None:
    error = fails(**overrides)
    assert error.key == key
    assert f"{circle}." in str(error)
    assert "problems" not in str(error)


def test_a_circle_of_settings_made_in_code() -> None:
    settings = Settings(models={"a": ModelSettings(model="x/a", fallbacks=("a",))})
    with pytest.raises(ConfigError, match="a -> a"):
        resolve_model(settings, "a")


@pytest.mark.parametrize("bad", ["x/y", [1], {"a": 1}])
def test_a_wrong_type(bad: Any) -> None:
    error = fails(fallbacks=bad)
    assert error.key == "fallbacks"
    assert "a list of strings" in str(error)
