"""The sources of values: precedence, merging, the environment, files, paths."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk import config
from llmops_sdk.config.loading._files import ProcessEnvironment
from llmops_sdk.config.loading._load import load_from
from llmops_sdk.errors import ConfigError

ORDER = ("arguments", "environment", "file", "pyproject")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'app'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_defaults_apply_without_any_source(project: Path) -> None:
    settings = config.load()
    assert settings.model == "offline/echo"
    assert settings.retry.attempts == 3
    assert settings.store.path == project / ".llmops"
    assert set(settings.sources.values()) == {"default"}


@given(
    st.dictionaries(st.sampled_from(ORDER), st.integers(1, 100)),
    st.dictionaries(st.sampled_from(ORDER), st.integers(1, 9)),
)
def test_first_source_with_a_key_wins(
    tmp_path_factory: pytest.TempPathFactory, attempts: dict[str, int], waits: dict[str, int]
) -> None:
    folder = tmp_path_factory.mktemp("project")
    overrides: dict[str, dict[str, float]] = {"retry": {}}
    environ: dict[str, str] = {}
    texts = {"file": "[retry]\n", "pyproject": "[tool.llmops.retry]\n"}
    for key, given_values in (("attempts", attempts), ("max_wait", waits)):
        for source, value in given_values.items():
            if source == "arguments":
                overrides["retry"][key] = value
            elif source == "environment":
                environ[f"LLMOPS_RETRY__{key.upper()}"] = str(value)
            else:
                texts[source] += f"{key} = {value}\n"
    write(folder / "llmops.toml", texts["file"])
    write(folder / "pyproject.toml", texts["pyproject"])
    settings = load_from(replace(ProcessEnvironment.of_this_process(), cwd=folder, environ=environ), None, overrides)
    labels = {
        "arguments": "arguments",
        "file": f"llmops.toml: {folder / 'llmops.toml'}",
        "pyproject": f"pyproject.toml: {folder / 'pyproject.toml'}",
    }
    for key, given_values, default in (("attempts", attempts, 3), ("max_wait", waits, 20.0)):
        first = next((source for source in ORDER if source in given_values), None)
        labels["environment"] = f"environment: LLMOPS_RETRY__{key.upper()}"
        assert getattr(settings.retry, key) == (given_values[first] if first else default)
        assert settings.source(f"retry.{key}") == (labels[first] if first else "default")


json_values = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text("abc", min_size=1, max_size=3),
    lambda inner: st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, min_size=1, max_size=3),
    max_leaves=6,
)
tables = st.dictionaries(st.text("xyz", min_size=1, max_size=2), json_values, min_size=1, max_size=3)


@given(tables, tables)
def test_options_merge_deeply_by_precedence(
    tmp_path_factory: pytest.TempPathFactory, above: dict[str, object], below: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    environ = {"LLMOPS_OPTIONS": json.dumps(below)}
    settings = load_from(
        replace(ProcessEnvironment.of_this_process(), cwd=folder, environ=environ), None, {"options": above}
    )

    def merged(high: object, low: object) -> object:
        if isinstance(high, dict) and isinstance(low, dict):
            return {
                key: merged(high[key], low[key]) if key in high and key in low else {**low, **high}[key]
                for key in {**low, **high}
            }
        return high

    assert settings.options == merged(above, below)


@pytest.mark.parametrize(
    "overrides",
    [
        {"retry": {"attempts": 5}},
        {"retry__attempts": 5},
        {"retry.attempts": 5},
        {"retry": config.RetrySettings(attempts=5)},
        {"retry__attempts": 5, "retry": {}},
        {"options__a": 1, "options": {"b": 2}, "retry.attempts": 5},
    ],
)
def test_arguments_accept_every_form(project: Path, overrides: dict[str, object]) -> None:
    write(project / "llmops.toml", "[retry]\nattempts = 9\nmax_wait = 7\n")
    settings = config.load(**overrides)
    assert (settings.retry.attempts, settings.retry.max_wait) == (5, 7.0)
    assert settings.options == ({"a": 1, "b": 2} if "options" in overrides else {})


@pytest.mark.parametrize(
    ("variable", "text", "read"),
    [
        ("LLMOPS_MODEL", "ollama/llama3.2", lambda s: s.model == "ollama/llama3.2"),
        ("LLMOPS_ENABLED", "false", lambda s: s.enabled is False),
        ("LLMOPS_ENABLED", "OFF", lambda s: s.enabled is False),
        ("LLMOPS_STORE__PATH", "~/traces", lambda s: s.store.path == Path.home() / "traces"),
        ("LLMOPS_STORE__PATH", "traces", lambda s: s.store.path == Path.cwd() / "traces"),
        ("LLMOPS_TIMEOUT__TOTAL", "none", lambda s: s.timeout.total is None),
        ("LLMOPS_TIMEOUT__TOTAL", " 1.5 ", lambda s: s.timeout.total == 1.5),
        ("LLMOPS_GUARDRAILS__INPUT", "cards, cards:block", lambda s: s.guardrails.input == ("cards", "cards:block")),
        ("LLMOPS_GUARDRAILS__INPUT", '["cards"]', lambda s: s.guardrails.input == ("cards",)),
        ("LLMOPS_RETRY", '{"attempts": 6}', lambda s: s.retry.attempts == 6),
        ("LLMOPS_EXPORT__HEADERS", '{"X-Team": "a,b"}', lambda s: s.export.headers == {"X-Team": "a,b"}),
        ("LLMOPS_EXPORT__HEADERS", "x-team=a%20b", lambda s: s.export.headers == {"x-team": "a b"}),
        ("LLMOPS_OPTIONS__LATENCY", "0.5", lambda s: s.options == {"latency": 0.5}),
        ("LLMOPS_OPTIONS__SCRIPT", "a.json", lambda s: s.options == {"script": "a.json"}),
        ("LLMOPS_MODELS__SMART__MODEL", "openai/gpt-4.1", lambda s: s.models["smart"].model == "openai/gpt-4.1"),
        ("LLMOPS_MODEL", "", lambda s: s.model == "offline/echo"),
        ("LLMOPS_CACHE__TTL", "none", lambda s: s.cache.ttl is None),
    ],
)
def test_variables_set_scalars_lists_and_tables(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, read: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert callable(read)
    assert read(config.load())


def test_variable_overrides_one_key_of_a_json_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_RETRY__ATTEMPTS", "7")
    monkeypatch.setenv("LLMOPS_RETRY", '{"attempts": 2, "max_wait": 5}')
    settings = config.load()
    assert (settings.retry.attempts, settings.retry.max_wait) == (7, 5.0)
    assert settings.source("retry.attempts") == "environment: LLMOPS_RETRY__ATTEMPTS"
    assert settings.source("retry.max_wait") == "environment: LLMOPS_RETRY"


def test_variable_reaches_names_with_other_characters(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project / "llmops.toml", '[models."GPT-4.1 eu"]\nmodel = "openai/gpt-4.1"\n')
    monkeypatch.setenv("LLMOPS_MODELS__GPT_4_1_EU__OPTIONS__SEED", "4")
    settings = config.load()
    assert settings.models["GPT-4.1 eu"].options == {"seed": 4}
    assert settings.source('models."GPT-4.1 eu".model').startswith("llmops.toml: ")


def test_reserved_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_BENCH_ROUNDS", "3")
    assert config.load().model == "offline/echo"


def test_paths_are_relative_to_their_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        project / "llmops.toml",
        "[store]\npath = 'var/traces'\n[models.a]\nmodel = 'offline/echo'\n[models.a.cache]\npath = 'c'\n",
    )
    inner = project / "src" / "app"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", str(project / "llmops.toml"))
    settings = config.load()
    assert settings.store.path == project / "var/traces"
    assert config.resolve_model(settings, "a").cache.path == project / "c"
    assert config.load(store__path="t").store.path == inner / "t"
    assert config.load(store__path=Path("/abs")).store.path == Path("/abs")


def test_default_store_is_in_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = project / "services" / "a" / "src"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert config.load().store.path == project / ".llmops"
    elsewhere = write(project / "etc" / "prod.toml", "model = 'offline/script'\n")
    assert config.load(elsewhere).store.path == project / ".llmops"
    write(project / "services" / "a" / "llmops.toml", "")
    assert config.load().store.path == project / "services" / "a" / ".llmops"


def test_search_stops_at_project_root_and_home(tmp_path: Path) -> None:
    write(tmp_path / "llmops.toml", "model = 'a/above'\n")
    inner = tmp_path / "home" / "app"
    inner.mkdir(parents=True)
    place = replace(ProcessEnvironment.of_this_process(), cwd=inner)
    assert load_from(place, None, {}).model == "a/above"
    assert load_from(replace(place, home=tmp_path / "home"), None, {}).model == "offline/echo"
    (tmp_path / "home" / ".git").mkdir()
    assert load_from(place, None, {}).model == "offline/echo"
    write(tmp_path / "home" / "llmops.toml", "model = 'a/root'\n")
    assert load_from(place, None, {}).model == "a/root"
    write(inner / "llmops.toml", "model = 'a/nearest'\n")
    assert load_from(place, None, {}).model == "a/nearest"


def test_named_file_replaces_the_found_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project / "llmops.toml", "model = 'a/found'\n[retry]\nattempts = 9\n")
    write(project / "other.toml", "model = 'a/named'\n")
    write(project / "pyproject.toml", "[tool.llmops]\nservice = 'shop'\n")
    settings = config.load("other.toml")
    assert (settings.model, settings.retry.attempts, settings.service) == ("a/named", 3, "shop")
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", str(project / "other.toml"))
    assert config.load().model == "a/named"
    assert config.load("llmops.toml").model == "a/found"
    assert config.load(project / "pyproject.toml").service == "shop"


def test_byte_order_mark_is_accepted(project: Path) -> None:
    (project / "llmops.toml").write_bytes(b"\xef\xbb\xbfmodel = 'a/b'\n")
    assert config.load().model == "a/b"


def test_broken_pyproject_without_our_table_is_ignored(project: Path) -> None:
    write(project / "pyproject.toml", "[project\n")
    assert config.load().model == "offline/echo"
    write(project / "pyproject.toml", "[tool.llmops\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config.load()


def foreign(path: Path) -> ProcessEnvironment:
    """Return an environment in which another user owns the file; change the owner if the tests may."""
    here = replace(ProcessEnvironment.of_this_process(), cwd=path.parent)
    if os.geteuid() == 0:
        os.chown(path, 54321, -1)
        return here
    return replace(here, user=os.geteuid() + 1)


def test_file_of_another_user_is_ignored_with_one_warning(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(project / "llmops.toml", "model = 'evil/model'\n")
    place = foreign(path)
    assert load_from(place, None, {}).model == "offline/echo"
    assert load_from(place, None, {}).model == "offline/echo"
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert "belongs to another user" in warnings[0]
    assert load_from(place, path, {}).model == "evil/model", "a file that is named is trusted"


def test_pyproject_of_another_user_warns_only_with_our_table(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = foreign(project / "pyproject.toml")
    assert load_from(place, None, {}).model == "offline/echo"
    assert not caplog.records, "nothing to warn of: it has no table of ours"
    write(project / "pyproject.toml", "[tool.llmops]\nmodel = 'evil/model'\n")
    assert load_from(place, None, {}).model == "offline/echo"
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_files_of_root_are_accepted(project: Path) -> None:
    path = write(project / "llmops.toml", "model = 'a/b'\n")
    here = ProcessEnvironment.of_this_process()
    if os.geteuid() == 0:
        here = replace(here, user=54321)
    owner = path.stat().st_uid
    assert load_from(here, None, {}).model == "a/b"
    assert owner in {0, here.user}


def test_debug_log_lists_every_value_with_its_source(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = "hush" * 2
    write(project / "llmops.toml", f"[retry]\nattempts = 4\n[export]\nheaders = {{ x-auth = '{credential}' }}\n")
    monkeypatch.setenv("LLMOPS_MODEL", "a/b")
    with caplog.at_level("DEBUG", logger="llmops_sdk"):
        settings = config.load("llmops.toml", options={"api_key": credential})
    (record,) = caplog.records
    lines = record.getMessage().splitlines()
    assert "  model = 'a/b'  (environment: LLMOPS_MODEL)" in lines
    assert f"  retry.attempts = 4  (llmops.toml: {project / 'llmops.toml'})" in lines
    assert "  retry.base = 0.5  (default)" in lines
    assert len(lines) == 1 + len(settings.sources)
    assert credential not in record.getMessage()


def test_documented_example_is_valid(project: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    settings = config.load(write(project / "llmops.toml", example))
    data = tomllib.loads(example)
    assert settings.model == data["model"]
    assert settings.store.path == project / "var/traces"
    assert config.resolve_model(settings, "local").provider == "openai_compatible"
