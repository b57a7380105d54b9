"""`llmops eval run`, `list`, `compare`, `gate` and `report`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

import llmops_sdk as llmops
from llmops_sdk.cli._examples import COMMANDS
from llmops_sdk.datasets import Dataset
from llmops_sdk.evals import Experiment, evaluate

ROWS = [{"id": f"i{number}", "input": f"question {number}", "expected": f"QUESTION {number}"} for number in range(12)]


@pytest.fixture
def project(own_surroundings, monkeypatch):
    """An application, its items, and a case file, in the current folder."""
    llmops.configure(model="offline/echo", store={"path": own_surroundings / "traces"})
    name = f"app_{own_surroundings.name.replace('-', '_')}"
    (own_surroundings / f"{name}.py").write_text(
        "import llmops_sdk as llmops\n"
        "def answer(text):\n    return llmops.chat(text.upper(), model='offline/echo').text\n"
        "def wrong(text):\n    return '\\x1b[31m' + text\n"
        "def crash(text):\n    raise ValueError('\\x1b[31mboom')\n",
        "utf-8",
    )
    Dataset.from_rows(ROWS).export(own_surroundings / "support.jsonl")
    (own_surroundings / "support.eval.yaml").write_text(
        f"task: {name}:answer\nscorers: [equals]\nfile: support.jsonl\n", "utf-8"
    )
    return name


def scores(ran):
    return {row["score"]: (row["n"], row["mean"], row["failed"]) for row in json.loads(ran.out)}


def test_a_case_file_runs_is_saved_listed_and_not_paid_for_twice(command, project):
    options = ("--save", "base.json", "--junit", "out.xml", "--markdown", "out.md", "--format", "json")
    ran = command("eval", "run", "support.eval.yaml", *options)
    assert (ran.status, scores(ran)) == (0, {"equals": (12, 1.0, 0)}), ran.err
    assert len(Experiment.from_dict(json.loads(Path("base.json").read_text("utf-8"))).results) == 12
    assert ElementTree.parse("out.xml").getroot().get("tests") == "12"
    again = command("eval", "run", "support.eval.yaml", "--gate", "base.json")
    assert (again.status, "12 reused" in again.err, "gate pass" in again.err) == (0, True, True)
    assert command("eval", "run", "support.eval.yaml", "--no-resume", "--repeats", "2").err.count("24 results") == 1
    listed = json.loads(command("eval", "list", "support", "--format", "json").out)
    assert [(row["name"], row["status"], row["items"], row["repeats"]) for row in listed] == [
        ("support", "completed", 12, 2), ("support", "completed", 12, 1)
    ]  # fmt: skip
    assert command("eval", "list", "other", "--format", "json").out.strip() == "[]"


def test_a_regression_fails_the_gate_and_the_cases(command, project):
    assert command("eval", "run", "support.eval.yaml", "--save", "base.json").status == 0
    options = ("--dataset", "support.jsonl", "--scorers", "equals,not_empty", "--gate", "base.json")
    ran = command("eval", "run", f"{project}:wrong", *options, "--junit", "out.xml", "--markdown", "out.md")
    assert ran.status == 1
    assert "gate fail" in ran.err
    assert "equals: fail, worse by 1" in ran.err
    root = ElementTree.parse("out.xml").getroot()
    assert [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None] == ["equals"]
    assert "**Gate FAILED**" in Path("out.md").read_text("utf-8")
    with_verdicts = command("eval", "run", f"{project}:wrong", *options[:4], "--threshold", "1")
    assert with_verdicts.status == 1
    assert "failed: i0: 0 of 1 runs passed (0.00 to 0.79)" in with_verdicts.err
    assert "(llmops show " in with_verdicts.err
    assert "\x1b" not in ran.err + ran.out + with_verdicts.err


def test_undecided_and_partial_runs_exit_with_2(command, project, own_surroundings):
    (own_surroundings / "flaky.py").write_text(
        "from itertools import count\nNUMBERS = count()\n"
        "def value(text):\n    return next(NUMBERS) % 2\n",
        "utf-8",
    )  # fmt: skip
    (own_surroundings / "flaky.eval.jsonl").write_text(
        '{"task": "flaky:value", "scorers": ["not_empty"], "repeats": 2}\n{"id": "one", "input": "x"}\n', "utf-8"
    )
    ran = command("eval", "run", "flaky.eval.jsonl", "--concurrency", "1")
    assert (ran.status, "undecided: one: 1 of 2 runs passed" in ran.err) == (2, True), ran.err
    (own_surroundings / "priced.py").write_text(
        "import llmops_sdk as llmops\n"
        "from llmops_sdk.testing import ScriptedProvider, use_provider\n"
        "def answer(text):\n"
        "    with use_provider(ScriptedProvider([llmops.Response(text='x', cost=0.25)])):\n"
        "        return llmops.chat(text, model='openai/gpt-x').text\n",
        "utf-8",
    )
    options = ("--dataset", "support.jsonl", "--scorers", "not_empty", "--concurrency", "1")
    ran = command("eval", "run", "priced:answer", *options, "--budget", "0.6")
    assert (ran.status, "stopped (budget)" in ran.err, "10 not run" in ran.err) == (2, True, True), ran.err


def test_a_task_that_always_fails_is_a_failure(command, project):
    ran = command("eval", "run", f"{project}:crash", "--dataset", "support.jsonl", "--scorers", "equals")
    assert (ran.status, "12 failed" in ran.err) == (1, True)
    assert "\x1b" not in ran.err


def test_names_of_saved_data_sets_and_of_another_store(command, project, tmp_path):
    Dataset.from_rows(ROWS).save("support", path=tmp_path / "other")
    options = ("--dataset", "support", "--scorers", "regex:^[A-Z0-9, ]+$", "--store", tmp_path / "other")
    ran = command("eval", "run", f"{project}:answer", *options, "--name", "mine", "--format", "json")
    assert (ran.status, scores(ran)) == (0, {"regex:^[A-Z0-9, ]+$": (12, 1.0, 0)}), ran.err
    assert '"mine"' in command("eval", "list", "--format", "json", "--store", tmp_path / "other").out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere.eval.yaml"], 1, "no such file"),
        (["nowhere:f", "--dataset", "support.jsonl"], 1, 'no module "nowhere"'),
        (["answer"], 2, "name the items with --dataset"),
        (["answer", "--dataset", "support.jsonl"], 1, "module:function"),
        (["support.eval.yaml", "--dataset", "x"], 2, "leave out --dataset"),
        (["support.eval.yaml", "--threshold", "nan"], 1, "threshold is nan"),
        (["support.eval.yaml", "--repeats", "0"], 1, "repeats = 0"),
        (["support.eval.yaml", "--gate", "nowhere.json"], 1, "nowhere.json cannot be read"),
        (["support.eval.yaml", "--gate", "nowhere"], 1, "no experiment 'nowhere'"),
        (["support.eval.yaml", "--save", "no/such/folder.json"], 2, "there is no folder no/such"),
    ],
)
def test_wrong_arguments_are_one_line(command, project, arguments, status, message):
    ran = command("eval", "run", *arguments)
    assert (ran.status, message in " ".join(ran.err.split())) == (status, True), ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "line", [line for name in COMMANDS if name.startswith("eval ") for line in COMMANDS[name]]
)  # fmt: skip
def test_help_examples_run(command, project, line):
    saved = evaluate(str.upper, Dataset.from_rows(ROWS), ["equals"], name="shouting", progress=False)
    for name in ("baseline", "before", "after"):
        Path(f"{name}.json").write_text(json.dumps({**saved.to_dict(), "name": name}), "utf-8")
    program, *arguments = shlex.split(line.replace("app:", f"{project}:").replace(" --slice topic", ""))
    assert program == "llmops"
    ran = command(*arguments)
    # A margin that a dozen items cannot rule out is undecided.
    assert ran.status in ({0, 2} if "non_inferiority" in line else {0}), ran.err
