"""No display of the settings and no error shows a secret, whatever its key is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llmops_sdk import config
from llmops_sdk.errors import ConfigError

HUSH = "hush" * 3


@pytest.mark.parametrize(
    "overrides",
    [
        {"options": {"pat": HUSH}},
        {"options": {"sig": HUSH}},
        {"options": {"extra_headers": {"x-team": HUSH}}},
        {"options": {"defaultHeaders": {"x": HUSH}}},
        {"options": {"accessToken": HUSH}},
        {"options": {"clientSecretValue": HUSH}},
        {"options": {"anything_else": HUSH}},
        {"options": {"extra": {"vendor_login": HUSH}}},
        {"models": {"a": {"model": "offline/echo", "options": {"pwd": HUSH}}}},
        {"models": {"a": {"model": "openai/x", "base_url": f"https://h/v1?code={HUSH}"}}},
        {"models": {"a": {"model": "openai/x", "base_url": f"https://{HUSH}@h/v1"}}},
        {"models": {"a": {"model": f"https://h/v1?sig={HUSH}#m"}}},
        {"fallbacks": [f"https://me:{HUSH}@h/v1?x={HUSH}#m"]},
        {"export": {"endpoint": f"https://h:4318/in?token={HUSH}"}},
        {"export": {"destinations": {"d": {"endpoint": f"https://{HUSH}:x@h"}}}},
        {"shared": {"url": f"redis://:{HUSH}@h/0"}},
        {"shared": {"url": f"postgresql://me:{HUSH}@h/db?options={HUSH}"}},
        {"export": {"metrics": {"endpoint": f"https://h/?k={HUSH}", "headers": {"x": HUSH}}}},
    ],
)
def test_displayed_settings_hide_secrets(overrides: dict[str, object]) -> None:
    settings = config.load(**overrides)
    shown = "\n".join(one.text for one in config.describe_settings(settings))
    assert HUSH not in shown
    assert HUSH not in repr(settings)
    assert "***" in shown


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        (f"[models.a]\nmodel = 'openai/x'\napi_kye = '{HUSH}'\n", None),
        (f"api_kye = '{HUSH}'\n", None),
        (f"[export]\nheder = {{ x = '{HUSH}' }}\n", None),
        (f"[export]\ntimeout = 'https://x?sig={HUSH}'\n", None),
        (f"[exprot]\nlist = ['{HUSH}']\n", None),
        (f"[shared]\nurl = 'redis://:{HUSH}/x@h'\n", None),
        (f"[shared]\nurl = 'http://{HUSH}@h'\n", None),
        (f"[shared]\nulr = 'redis://:{HUSH}/x@h'\n", None),
        (f"[shared]\npath = 'redis://:{HUSH}/x@h'\n", None),
        ("", "LLMOPS_API_KYE"),
        ("", "LLMOPS_EXPORT__HEADR"),
    ],
)
def test_errors_hide_the_value_of_a_misspelt_key(
    own_surroundings: Path, monkeypatch: pytest.MonkeyPatch, text: str, variable: str | None
) -> None:
    (own_surroundings / "llmops.toml").write_text(text)
    if variable:
        monkeypatch.setenv(variable, HUSH)
    with pytest.raises(ConfigError) as caught:
        config.load()
    assert HUSH not in str(caught.value)
    assert HUSH not in repr(caught.value.value)


def test_plain_options_stay_visible() -> None:
    settings = config.load(options={"seed": 7, "max_tokens": 5, "tokens_per_second": 3.0, "extra": {"top_k": 4}})
    shown = {one.key: one.text for one in config.describe_settings(settings)}
    assert shown["options.seed"] == "7"
    assert shown["options.max_tokens"] == "5"
    assert shown["options.extra.top_k"] == "4"
    assert shown["options.tokens_per_second"] == "3.0"


@pytest.mark.parametrize("url", [f"https://me:{HUSH}@h/v1", f"https://h/v1?sig={HUSH}", f"htp://me:{HUSH}@h/v1#m"])
@pytest.mark.parametrize(
    "place",
    [
        lambda url: {"model": url},
        lambda url: {"fallbacks": [url]},
        lambda url: {"models": {"a": {"model": url}}},
        lambda url: {"models": {"a": {"model": "offline/echo", "fallbacks": [url]}}},
    ],
)
def test_errors_hide_the_secrets_of_an_url_that_is_no_model(
    url: str, place: Callable[[str], dict[str, object]]
) -> None:
    with pytest.raises(ConfigError, match="is not a model") as caught:
        config.load(**place(url))
    assert HUSH not in str(caught.value) + repr(caught.value.args) + repr(vars(caught.value))
