"""A configuration file that was only found decides models and policies, not where data and keys go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from llmops_sdk import config
from llmops_sdk.config.loading import _trust_list
from llmops_sdk.config.loading._files import ProcessEnvironment, find_files
from llmops_sdk.config.loading._load import load_from
from llmops_sdk.config.loading._trust import ALLOWED, CHECKED, REFUSED, found_trust, rule_of
from llmops_sdk.errors import ConfigError

pytestmark = pytest.mark.redteam

AWAY = "http://127.0.0.1:9"
HARMFUL = {
    "model URL": ("model", f"model = '{AWAY}/v1#x'"),
    "fallback URL": ("fallbacks", f"fallbacks = ['x/y', '{AWAY}/v1#x']"),
    "named model URL": ("models.a.model", f"[models.a]\nmodel = '{AWAY}/v1#x'"),
    "named fallbacks": ("models.a.fallbacks", f"[models.a]\nmodel = 'offline/echo'\nfallbacks = ['{AWAY}/v1#x']"),
    "base URL": ("models.a.base_url", f"[models.a]\nmodel = 'openai/x'\nbase_url = '{AWAY}'"),
    "key": ("models.a.api_key_env", "[models.a]\nmodel = 'openai/x'\napi_key_env = 'AWS_SECRET_ACCESS_KEY'"),
    "option": ("options.api_base", f"[options]\napi_base = '{AWAY}'"),
    "option in a table": ("options.extra_body.x", "[options.extra_body]\nx = 1"),
    "extra option": ("options.extra.api_base", f"[options.extra]\napi_base = '{AWAY}'"),
    "option of a model": ("models.a.options.proxy", f"[models.a]\nmodel = 'a/b'\noptions = {{ proxy = '{AWAY}' }}"),
    "endpoint": ("export.endpoint", f"[export]\nendpoint = '{AWAY}'"),
    "traces endpoint": ("export.traces_endpoint", f"[export]\ntraces_endpoint = '{AWAY}'"),
    "headers": ("export.headers.x-a", "[export.headers]\nx-a = 'b'"),
    "metrics": ("export.metrics.endpoint", f"[export.metrics]\nendpoint = '{AWAY}'"),
    "scores": ("export.logs.headers.a", "[export.logs.headers]\na = 'b'"),
    "destination": ("export.destinations.x.endpoint", f"[export.destinations.x]\nendpoint = '{AWAY}'"),
    "content": ("export.content", "[export]\ncontent = true"),
    "host content": ("export.host_content", "[export]\nhost_content = true"),
    "redaction": ("redaction.enabled", "[redaction]\nenabled = false"),
    "hash key": ("redaction.hash_key_env", "[redaction]\nhash_key_env = 'HOME'"),
    "judge URL": ("guardrails.options.judge.model", f"[guardrails.options.judge]\nmodel = '{AWAY}/v1#x'"),
    "toxicity URL": ("guardrails.options.toxicity.model", f"[guardrails.options.toxicity]\nmodel = '{AWAY}/v1#x'"),
    "guard's fallback URL": (
        "guardrails.options.injection.fallback_model",
        f"[guardrails.options.injection]\nfallback_model = '{AWAY}/v1#x'",
    ),
    "judge of a model": (
        "models.a.guardrails.options.judge.model",
        f"[models.a]\nmodel = 'a/b'\n[models.a.guardrails.options.judge]\nmodel = '{AWAY}/v1#x'",
    ),
    "guard in code": ("guardrails.input", "[guardrails]\ninput = ['cards', 'planted.guards:Spy']"),
    "guard in code of a model": (
        "models.a.guardrails.output",
        "[models.a]\nmodel = 'a/b'\n[models.a.guardrails]\noutput = ['planted:Spy']",
    ),
    "objective": ("slo.a.objective", "[slo.a]\nobjective = 0.9"),
    "notifier": ("notify.a.command", "[notify.a]\ncommand = ['planted']\nkind = 'command'"),
    "rule": ("alerts", "alerts = [{ name = 'a', metric = 'cost', threshold = 1 }]"),
    "canary": ("canaries", "canaries = [{ name = 'a' }]"),
    "store outside": ("store.path", "[store]\npath = '../elsewhere'"),
    "store at home": ("store.path", "[store]\npath = '~/traces'"),
    "store is the project": ("store.path", "[store]\npath = '.'"),
    "cache": ("cache.path", "[cache]\npath = 'planted'"),
    "cache of a model": ("models.a.cache.path", "[models.a]\nmodel = 'a/b'\ncache = { path = 'planted' }"),
    "shared server": ("shared.url", "[shared]\nurl = 'redis://127.0.0.1:9'"),
    "shared database": ("shared.url", "[shared]\nurl = 'postgresql://127.0.0.1:9/x'"),
    "namespace": ("shared.namespace", "[shared]\nnamespace = 'planted'"),
    "cassettes": ("cassettes.folder", "[cassettes]\nfolder = 'planted'"),
    "recording": ("cassettes.mode", "[cassettes]\nmode = 'record'"),
}
HARMLESS = """
model = "smart"
service = "shop"
fallbacks = ["x/y"]
[models.smart]
model = "offline/echo"
options = { seed = 3, extra = { temperature = 0 } }
[models.smart.retry]
attempts = 2
[options]
latency = 0
[retry]
attempts = 4
[cache]
exact = true
[guardrails]
input = ["cards"]
[store]
path = "var/traces"
retention_days = 30
[store.columns]
tenant = "app.tenant"
[export]
content = false
timeout = 3
[export.filter]
sample = 0.5
[redaction]
enabled = true
patterns = { employee = "E-[0-9]{6}" }
[prices."x/y"]
input = 1
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cloned repository, the current folder; the home folder is elsewhere."""
    folder = tmp_path / "clone"
    (folder / ".git").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(folder)
    return folder


def outside() -> ProcessEnvironment:
    return replace(ProcessEnvironment.of_this_process(), program=None)


def trust_found(process: ProcessEnvironment) -> None:
    for trusted, layer in found_trust(process):
        _trust_list.trust(process, trusted.path, _trust_list.digest_of(layer.data))


@pytest.mark.parametrize(("key", "text"), HARMFUL.values(), ids=HARMFUL)
@pytest.mark.parametrize("name", ["llmops.toml", "pyproject.toml"])
def test_found_file_may_not_decide_where_data_goes(clone: Path, name: str, key: str, text: str) -> None:
    section = text if name == "llmops.toml" else f"[tool.llmops]\n{text}".replace("\n[", "\n[tool.llmops.")
    (clone / name).write_text(section)
    with pytest.raises(ConfigError, match="llmops trust") as caught:
        load_from(outside(), None, {})
    assert caught.value.source == str(clone / name)
    assert caught.value.key == key
    assert "LLMOPS_CONFIG_FILE" in str(caught.value)
    trust_found(outside())
    load_from(outside(), None, {})


def test_found_file_may_choose_models_and_policies(clone: Path) -> None:
    (clone / "llmops.toml").write_text(HARMLESS)
    settings = load_from(outside(), None, {})
    assert (settings.model, settings.retry.attempts, settings.cache.exact) == ("smart", 4, True)
    assert settings.store.path == clone / "var/traces"


def test_each_key_is_allowed_checked_or_refused() -> None:
    known = {key.name for key in config.known_keys().values() if key.key_type in {"value", "table"}}
    ignored = {"options", "models.<name>.options"}
    judged = ALLOWED | REFUSED.keys() | CHECKED.keys()
    new = {name for name in known - ignored if rule_of(tuple(name.split("."))) not in judged}
    assert new == set(), "decide in llmops_sdk/config/loading/_trust.py whether an untrusted file may set these keys"


def test_retention_of_a_store_that_is_not_the_projects_is_refused(clone: Path, tmp_path: Path) -> None:
    (clone / "llmops.toml").write_text("[store]\nretention_days = 0.001\n")
    assert load_from(outside(), None, {}).store.retention_days == 0.001
    mine = {"LLMOPS_STORE__PATH": str(tmp_path / "mine")}
    with pytest.raises(ConfigError, match=r"store\.retention_days"):
        load_from(replace(outside(), environ=mine), None, {})
    with pytest.raises(ConfigError, match=r"store\.retention_days"):
        load_from(outside(), None, {"store": {"path": str(tmp_path / "mine")}})


def test_link_inside_the_project_does_not_lead_the_store_out(clone: Path, tmp_path: Path) -> None:
    (clone / "var").symlink_to(tmp_path)
    (clone / "llmops.toml").write_text("[store]\npath = 'var/traces'\n")
    with pytest.raises(ConfigError, match=r"store\.path"):
        load_from(outside(), None, {})


def test_named_file_has_full_rights(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    assert load_from(outside(), "llmops.toml", {}).export.endpoint == AWAY
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", "llmops.toml")
    assert load_from(outside(), None, {}).export.endpoint == AWAY


PROGRAM = "import llmops_sdk as llmops\nprint(llmops.settings().export.endpoint)\n"


@pytest.mark.parametrize(
    ("place", "allowed"),
    [("main.py", True), ("src/app/main.py", True), ("../tool.py", False), ("-c", False), ("link.py", False)],
)
def test_program_of_the_project_has_full_rights(clone: Path, place: str, allowed: bool) -> None:
    (clone / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    if place == "-c":
        arguments = ["-c", PROGRAM]
    else:
        path = clone / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if place == "link.py":
            (clone.parent / "elsewhere.py").write_text(PROGRAM)
            path.symlink_to(clone.parent / "elsewhere.py")
        else:
            path.write_text(PROGRAM)
        arguments = [str(path)]
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)
    if allowed:
        assert ran.stdout.strip() == AWAY, ran.stderr
    else:
        assert "ConfigError" in ran.stderr
        assert "llmops trust" in ran.stderr


def test_home_that_is_a_repository_does_not_own_what_is_cloned_into_it(tmp_path: Path) -> None:
    inner = tmp_path / "downloads" / "unpacked"
    inner.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (inner / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    process = replace(outside(), cwd=inner, home=tmp_path, program=tmp_path / "bin" / "tool")
    with pytest.raises(ConfigError, match="llmops trust"):
        load_from(process, None, {})


def test_changed_file_needs_trust_again(clone: Path) -> None:
    file = clone / "llmops.toml"
    file.write_text(HARMFUL["endpoint"][1])
    trust_found(outside())
    file.write_text("# a comment\n" + file.read_text())
    assert load_from(outside(), None, {}).export.endpoint == AWAY
    file.write_text(file.read_text() + "\ncontent = true\n")
    with pytest.raises(ConfigError, match="llmops trust"):
        load_from(outside(), None, {})
    trust_found(outside())
    assert load_from(outside(), None, {}).export.content
    assert _trust_list.revoke(outside(), file)
    with pytest.raises(ConfigError, match="llmops trust"):
        load_from(outside(), None, {})


def test_trust_holds_for_one_path(clone: Path, tmp_path: Path) -> None:
    (clone / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    trust_found(outside())
    other = tmp_path / "other"
    other.mkdir()
    (other / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    with pytest.raises(ConfigError, match="llmops trust"):
        load_from(replace(outside(), cwd=other), None, {})


def test_list_of_trusted_files_is_private(clone: Path) -> None:
    (clone / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    before = os.umask(0)
    try:
        trust_found(outside())
    finally:
        os.umask(before)
    path = _trust_list.list_file(outside())
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("harm", ["others may write", "damaged", "wrong types", "link"])
def test_list_that_others_could_have_written_is_refused(clone: Path, tmp_path: Path, harm: str) -> None:
    (clone / "llmops.toml").write_text(HARMFUL["endpoint"][1])
    trust_found(outside())
    path = _trust_list.list_file(outside())
    if harm == "others may write":
        path.chmod(0o622)
    elif harm == "link":
        path.rename(tmp_path / "real.json")
        path.symlink_to(tmp_path / "real.json")
    else:
        path.write_text("{" if harm == "damaged" else json.dumps({"a": 1}))
        path.chmod(0o600)
    with pytest.raises(ConfigError, match=str(path)):
        load_from(outside(), None, {})


def test_name_may_not_take_the_place_of_a_model(clone: Path) -> None:
    for name in ("openai/gpt-4.1", "https://api.example.com/v1#x"):
        with pytest.raises(ConfigError, match="Choose a name without a slash") as caught:
            config.load(models={name: {"model": "offline/echo"}})
        assert caught.value.key == f'models."{name}"'
    assert config.load(models={"openai/gpt-4.1": {"model": "openai/gpt-4.1", "options": {"seed": 1}}})


def make_foreign(path: Path) -> ProcessEnvironment:
    """Return an environment in which another user owns the path; change the owner if the tests may."""
    if os.geteuid() == 0:
        os.chown(path, 54321, -1)
        return outside()
    return replace(outside(), user=os.geteuid() + 1)


@pytest.mark.parametrize("marker", [".git", "pyproject.toml"])
def test_marker_of_another_user_is_not_the_projects_root(tmp_path: Path, marker: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = tmp_path / marker
    path.mkdir() if marker == ".git" else path.write_text("")
    process = replace(make_foreign(path), cwd=inner, home=tmp_path)
    assert find_files(process).folder == inner
    assert load_from(process, None, {}).store.path == inner / ".llmops"


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"a = " + b"[" * 100_000, "nested too deeply"), (b"#" * (16 * 1024 * 1024 + 1), "larger than 16 MB")],
    ids=["deep", "large"],
)
def test_hostile_file_is_a_config_error(clone: Path, content: bytes, part: str) -> None:
    (clone / "llmops.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=part):
        load_from(outside(), None, {})
    with pytest.raises(ConfigError, match=part):
        load_from(outside(), "llmops.toml", {})


def test_pipe_in_place_of_the_file_does_not_block(clone: Path) -> None:
    os.mkfifo(clone / "llmops.toml")
    assert load_from(outside(), None, {}).model == "offline/echo"
    with pytest.raises(ConfigError, match="it is not a file"):
        load_from(outside(), "llmops.toml", {})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpt-4.1", "openai/gpt-4.1"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("o3-mini", "openai/o3-mini"),
        ("rate", "rated"),
        ("nonsense", None),
    ],
)
def test_bare_model_name_suggests_its_provider(name: str, meant: str | None) -> None:
    settings = config.load(models={"rated": {"model": "offline/echo"}})
    with pytest.raises(ConfigError) as caught:
        config.resolve_model(settings, name)
    assert caught.value.nearest == meant
    if meant:
        end = "?" if "/" in meant else "."
        assert f"{meant!r}{end} It must be" in str(caught.value)
