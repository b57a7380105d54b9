"""`llmops trust`, and the commands in a project that nobody has trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk import config

TEXT = (
    '[store]\npath = "traces"\n[export]\nendpoint = "http://127.0.0.1:9"\ncontent = true\nheaders = { x-a = "hush" }\n'
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    llmops.configure(store={"path": folder / "traces"}, model="offline/echo")
    with llmops.span("checkout"):
        pass
    llmops.shutdown()
    config.reset()
    (folder / "llmops.toml").write_text(TEXT)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("arguments", [("traces",), ("sql", "SELECT name FROM spans"), ("stats",), ("compact",)])
def test_commands_read_the_store_of_a_project_without_trust(command, project: Path, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert ran.status == 0, ran.err
    if arguments[0] in {"traces", "sql"}:
        assert "checkout" in ran.out


def test_a_store_outside_the_project_needs_trust(command, project: Path) -> None:
    (project / "llmops.toml").write_text('[store]\npath = "../elsewhere"\n')
    ran = command("traces")
    assert ran.status == 1
    assert "llmops trust" in ran.err
    assert "store.path" in ran.err


def test_a_report_says_that_objectives_are_left_out(command, project: Path) -> None:
    (project / "llmops.toml").write_text('[store]\npath = "traces"\n[slo.answers]\nobjective = 0.99\n')
    ran = command("report")
    assert ran.status == 0
    assert "are left out: read the file, and run `llmops trust`" in ran.err
    assert command("trust").status == 0
    assert command("report").err == ""


def test_replay_sends_nothing_without_trust(command, project: Path) -> None:
    ran = command("replay")
    assert ran.status == 1
    assert "export.endpoint" in ran.err
    assert "llmops trust" in ran.err


def test_trust_list_and_revoke(command, project: Path) -> None:
    ran = command("trust")
    assert ran.status == 0
    assert "export.endpoint = 'http://127.0.0.1:9' decides where data goes" in ran.out
    assert "hush" not in ran.out
    assert command("trust", "--list").out == f"{project / 'llmops.toml'}\n"
    assert "needs your trust" not in command("replay").err
    assert command("trust", "--revoke").status == 0
    assert command("trust", "--list").out == ""
    assert command("trust", "--revoke", "llmops.toml").status == 1
    assert command("trust", "llmops.toml").status == 0
    assert command("trust", "--list").out == f"{project / 'llmops.toml'}\n"


def test_trust_without_a_file_says_so(command, project: Path) -> None:
    (project / "llmops.toml").unlink()
    ran = command("trust")
    assert ran.status == 1
    assert "no llmops.toml" in ran.err
    assert command("trust", "missing.toml").status == 1
    assert command("trust", "--list", "--revoke").status == 2


def test_doctor_shows_the_state_of_trust(command, project: Path) -> None:
    def states() -> dict[str, str]:
        rows = json.loads(command("doctor", "--format", "json").out)
        return {row["value"]: row["state"] for row in rows if row["what"] in {"trust", "not trusted"}}

    found = states()
    assert set(found.values()) == {"note"}
    assert any(str(project) in value and "llmops trust" in value for value in found)
    assert any("export.endpoint" in value for value in found)
    command("trust")
    assert states() == {"trusted with `llmops trust`": "ok"}
    (project / "llmops.toml").write_text("[retry]\nattempts = 2\n")
    assert states() == {"not needed: it sets models and policies only": "ok"}
