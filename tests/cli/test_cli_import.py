"""`llmops import`."""

from __future__ import annotations

import os
import pty
import shlex

import pytest

from llmops_sdk.cli._examples import COMMANDS


def test_import_takes_files_and_says_what_came_of_each(command, store, tmp_path):
    for name in ("a.parquet", "b.json"):
        assert command("export", str(tmp_path / name), "--store", str(store)).status == 0
    scores = tmp_path / "s.jsonl"
    assert command("export", str(scores), "--what", "scores", "--store", str(store)).status == 0
    other = str(tmp_path / "other")
    files = [str(tmp_path / name) for name in ("a.parquet", "b.json", "s.jsonl")]
    dry = command("import", *files, "--store", other, "--dry-run")
    assert (dry.status, "would be imported: 5 spans" in dry.err, (tmp_path / "other").exists()) == (0, True, False)
    ran = command("import", *files, "--store", other)
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        f"{files[0]} (parquet): imported: 5 spans",
        f"{files[1]} (otlp): imported: nothing new, 5 already in the store (--force imports them again)",
        f"{files[2]} (jsonl): imported: nothing new",
    ]
    assert command("import", files[0], "--force", "--store", other).err.endswith("imported: 5 spans\n")
    assert command("sql", "SELECT count(*) AS n FROM spans", "--store", other, "--format", "csv").out == "n\n10\n"


def test_the_examples_of_the_help_run(command, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, form in (("week.parquet", "parquet"), ("spans.jsonl", "jsonl"), ("traces.json.gz", "otlp")):
        assert command("export", name, "--format", form, "--store", str(store)).status == 0
    for line in COMMANDS["import"]:
        ran = command(*shlex.split(line)[1:], "--store", str(tmp_path / "new"))
        assert (ran.status, "imported: " in ran.err) == (0, True)


def test_a_file_that_cannot_be_imported_is_one_line_and_status_1(command, tmp_path):
    (tmp_path / "a.jsonl").write_text("{\n")
    ran = command("import", str(tmp_path / "a.jsonl"), "--store", str(tmp_path / "new"))
    assert (ran.status, len(ran.err.splitlines())) == (1, 1)
    assert ran.err.startswith(f"llmops: {tmp_path / 'a.jsonl'}, line 1: no JSON")
    assert command("import", str(tmp_path / "none.csv"), "--store", str(tmp_path / "new")).status == 1


@pytest.mark.parametrize("arguments", [[], ["a.txt"], ["a.txt", "--format", "xml"]])
def test_a_wrong_usage_is_status_2(command, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert command("import", *arguments, "--store", str(tmp_path / "new")).status == 2


def test_import_clears_its_progress_on_a_terminal(llmops_process, command, store, tmp_path):
    command("export", str(tmp_path / "a.jsonl"), "--store", str(store))
    parent, child = pty.openpty()
    arguments = ("import", str(tmp_path / "a.jsonl"), "--store", str(tmp_path / "new"))
    with llmops_process(*arguments, stderr=child) as process:
        os.close(child)
        assert process.wait(60) == 0
    told = os.read(parent, 65536).decode()
    os.close(parent)
    assert "5 read (100 %)" in told
    assert told.rsplit("\x1b[K", 1)[1].endswith("imported: 5 spans\r\n")
