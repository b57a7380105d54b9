"""Settings of traffic control: limits, budgets as a list of tables, and models with deployments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk import config
from llmops_sdk.config import BudgetSettings, LimitSettings, ModelSettings, Settings, resolve_deployments, resolve_model
from llmops_sdk.config.loading._environment import environment_layer
from llmops_sdk.errors import ConfigError

DAILY = "[[budgets]]\nname = 'daily'\nlimit_usd = 5\n"
PAIR = """
[models.pair]
deployments = ["east", "openai/gpt-4.1"]
[models.pair.limits]
concurrency = 7
requests_per_minute = 70
[models.east]
model = "azure/gpt-4.1"
[models.east.limits]
concurrency = 3
[limits]
queue = 9
"""


@pytest.fixture
def file(own_surroundings: Path) -> Path:
    return own_surroundings / "llmops.toml"


def fails(text: str, file: Path, **overrides: Any) -> ConfigError:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(**overrides)
    return caught.value


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_LIMITS__CONCURRENCY", "5")
    monkeypatch.setenv("LLMOPS_BREAKER__FAILURES", "3")
    monkeypatch.setenv("LLMOPS_MODELS__PAIR__DEPLOYMENTS", "openai/a,openai/b")
    monkeypatch.setenv("LLMOPS_MODELS__PAIR__WEIGHTS", "3, 1.5")
    settings = config.load()
    assert (settings.limits.concurrency, settings.limits.is_on, settings.breaker.failures) == (5, True, 3)
    assert settings.source("limits.concurrency") == "environment: LLMOPS_LIMITS__CONCURRENCY"
    assert resolve_model(settings, "pair").weights == (3.0, 1.5)


def test_everything_is_off_by_default() -> None:
    settings = config.load()
    assert [settings.limits.is_on, settings.breaker.is_on, settings.hedge.is_on] == [False] * 3
    assert (settings.budgets, settings.source("budgets")) == ((), "default")


def test_budgets_of_a_file_know_their_source(file: Path) -> None:
    file.write_text(DAILY + "[[budgets]]\nname = 'b 2'\nlimit_tokens = 10\nwindow = 90\nper = 'user'\nmode = 'soft'\n")
    settings = config.load()
    assert settings.budgets == (
        BudgetSettings(name="daily", limit_usd=5),
        BudgetSettings(name="b 2", limit_tokens=10, window=90.0, per="user", mode="soft"),
    )
    assert settings.source("budgets.daily.limit_usd") == f"llmops.toml: {file}"
    assert settings.source("budgets.daily.window") == "default"
    shown = {value.key: value.text for value in config.describe_settings(settings)}
    assert shown['budgets."b 2".limit_tokens'] == "10.0"


@pytest.mark.parametrize("as_objects", [True, False])
def test_budgets_are_arguments_of_configure(as_objects: bool) -> None:
    budget = BudgetSettings(name="daily", limit_usd=5)
    settings = llmops.configure(budgets=[budget if as_objects else {"name": "daily", "limit_usd": 5}])
    assert settings.budgets == (budget,)
    assert settings.source("budgets.daily.limit_usd") == "arguments"


def test_the_first_source_supplies_all_budgets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(DAILY)
    monkeypatch.setenv("LLMOPS_BUDGETS", json.dumps([{"name": "other", "limit_tokens": 1}]))
    settings = config.load()
    assert [budget.name for budget in settings.budgets] == ["other"]
    assert settings.source("budgets.other.limit_tokens") == "environment: LLMOPS_BUDGETS"


@pytest.mark.parametrize(
    ("text", "key", "parts"),
    [
        (DAILY + "limit = 3", "budgets.daily.limit", ["budgets.daily.limit_usd", "= 3"]),
        (DAILY + "[[budgets]]\nname='x'\nlimit_usd=1\nmdoe='soft'", "budgets.x.mdoe", ["budgets.x.mode"]),
        (DAILY + "[[budgets]]\nlimit_usd = 3", "budgets.1.name", ["is missing", "each [[budgets]] needs it"]),
        (
            DAILY + "window = 'fortnight'",
            "budgets.daily.window",
            ['"month"', "or a number from 0.001", "'fortnight'"],
        ),
        (DAILY + "window = -1", "budgets.daily.window", ["-1"]),
        (DAILY + "limit_tokens = 3", "budgets.daily", ["limit_usd or limit_tokens, and not both"]),
        ("[[budgets]]\nname = ''\nlimit_usd = 3", "budgets.0.name", ["a string of 1 to 64 characters"]),
        (DAILY + DAILY, "budgets", ["'daily' is there more than once: rename one"]),
        (DAILY.replace("[[budgets]]", "[budgets]"), "budgets", ["a list of tables, [[budgets]]"]),
        (DAILY.replace("[[budgets]]", "[budgets.daily]"), "budgets", ["a list of tables, [[budgets]]"]),
        ("budgets = [1]", "budgets.0", ["a table of keys"]),
        (DAILY + "model = 'gpt-4.1'", "budgets.daily.model", ["openai/gpt-4.1"]),
        (DAILY + "api_key = 'sk-12345'", "budgets.daily.api_key", ["***"]),
        ("[limits]\nconcurency = 3", "limits.concurency", ["limits.concurrency"]),
        ("[models.a]\nmodel='x/y'\n[models.a.hedge]\nshare=2", "models.a.hedge.share", ["from 0.0 to 1.0"]),
    ],
)
def test_a_mistake_names_file_key_and_remedy(file: Path, text: str, key: str, parts: list[str]) -> None:
    error = fails(text, file)
    assert (error.source, error.key) == (str(file), key)
    assert all(part in str(error) for part in (str(file), *parts)), str(error)
    assert "problems" not in str(error)  # one mistake, one problem
    assert "sk-12345" not in str(error)


def test_variable_of_a_single_budget_names_the_right_one(own_surroundings: Path) -> None:
    for name, text in (("LLMOPS_BUDGETS__DAILY__LIMIT_USD", "5"), ("LLMOPS_BUDGETS", "daily")):
        _, problems = environment_layer({name: text}, own_surroundings)
        assert [problem.source for problem in problems] == [name]
        assert any(part in problems[0].message for part in ("LLMOPS_BUDGETS:", "a list of tables"))


def test_a_name_of_a_budget_hides_no_value(file: Path) -> None:
    file.write_text(DAILY.replace("daily", "api_key"))
    shown = {value.key: value.text for value in config.describe_settings(config.load())}
    assert shown["budgets.api_key.limit_usd"] == "5.0"


def test_deployments_have_the_keys_of_their_own_entry_first(file: Path) -> None:
    file.write_text(PAIR)
    settings = config.load()
    pair = resolve_model(settings, "pair")
    east, other = resolve_deployments(settings, pair)
    assert (pair.deployments, pair.weights, pair.balance) == (("east", "openai/gpt-4.1"), (), "least_busy")
    assert (pair.names, pair.model, pair.provider) == (("pair",), "azure/gpt-4.1", "azure")
    assert east.limits == LimitSettings(concurrency=3, requests_per_minute=70, queue=9)
    assert other.limits == LimitSettings(concurrency=7, requests_per_minute=70, queue=9)
    assert (east.deployment, other.deployment) == ("east", "openai/gpt-4.1")
    assert (east.model, other.model, east.deployments) == ("azure/gpt-4.1", "openai/gpt-4.1", ())
    assert resolve_model(settings, "east").limits == LimitSettings(concurrency=3, queue=9)
    assert resolve_deployments(settings, resolve_model(settings, "east")) == ()


def test_deployments_share_options_and_keep_their_own_servers() -> None:
    settings = config.load(
        model="pair",
        options={"seed": 1},
        prices={"pair": {"input": 1}, "b": {"input": 2}},
        models={
            "pair": {
                "deployments": ["a", "http://me:pw@host:8000/v1?key=s#m", "openai/b"],
                "base_url": "http://pair/v1", "api_key_env": "PAIR_KEY", "options": {"seed": 2, "top_p": 0.5},
                "weights": [3, 1, 1], "balance": "weighted",
            },
            "a": {"model": "openai/x", "base_url": "http://a/v1", "options": {"seed": 3}, "api_key_env": "A_KEY"},
        },
    )  # fmt: skip
    first, second, third = resolve_deployments(settings, resolve_model(settings))
    assert [one.base_url for one in (first, second, third)] == [
        "http://a/v1", "http://me:pw@host:8000/v1?key=s", "http://pair/v1",
    ]  # fmt: skip
    assert [one.api_key_env for one in (first, second, third)] == ["A_KEY", "PAIR_KEY", "PAIR_KEY"]
    assert [one.options for one in (first, third)] == [{"seed": 3, "top_p": 0.5}, {"seed": 2, "top_p": 0.5}]
    assert second.deployment == "openai/m@host:8000"
    assert third.price is not None
    assert third.price.input == 1  # that of the model which the call names
    pair = resolve_model(settings)
    assert (pair.base_url, pair.api_key_env, pair.options) == (first.base_url, "A_KEY", first.options)
    assert (pair.weights, pair.balance) == ((3.0, 1.0, 1.0), "weighted")


def test_an_alias_shares_deployments_and_may_refine_them() -> None:
    models: dict[str, Any] = {
        "alias": {"model": "pair", "weights": [1, 9], "hedge": {"share": 0.1}},
        "pair": {"deployments": ["x/a", "x/b"], "balance": "lowest_latency"},
    }
    alias = resolve_model(config.load(models=models), "alias")
    assert (alias.names, alias.deployments, alias.weights) == (("alias", "pair"), ("x/a", "x/b"), (1.0, 9.0))
    assert (alias.balance, alias.hedge.share, alias.model) == ("lowest_latency", 0.1, "x/a")


def test_aliases_are_one_deployment_unless_they_have_limits_of_their_own() -> None:
    models: dict[str, Any] = {
        "fast": {"model": "base"},
        "batch": {"model": "base", "limits": {"concurrency": 2}},
        "base": {"model": "x/y", "limits": {"concurrency": 5}},
    }
    settings = config.load(models=models)
    names = ("fast", "base", "batch", "x/y", "https://host/v1#m")
    assert [resolve_model(settings, name).deployment for name in names] == [
        "base", "base", "batch", "x/y", "openai/m@host",
    ]  # fmt: skip


def test_a_model_with_deployments_is_a_default_model_and_a_fallback(file: Path) -> None:
    file.write_text('model = "pair"\nfallbacks = ["spare"]\n[models.spare]\ndeployments = ["x/c", "x/d"]\n' + PAIR)
    found = resolve_model(config.load())
    assert (found.name, found.fallbacks) == ("pair", ("spare",))


@pytest.mark.parametrize(
    ("models", "key", "parts"),
    [
        ("[models.a]\ndeployments = ['eats', 'x/y']\n[models.east]\nmodel='x/y'", "models.a.deployments", ["'east'"]),
        ("[models.a]\ndeployments = ['x/y', 'b']\n[models.b]\ndeployments = ['x/z']", "models.a.deployments",
         ["'b' leads to [models.b], which has deployments of its own", "List those here"]),
        ("[models.a]\ndeployments = ['b']\n[models.b]\nmodel = 'a'", "models.a.deployments",
         ["leads back to this model (a -> b -> a)"]),
        ("[models.a]\ndeployments = ['a']", "models.a.deployments", ["leads back to this model (a -> a)"]),
        ("[models.a]\ndeployments = ['x/y', 'x/y']", "models.a.deployments", ["more than once", "larger weight"]),
        ("[models.a]\ndeployments = ['x/y', 'x/z']\nweights = [1]", "models.a.weights", ["1 numbers for 2"]),
        ("[models.a]\nmodel = 'x/y'\nweights = [1, 2]", "models.a.weights", ["2 numbers for 0"]),
        ("[models.a]\ndeployments = ['x/y', 'x/z']\nweights = [1, 0]", "models.a.weights", ["a list of numbers above"]),
        ("[models.a]\ndeployments = ['x/y']\nbalance = 'random'", "models.a.balance", ['"lowest_latency"']),
        ("[models.a]\ndeployment = ['x/y']", "models.a.deployment", ["models.a.deployments"]),
        ("[models.a]\nweights = [1]", "models.a.model", ["is missing: [models.a] needs it"]),
        ("[models.'x/y']\ndeployments = ['x/z']", 'models."x/y"', ["would go to ('x/z',)"]),
    ],
)  # fmt: skip
def test_a_mistake_in_deployments_names_file_key_and_remedy(
    file: Path, models: str, key: str, parts: list[str]
) -> None:
    error = fails(models, file)
    assert (error.source, error.key) == (str(file), key)
    assert all(part in str(error) for part in parts), str(error)


@pytest.mark.parametrize(
    ("models", "key"),
    [
        ({"a": {"deployments": ["b"]}, "b": {"deployments": ["x/y"]}}, "models.a.deployments"),
        ({"a": {"deployments": ["nowhere"]}}, "models.a.deployments"),
        ({"a": {"deployments": ["x/y"], "weights": [1, 2]}}, "models.a.weights"),
        ({"a": {"deployments": ["b"]}, "b": {"model": "nowhere"}}, "deployments"),
    ],
)
def test_settings_made_in_code_are_checked_when_a_model_is_used(models: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_model(Settings(models=models), "a")
    assert (caught.value.source, caught.value.key) == ("arguments", key)


def test_a_model_needs_a_model_or_deployments(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"models.<name>.model is missing"):
        ModelSettings(base_url="http://x")
    file.write_text("[models.a]\nbalance = 'weighted'\n")
    assert config.load(models={"a": {"deployments": ["x/y"]}}).models["a"].balance == "weighted"


def test_a_file_that_was_only_found_may_set_limits_but_no_servers(own_surroundings: Path, file: Path) -> None:
    file.write_text(DAILY + PAIR)
    assert config.load().limits.queue == 9
    error = fails("[models.a]\ndeployments = ['x/y', 'http://evil/v1#m']", file)
    assert "models.a.deployments" in str(error)
    assert "decides where data goes" in str(error)


def test_prices_of_deployments_are_used(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    llmops.configure(models={"a": {"deployments": ["x/Y-1"]}}, prices={"y1": {"input": 1}})
    assert "did you mean" in caplog.text


def test_a_misspelt_key_of_the_breaker_shows_its_value(file: Path) -> None:
    # "breaker" is similar to "bearer", but it is not what is misspelt.
    assert "unknown key breaker.failure = 3." in str(fails("[breaker]\nfailure = 3", file))
    assert "unknown key breaker.bearr = '***'." in str(fails("[breaker]\nbearr = 3", file))
