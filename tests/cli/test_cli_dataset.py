"""`llmops dataset`, and what `llmops prune` says about data sets."""

from __future__ import annotations

import csv
import io
import json
import shlex

import pytest

from llmops_sdk.cli._examples import COMMANDS
from llmops_sdk.datasets import Dataset, versions


@pytest.fixture
def support(tmp_path, store):
    """Save two versions of a data set, and write it to a file."""
    rows = [{"id": n, "input": f"question {n}", "expected": "=1+1\x1b[31m", "topic": "x"} for n in range(10)]
    Dataset.from_rows(rows[:9]).save("support")
    dataset = Dataset.from_rows(rows).save("support")
    dataset.export(tmp_path / "support.jsonl")
    return dataset


def test_create_from_file_stdin_and_sql(command, store, support, tmp_path, monkeypatch):
    ran = command("dataset", "create", "copy", "--file", tmp_path / "support.jsonl", "--format", "json")
    assert json.loads(ran.out) == [{"name": "copy", "version": support.version, "items": 10}]
    text = "question,answer,key\n2 + 2,4,a\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ran = command(
        "dataset", "create", "sums", "--file", "-", "--file-format", "csv", "--input", "question",
        "--expected", "answer", "--id", "key",
    )  # fmt: skip
    assert ran.out.splitlines()[-1].split()[::2] == ["sums", "1"]
    assert Dataset.load("sums").items[0].expected == "4"
    sql = "SELECT trace_id, input, output AS expected FROM llm_calls"
    ran = command("dataset", "create", "calls", "--sql", sql, "--store", store, "--format", "csv")
    assert ran.status == 0, ran.err
    assert {item.metadata.get("user_id") for item in Dataset.load("calls")} == {"ada", "bob"}
    monkeypatch.setattr("sys.stdin", io.StringIO(sql))
    assert command("dataset", "create", "calls", "--sql", "-").status == 0
    assert len(versions("calls")) == 1


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_lists_show_hostile_text_safely(command, support, form):
    listed = command("dataset", "list", "--format", form)
    assert support.version[:12] in listed.out
    assert len(json.loads(command("dataset", "list", "support", "--format", "json").out)) == 2
    shown = command("dataset", "show", "support", "--limit", "3", "--format", form)
    assert "\x1b" not in shown.out
    assert shown.err == "7 more rows; --limit 0 shows all\n"
    if form == "csv":
        assert [row["expected"][:5] for row in csv.DictReader(io.StringIO(shown.out))] == ["'=1+1"] * 3


def test_diff_of_the_last_two_versions_and_of_two_data_sets(command, support):
    ran = command("dataset", "diff", "support", "--format", "json")
    assert [row["change"] for row in json.loads(ran.out)] == ["added"]
    assert ran.err == "1 added, 0 removed, 0 changed, 9 unchanged\n"
    support.filter(lambda item: item.id != "0").save("other")
    assert "0 added, 1 removed" in command("dataset", "diff", f"support@{support.version[:8]}", "other").err
    assert command("dataset", "diff", "other").status == 2


def test_split_and_export(command, support, tmp_path):
    ran = command(
        "dataset", "split", "support", "--share", "a=0.5", "--share", "b=0.5", "--by", "user", "--format", "json"
    )
    parts = json.loads(ran.out)
    assert [part["name"] for part in parts] == ["support-a", "support-b"]
    assert sum(part["items"] for part in parts) == 10
    assert command("dataset", "split", "support").status == 0
    for arguments in (["--share", "a"], ["--share", "a=2"]):
        assert command("dataset", "split", "support", *arguments).status == 2
    file = tmp_path / "out.csv"
    ran = command("dataset", "export", "support", file, "--omit", "topic")
    assert "10 items of support@" in ran.err
    assert dict(Dataset.from_file(file).items[0].metadata) == {}
    assert command("dataset", "export", "support", file).status == 1
    assert command("dataset", "export", "support", file, "--force").status == 0
    assert command("dataset", "export", "support", tmp_path / "hf", "--file-format", "huggingface").status == 0
    assert command("dataset", "export", "support", tmp_path / "x", "--file-format", "xml").status == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["show", "suport"], 1, "the nearest is support"),
        (["show", "support@ffffff0"], 1, "has no version"),
        (["show", "../x"], 1, "is not a name"),
        (["create", "x"], 2, "one of --file and --sql"),
        (["create", "x", "--file", "missing.jsonl"], 1, "cannot be read"),
        (["create", "x", "--sql", "DROP VIEW spans"], 1, "only reads"),
        (["delete", "support"], 2, "--yes"),
    ],
)
def test_mistakes_are_one_line(command, support, arguments, status, words):
    ran = command("dataset", *arguments)
    assert ran.status == status
    assert words in " ".join(ran.err.split())
    assert ran.out == ""
    assert status == 2 or len(ran.err.splitlines()) == 1


def test_delete_removes_one_version(command, support):
    assert command("dataset", "delete", "support", "--yes").status == 0
    assert [one.items for one in versions()] == [9]


def test_prune_says_how_many_items_it_erased(command, store):
    command("dataset", "create", "calls", "--sql", "SELECT trace_id, input FROM llm_calls", "--store", store)
    ran = command("prune", "--user", "ada", "--yes", "--store", store)
    assert "2 items of data sets" in ran.err
    assert "1 more items were erased" not in ran.err
    shown = command("dataset", "show", "calls", "--store", store)
    assert "2 more items were erased by llmops prune" in shown.err


@pytest.mark.parametrize("line", [line for name in COMMANDS if name.startswith("dataset ") for line in COMMANDS[name]])
def test_help_examples_run(command, store, support, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(line)
    assert program == "llmops"
    ran = command(*arguments, "--store", store)
    assert (ran.status, ran.err.startswith("llmops:")) == (0, False), ran.err
