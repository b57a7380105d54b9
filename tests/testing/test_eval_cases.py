"""Cases of evaluations in a user's pytest, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import llmops_sdk as llmops
from llmops_sdk.datasets import Dataset
from llmops_sdk.evals import Experiment

# The values that the case `flaky` gets, run by run, are those of the first hard case of the evaluation.
PROGRAM = """
import json, os, pathlib
import pytest
import llmops_sdk as llmops

CALLS = pathlib.Path("calls.txt")

def called(name):
    with CALLS.open("a") as file:
        file.write(name + "\\n")
    return CALLS.read_text().split().count(name) - 1

@pytest.fixture
def prefix(tmp_path):
    return "> "

ROWS = [{"id": name, "input": {"name": name}, "expected": "> " + name.upper()} for name in ("good", "bad")]

@llmops.eval_case(cases=ROWS, scorers=["equals"], repeats=3)
async def test_shout(name, prefix):
    called(name)
    text = llmops.chat(name.upper(), model="offline/echo").text
    return prefix + (text if name == "good" else "\\x1b[31m" + os.environ.get("WORD", "wrong"))

@llmops.eval_case(cases=[{"id": "flaky", "input": "flaky"}], scorers=[lambda output: output], threshold=0.6, repeats=3)
def test_values(name):
    return [0.62, 0.58, 0.61][called(name) % 3]

class TestMethods:
    @llmops.eval_case(cases=[{"id": "one", "input": 1}, {"id": "skipped", "input": 0}])
    @pytest.mark.parametrize("factor", [2, 3])
    def test_asserts(self, number, factor):
        if not number:
            pytest.skip("zero")
        assert isinstance(self, TestMethods)
        assert number * factor == 2, "not two"

def test_plain():
    assert True
"""
FILE = """
task: app:shout
scorers: [equals]
items:
  - {id: same, input: "no", expected: NO}
"""
# Without the other plugins of this environment, which take longer than the tests.
ENVIRONMENT = {"PYTHONPATH": str(Path(llmops.__file__).parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLAIN = ("-q", "-W", "error", "-p", "llmops_sdk.testing._plugin")
WORKERS = ("-p", "xdist.plugin", "-n", "2")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_cases.py").write_text(PROGRAM, "utf-8")
    (tmp_path / "app.py").write_text("def shout(text):\n    return text.upper()\n", "utf-8")
    (tmp_path / "shout.eval.yaml").write_text(FILE, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nllmops_quarantine = quarantine.txt\n", "utf-8")
    return tmp_path


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("COV", "LLMOPS_", "PYTEST", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *PLAIN, *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, **ENVIRONMENT, **variables},
        timeout=100,
        check=False,
    )


def calls(folder: Path) -> dict[str, int]:
    made = (folder / "calls.txt").read_text("utf-8").split()
    (folder / "calls.txt").unlink()
    return {name: made.count(name) for name in dict.fromkeys(made)}


FLAKY = "test_cases.py::test_values[flaky]"


def test_verdicts_reports_history_and_quarantine(project: Path):
    first = run(project, "--junit-xml", "junit.xml", "--llmops-save", "base.json", "--llmops-markdown", "summary.md")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "2 failed, 4 passed, 2 skipped, 1 flaky" in first.stdout
    assert calls(project) == {"good": 2, "bad": 2, "flaky": 3}

    # The report of a failing case.
    for line in (
        "failed   0 of 2 runs passed",
        "expected > BAD",
        "output   > ␛[31mwrong",
        "score    equals 0",
        "trace    llmops show ",
        'set llmops_store = "project"',
        "E       AssertionError: not two",
    ):
        assert line in first.stdout, line
    assert "\x1b" not in first.stdout
    assert f"flaky        {FLAKY}: 2 of 3 runs passed (0.21 to 0.94). <lambda> 0.62, 0.58, 0.61" in first.stdout
    assert f"put these lines into quarantine.txt:\n{FLAKY}\n" in first.stdout
    properties = {
        case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in ElementTree.parse(project / "junit.xml").iter("testcase")
    }
    assert properties["test_values[flaky]"] == {"llmops_outcome": "undecided", "llmops_pass_rate": "0.6667"}
    saved = Experiment.from_dict(json.loads((project / "base.json").read_text("utf-8")))
    rows = {row["scorer"]: (row["n"], row["failed"]) for row in saved.summary()}
    assert rows == {"equals": (5, 0), "<lambda>": (3, 0), "case_passed": (10, 0)}
    summary = (project / "summary.md").read_text("utf-8")
    assert "| equals | 5 | 0.667 |" in summary
    assert "- flaky: test\\_cases.py::test\\_values\\[flaky\\]: 2 of 3" in summary

    # Stable cases are known now, and cost one run. The flaky one runs again as often as allowed.
    (project / "quarantine.txt").write_text(f"# known\n\n{FLAKY}\n", "utf-8")
    second = run(project, "-k", "not asserts and not bad", "--llmops-strict", *WORKERS)
    assert second.returncode == 0, second.stdout + second.stderr
    assert calls(project) == {"good": 1, "flaky": 3}
    assert f"quarantined  {FLAKY}: 2 of 3" in second.stdout
    assert "1 quarantined" in second.stdout

    (project / "quarantine.txt").unlink()
    strict = run(project, "-k", "values or bad", "--llmops-strict", "--lf")
    assert "1 failed" in strict.stdout
    assert calls(project) == {"bad": 1}
    strict = run(project, "-k", "values", "--llmops-strict")
    assert strict.returncode == 1
    assert "flaky    2 of 3 runs passed" in strict.stdout


@pytest.mark.thorough
def test_a_gate_fails_the_run_on_a_regression_and_tells_what_it_cannot_decide(tmp_path: Path):
    (tmp_path / "app.py").write_text("import os\ndef answer(text):\n    return os.environ['WORD']\n", "utf-8")
    items = "\n".join(f"  - {{id: i{number}, input: x, expected: right}}" for number in range(30))
    (tmp_path / "many.eval.yaml").write_text(
        f"task: app:answer\nscorers: [contains]\nthreshold: 0\nitems:\n{items}", "utf-8"
    )
    saved = run(tmp_path, "--llmops-save", "base.json", WORD="right")
    assert saved.returncode == 0, saved.stdout + saved.stderr
    same = run(tmp_path, "--llmops-gate", "base.json", *WORKERS, WORD="right")
    assert same.returncode == 0, same.stdout + same.stderr
    assert "gate against pytest/" in same.stdout
    assert "contains: pass, no loss beyond chance" in same.stdout
    (tmp_path / "test_other.py").write_text("def test_other(): assert False\n", "utf-8")
    other = run(tmp_path, "--llmops-gate", "base.json", WORD="right")
    assert other.returncode == 1
    assert "the run fails all the same, by tests that failed or had an error" in other.stdout
    (tmp_path / "test_other.py").unlink()
    worse = run(tmp_path, "--llmops-gate", "base.json", "--llmops-markdown", "gate.md", WORD="wrong")
    assert worse.returncode == 1, worse.stdout
    assert "30 passed" in worse.stdout
    assert "contains: fail, worse by 1" in worse.stdout
    assert "**Gate FAILED**" in (tmp_path / "gate.md").read_text("utf-8")
    missing = run(tmp_path, "--llmops-gate", "nowhere.json")
    assert (missing.returncode, "there is no file" in missing.stderr) == (4, True)


CASE = "import llmops_sdk as llmops\n@llmops.eval_case({})\ndef test_it(text): return text\n"
WRONG = {
    "test_scorer.py": (CASE.format("cases=['a'], scorers=['exact_mach']"), "exact_mach"),
    "test_dataset.py": (CASE.format("dataset='nowhere'"), "nowhere"),
    "wrong.eval.yaml": ("task: app:shout\nitms: []\n", "the key 'itms' is unknown; did you mean 'items'"),
    "bomb.eval.yaml": ("task: &a [*a]", "contains itself"),
}


def test_what_is_wrong_with_a_case_is_an_error_of_the_collection(tmp_path: Path):
    for name, (text, _) in WRONG.items():
        (tmp_path / name).write_text(text, "utf-8")
    done = run(tmp_path, "--tb=short")
    assert done.returncode == 2
    assert f"{len(WRONG)} errors" in done.stdout
    for _, message in WRONG.values():
        assert message in done.stdout
    assert "Traceback" not in done.stdout


def test_data_sets_and_baselines_of_the_projects_store_are_found(tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text("[tool.llmops]\nstore = { path = 'traces' }\n", "utf-8")
    Dataset.from_rows([{"id": "1", "input": "a", "expected": "A"}]).save("letters", path=tmp_path / "traces")
    (tmp_path / "test_it.py").write_text(
        "import llmops_sdk as llmops\n\n"
        "@llmops.eval_case(dataset='letters', scorers=['equals'])\ndef test_it(text): return text.upper()\n\n"
        "def test_store(): assert 'llmops-tests-' in str(llmops.settings().store.path)\n",
        "utf-8",
    )
    done = run(tmp_path, "--llmops-gate", "nowhere")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "has no experiment 'nowhere'" in done.stdout
    assert done.returncode == 1
    assert not list((tmp_path / "traces").glob("wal/*"))
