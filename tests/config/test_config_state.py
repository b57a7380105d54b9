"""The settings in force, and the resolution of models."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import configuration_page
import pytest

from llmops_sdk import config
from llmops_sdk.errors import ConfigError


def test_current_returns_one_object_until_configure() -> None:
    first = config.current()
    assert config.current() is first
    second = config.configure(model="a/b")
    assert config.current() is second
    assert first.model == "offline/echo", "what a call in flight holds does not change"


def test_configure_discards_previous_arguments() -> None:
    config.configure(model="a/b", retry__attempts=7)
    settings = config.configure(service="shop")
    assert (settings.model, settings.retry.attempts, settings.service) == ("offline/echo", 3, "shop")


@pytest.mark.parametrize("bad", ["model = ", "modle = 'x'", "[retry]\nattempts = 'x'", "model = 'smrat'"])
def test_invalid_file_keeps_the_previous_settings(own_surroundings: Path, bad: str) -> None:
    file = own_surroundings / "llmops.toml"
    file.write_text("model = 'a/good'\n")
    good = config.configure(retry__attempts=2)
    told: list[config.Settings] = []
    unsubscribe = config.subscribe(told.append)
    file.write_text(bad)
    with pytest.raises(ConfigError):
        config.configure()
    unsubscribe()
    assert config.current() is good
    assert told == []


def test_removed_file_takes_effect_at_the_next_configure(own_surroundings: Path) -> None:
    file = own_surroundings / "llmops.toml"
    file.write_text("model = 'a/b'\n")
    before = config.current()
    file.unlink()
    assert config.current() is before
    assert config.configure().model == "offline/echo"


def test_first_use_retries_after_a_fixed_file(own_surroundings: Path) -> None:
    file = own_surroundings / "llmops.toml"
    file.write_text("model = 3\n")
    with pytest.raises(ConfigError):
        config.current()
    file.write_text("model = 'a/b'\n")
    assert config.current().model == "a/b"


def test_first_use_by_many_threads_loads_once() -> None:
    barrier = threading.Barrier(16)
    seen: list[config.Settings] = []

    def use() -> None:
        barrier.wait()
        seen.append(config.current())

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 16
    assert len({id(settings) for settings in seen}) == 1


def test_subscribers_run_in_order_and_may_read_settings() -> None:
    told: list[str] = []

    def told_of(settings: config.Settings) -> None:
        assert config.current() is settings
        done = threading.Event()
        # Another thread that subscribes now must not wait for this one.
        thread = threading.Thread(target=lambda: (config.subscribe(lambda _: None)(), done.set()))
        thread.start()
        assert done.wait(10)
        told.append(settings.model)

    unsubscribe = config.subscribe(told_of)
    config.configure(model="a/1")
    config.configure(model="a/2")
    unsubscribe()
    config.configure(model="a/3")
    assert told == ["a/1", "a/2"]


def test_settings_are_frozen_comparable_and_pickle() -> None:
    settings = config.load(model="a/b", models={"m": {"model": "c/d"}})
    with pytest.raises(ValueError, match="frozen"):
        settings.model = "x/y"
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings
    assert copy.deepcopy(settings) == settings
    assert again.source("model") == "arguments"
    assert settings != config.load(model="a/c")
    assert config.Settings(model="a/b") == config.Settings(model="a/b")
    with pytest.raises(TypeError):
        config.Settings("a/b")  # type: ignore[call-arg]


def test_source_of_a_section_and_of_an_unknown_key() -> None:
    settings = config.load(retry__attempts=5, models={"gpt-4.1": {"model": "a/b"}})
    assert settings.source("retry") == "arguments, default"
    assert settings.source('models."gpt-4.1".model') == "arguments"
    assert settings.source("export.headers") == "default"
    with pytest.raises(ConfigError, match=r"retry\.attempts"):
        settings.source("retry.atempts")


def test_removed_working_folder_is_a_config_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="current folder"):
        config.load()


NAMED = """
model = "smart"
options = { seed = 1, deep = { a = 1 } }
[retry]
attempts = 6
max_wait = 9
[cache]
exact = true
[models.smart]
model = "big"
options = { deep = { b = 2 } }
[models.smart.retry]
attempts = 2
[models.big]
model = "openai/gpt-4.1"
base_url = "http://127.0.0.1:9/v1"
api_key_env = "BIG_KEY"
options = { seed = 7 }
[models.big.retry]
attempts = 4
base = 3
[models.big.timeout]
total = 5
[models."openai/gpt-5"]
model = "openai/gpt-5"
api_key_env = "FIVE"
[prices."gpt-4.1"]
input = 2
[prices."openai/gpt-5"]
input = 3
[prices."gpt-5"]
input = 4
"""


@pytest.fixture
def settings(own_surroundings: Path) -> config.Settings:
    (own_surroundings / "llmops.toml").write_text(NAMED)
    return config.load("llmops.toml")


def test_a_named_model_inherits_and_overrides(settings: config.Settings) -> None:
    found = config.resolve_model(settings, None)
    assert (found.name, found.model, found.provider) == ("smart", "openai/gpt-4.1", "openai")
    assert (found.base_url, found.api_key_env) == ("http://127.0.0.1:9/v1", "BIG_KEY")
    assert (found.retry.attempts, found.retry.base, found.retry.max_wait) == (2, 3.0, 9.0)
    assert (found.timeout.total, found.timeout.connect) == (5.0, 10.0)
    assert found.cache.exact is True
    assert found.options == {"seed": 7, "deep": {"a": 1, "b": 2}}
    assert found.price == config.PriceSettings(input=2)


def test_default_model_options_do_not_apply_to_others(settings: config.Settings) -> None:
    assert config.resolve_model(settings, "big").options == {"seed": 7}
    plain = config.resolve_model(settings, "anthropic/claude-sonnet-4-5")
    assert (plain.provider, plain.options, plain.price) == ("anthropic", {}, None)
    assert plain.retry == settings.retry


def test_model_entry_may_use_its_own_full_name(settings: config.Settings) -> None:
    found = config.resolve_model(settings, "openai/gpt-5")
    assert (found.model, found.api_key_env) == ("openai/gpt-5", "FIVE")
    assert found.price is not None
    assert found.price.input == 3.0


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000/v1", "https://llm.example.com/openai/v1"])
def test_url_resolves_to_a_compatible_server(settings: config.Settings, base: str) -> None:
    found = config.resolve_model(settings, f"{base}#meta/llama-3.2")
    assert (found.provider, found.model, found.base_url) == ("openai_compatible", "openai/meta/llama-3.2", base)
    priced = config.resolve_model(
        config.load("llmops.toml", prices={"meta/llama-3.2": {"input": 0}}), f"{base}#meta/llama-3.2"
    )
    assert priced.price == config.PriceSettings(input=0)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("http://host/v1", 'e.g. "http://host/v1#model-name"'),
        ("http://host/v1#", 'e.g. "http://host/v1#model-name"'),
        ("ftp://host/v1#x", "OpenAI-compatible server"),
        ("gpt", '"provider/model"'),
        ("", '"provider/model"'),
        ("/x", '"provider/model"'),
        ("openai/", '"provider/model"'),
        ("open ai/x", '"provider/model"'),
    ],
)
def test_invalid_model_is_a_config_error(settings: config.Settings, name: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.resolve_model(settings, name)
    assert part in str(caught.value)
    assert (caught.value.source, caught.value.key, caught.value.value) == ("arguments", "model", name)


def test_unknown_model_suggests_the_nearest_name(settings: config.Settings) -> None:
    with pytest.raises(ConfigError, match="smart") as caught:
        config.resolve_model(settings, "smrat")
    assert caught.value.nearest == "smart"


def test_loading_checks_every_model(own_surroundings: Path) -> None:
    file = own_surroundings / "llmops.toml"
    file.write_text("model = 'a'\n[models.a]\nmodel = 'b'\n[models.b]\nmodel = 'a'\n[models.c]\nmodel = 'nope'\n")
    with pytest.raises(ConfigError, match="a -> b -> a") as caught:
        config.load()
    assert caught.value.source == str(file)
    assert "models.c.model" in str(caught.value)


def test_known_keys_cover_every_source(settings: config.Settings) -> None:
    keys = config.known_keys()
    assert keys["retry.attempts"].variable == "LLMOPS_RETRY__ATTEMPTS"
    assert all(key.expected for key in keys.values())
    assert all(key.doc for key in keys.values())
    defaults = config.Settings().sources
    assert set(defaults) - {"models", "prices"} <= set(keys)


def test_configuration_page_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == configuration_page.page(), "run `make docs`"


def test_page_generator_prints_the_page() -> None:
    command = [sys.executable, "-W", "error", "tools/configuration_page.py"]
    page = subprocess.run(command, check=True, cwd=Path(__file__).parents[2], capture_output=True, text=True).stdout
    assert page == configuration_page.page()


FORK = """
import os, threading
from llmops_sdk import config

held, release = threading.Event(), threading.Event()

def hold(_):
    held.set()
    assert release.wait(30)

unsubscribe = config.subscribe(hold)
thread = threading.Thread(target=config.configure)
thread.start()
assert held.wait(30)
unsubscribe()
child = os.fork()
if child == 0:
    os._exit(7 if config.configure(model="a/child").model == "a/child" else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
release.set()
thread.join()
"""


def test_forked_child_can_configure(own_surroundings: Path) -> None:
    program = own_surroundings / "fork.py"
    program.write_text(FORK)
    subprocess.run([sys.executable, str(program)], check=True, timeout=60)
