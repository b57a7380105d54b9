"""Errors name the location, the key, the value, the expected values and the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_sdk import config
from llmops_sdk.config.loading._environment import environment_layer
from llmops_sdk.config.loading._keys import nearest_key
from llmops_sdk.errors import ConfigError

JARGON = ("pydantic", "validation error", "errors.pydantic", "type=", "input_value", "BaseModel", "https://")


def fails(*args: Any, **overrides: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(*args, **overrides)
    assert not any(word in str(caught.value) for word in JARGON)
    assert caught.value.__cause__ is None or "pydantic" not in type(caught.value.__cause__).__module__
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


@pytest.fixture
def file(own_surroundings: Path) -> Path:
    return own_surroundings / "llmops.toml"


@pytest.mark.parametrize(
    ("text", "key", "value", "nearest"),
    [
        ("[retry]\natempts = 5", "retry.atempts", 5, "retry.attempts"),
        ("modle = 'a/b'", "modle", "a/b", "model"),
        ("attempts = 5", "attempts", 5, "retry.attempts"),
        ("[store]\npth = 'x'", "store.pth", "x", "store.path"),
        ("[models.smart]\nmodel = 'a/b'\nbase_ulr = 'x'", "models.smart.base_ulr", "x", "models.smart.base_url"),
        ("[models.smart]\nmodel = 'a/b'\n[models.smart.retry]\natempts = 1", "models.smart.retry.atempts", 1,
         "models.smart.retry.attempts"),
        ("[models.'gpt-4.1']\nmodel = 'a/b'\nfoo = 1", 'models."gpt-4.1".foo', 1, None),
        ("[retries]\nattempts = 1", "retries", {"attempts": 1}, "retry"),
        ("[prices.x]\ninput = 1\noutptu = 2", "prices.x.outptu", 2, "prices.x.output"),
        ("'retry.attempts' = 5", '"retry.attempts"', 5, "retry.attempts"),
    ],
)  # fmt: skip
def test_unknown_key_suggests_the_nearest(file: Path, text: str, key: str, value: object, nearest: str | None) -> None:
    file.write_text(text)
    error = fails()
    assert (error.source, error.key, error.value) == (str(file), key, value)
    assert nearest is None or error.nearest == nearest
    assert error.nearest is not None
    assert all(part in str(error) for part in (str(file), key, repr(value), error.nearest))


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("[retry]\nattempts = '3'", "retry.attempts", "a whole number from 1 to 100"),
        ("[retry]\nattempts = 3.5", "retry.attempts", "a whole number from 1 to 100"),
        ("[retry]\nattempts = true", "retry.attempts", "a whole number from 1 to 100"),
        ("[retry]\nattempts = 0", "retry.attempts", "a whole number from 1 to 100"),
        ("[retry]\nbase = nan", "retry.base", "a number above 0"),
        ("[timeout]\ntotal = inf", "timeout.total", 'a number above 0 or "none"'),
        ("[timeout]\ntotal = 'soon'", "timeout.total", 'a number above 0 or "none"'),
        ("timeout = 5", "timeout", "a table of keys"),
        ("enabled = 'false'", "enabled", "true or false"),
        ("model = 3", "model", "a string"),
        ("[guardrails]\ninput = 'cards'", "guardrails.input", "a list of strings"),
        ("[guardrails]\ninput = [1]", "guardrails.input", "a list of strings"),
        ("[guardrails]\non_error = 'shut'", "guardrails.on_error", '"closed" or "open"'),
        ("[store]\npath = 3", "store.path", "a path (a string)"),
        ("models.smart = 'a/b'", "models.smart", "a table of keys"),
        ("models = 'a/b'", "models", "tables by name"),
        ("options = []", "options", "a table"),
        ("[prices.x]\ninput = -1", "prices.x.input", "a number of 0 or more"),
    ],
)
def test_wrong_type_names_the_expected_one(file: Path, text: str, key: str, expected: str) -> None:
    file.write_text(text)
    error = fails()
    assert (error.source, error.key) == (str(file), key)
    assert str(error).endswith(f"is not valid: it must be {expected}.")


def test_overridden_invalid_value_is_still_reported(file: Path) -> None:
    file.write_text("[retry]\nattempts = 'many'\n")
    assert fails(retry__attempts=2).source == str(file)


def test_missing_required_key_is_reported(file: Path) -> None:
    file.write_text("[models.smart]\noptions = { seed = 1 }\n")
    error = fails()
    assert (error.source, error.key) == (str(file), "models.smart.model")
    assert "is missing" in str(error)
    assert config.load(models={"smart": {"model": "a/b"}}).models["smart"].options == {"seed": 1}


def test_all_problems_are_reported_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("modle = 'x'\n[retry]\nattempts = 'x'\n[store]\nfsync = 1\n")
    monkeypatch.setenv("LLMOPS_RETRY__BASE", "x")
    error = fails(tags=["a"])
    text = str(error)
    assert "5 problems" in text
    assert all(key in text for key in ("modle", "retry.attempts", "store.fsync", "LLMOPS_RETRY__BASE", "tags"))
    assert error.key is not None
    assert error.key in text.splitlines()[1]


@pytest.mark.parametrize("content", [b"model = offline/echo", b"[retry\n", b"a = 1\na = 2\n", b"model = 'x\n"])
def test_malformed_toml_names_the_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    error = fails()
    assert (error.source, error.key) == (str(file), None)
    assert "not valid TOML" in str(error)
    assert "line " in str(error) or "end of document" in str(error)


def test_file_that_is_not_utf8_is_rejected(file: Path) -> None:
    file.write_bytes(b"model = '\xff'")
    assert "not UTF-8" in str(fails())


@pytest.mark.parametrize("by_variable", [True, False])
def test_named_file_that_cannot_be_read_is_an_error(
    own_surroundings: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    def load(path: Path) -> ConfigError:
        if not by_variable:
            return fails(path)
        monkeypatch.setenv("LLMOPS_CONFIG_FILE", str(path))
        return fails()

    by = "LLMOPS_CONFIG_FILE" if by_variable else "the argument config_file"
    missing = load(own_surroundings / "no.toml")
    assert missing.source == str(own_surroundings / "no.toml")
    assert f"the file does not exist (named by {by})" in str(missing)
    assert "cannot be read" in str(load(own_surroundings))


def test_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_RETRY__ATEMPTS", "5")
    error = fails()
    assert (error.source, error.key, error.nearest) == ("LLMOPS_RETRY__ATEMPTS", "retry.atempts", "retry.attempts")
    assert "LLMOPS_RETRY__ATTEMPTS" in str(error)
    monkeypatch.delenv("LLMOPS_RETRY__ATEMPTS")
    monkeypatch.setenv("LLMOPS_TAGS", "a")
    assert fails().nearest in config.known_keys()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("LLMOPS_RETRY__ATTEMPTS", "three", "a whole number from 1 to 100"),
        ("LLMOPS_ENABLED", "maybe", "true or false"),
        ("LLMOPS_RETRY", "5", "a table of keys"),
        ("LLMOPS_MODELS", "[", "tables by name"),
        ("LLMOPS_GUARDRAILS__INPUT", "[1,", "a list of strings"),
        ("LLMOPS_EXPORT__HEADERS", "what", "a table of strings"),
        ("LLMOPS_RETRY", '{"attempts": "3"}', "a whole number from 1 to 100"),
    ],
)
def test_variable_with_an_invalid_value_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, expected: str
) -> None:
    monkeypatch.setenv(variable, text)
    error = fails()
    assert error.source == variable
    assert str(error).startswith(f"{variable}: ")
    assert str(error).endswith(f"it must be {expected}.")


def test_errors_hide_secrets_and_cut_long_values(file: Path) -> None:
    credential = "hush" * 2
    for overrides in (
        {"export": {"headers": {"x-team": [credential]}}},
        {"api_key": credential},
        {"opitons": {"client_secret": credential}},
        {"export": {"endpoint": [f"https://me:{credential}@host"]}},
        {"models": {"a": {"model": "a/b", "api_key_env": [credential]}}},
    ):
        error = fails_quietly(overrides)
        assert credential not in str(error)
        assert credential not in repr(error)
        assert "***" in str(error)
    text = str(fails(model=["x" * 5000]))
    assert len(text) < 400
    assert "…" in text


def fails_quietly(overrides: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(**overrides)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def test_settings_repr_hides_headers_and_keys() -> None:
    credential = "hush" * 2
    settings = config.load(
        export={"headers": {"x-any": credential}, "endpoint": f"https://me:{credential}@host"},
        options={"api_key": credential, "deep": [{"password": credential}]},
        models={"m": {"model": "a/b", "api_key_env": "TEAM_KEY", "options": {"token": credential}}},
    )
    assert credential not in repr(settings)
    assert credential not in str(settings.export)
    assert "'x-any': '***'" in repr(settings)
    assert "TEAM_KEY" in repr(settings), "the name of a variable is no secret"
    assert settings.export.headers["x-any"] == credential


@pytest.mark.parametrize(
    ("make", "key", "expected"),
    [
        (lambda: config.Timeout(total=-1), "timeout.total", 'a number above 0 or "none"'),
        (lambda: config.RetrySettings(attempts=0), "retry.attempts", "a whole number from 1 to 100"),
        (lambda: config.Timeout(totl=1), "timeout.totl", None),
        (lambda: config.PriceSettings(), "prices.<name>.input", None),
    ],
)
def test_section_constructor_raises_config_error(make: Any, key: str, expected: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.key == key
    assert expected is None or expected in str(caught.value)


@settings(max_examples=25)  # the nearest of all keys is looked for each time
@given(st.dictionaries(st.text("ABC_x", max_size=12).map(lambda name: f"LLMOPS_{name}"), st.text(max_size=9)))
def test_any_variable_is_parsed_or_rejected(environ: dict[str, str]) -> None:
    layer, problems = environment_layer(environ, Path("/"))
    told = {problem.source for problem in problems}
    assert told == {name for name, text in environ.items() if text}
    assert not layer.data


@settings(max_examples=25)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=4).map(tuple))
def test_every_unknown_key_has_a_nearest_key(path: tuple[str, ...]) -> None:
    nearest = nearest_key(path)
    assert nearest in config.known_keys() or nearest.startswith(("models.", "prices."))
