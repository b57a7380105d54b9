"""Case 1: runs of a case on both sides of the threshold, in Python and under pytest."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk.evals import Score, scorer
from llmops_sdk.evals.stats import wilson_interval

CASES = [{"id": "unclear", "input": "unclear"}, {"id": "good", "input": "good"}, {"id": "bad", "input": "bad"}]


def scripted(scripts):
    """Return a scorer that gives the next value of the output's script, and the list of what was scored."""
    values = {name: iter(script) for name, script in scripts.items()}
    seen: list[str] = []

    @scorer(threshold=0.6)
    def quality(output):
        seen.append(output)
        return next(values[output])

    return quality, seen


def test_case_1_runs_around_the_threshold_are_undecided(store):
    quality, seen = scripted({"unclear": [0.62, 0.58, 0.61], "good": [0.9] * 3, "bad": [0.2] * 3})

    @llmops.eval_case(cases=CASES, scorers=[quality], repeats=3)
    def test_answer(text):
        return text

    verdicts = test_answer.run()
    unclear = verdicts["unclear"]
    assert unclear.outcome == "undecided"
    assert [run.values["quality"] for run in unclear.runs] == [0.62, 0.58, 0.61]
    assert unclear.pass_rate == pytest.approx(2 / 3)
    assert tuple(unclear.interval) == pytest.approx(tuple(wilson_interval(2, 3)))
    assert "2 of 3" in unclear.summary
    assert "0.58" in unclear.summary
    # Cases whose runs agree are not paid for three times.
    assert (verdicts["good"].outcome, verdicts["bad"].outcome) == ("pass", "fail")
    assert seen.count("good") < 3
    assert seen.count("bad") < 3


@pytest.mark.parametrize(
    ("values", "outcome"), [([0.62, 0.61, 0.63], "pass"), ([0.58, 0.61, 0.62], "undecided"), ([0.6, 0.6, 0.6], "pass")]
)
def test_case_1_the_order_of_the_runs_does_not_decide(store, values, outcome):
    quality, _ = scripted({"unclear": values})

    @llmops.eval_case(cases=CASES[:1], scorers=[quality], repeats=3)
    def test_answer(text):
        return text

    assert test_answer.run()["unclear"].outcome == outcome


def test_case_1_a_failed_scorer_is_no_pass_and_an_error_no_half(store):
    @scorer(threshold=0.6)
    def broken(output):
        raise RuntimeError("no verdict")

    @scorer
    def high(output):
        return Score(value=1.0, passed=True)

    @llmops.eval_case(cases=CASES[:1], scorers=[broken, high], repeats=3)
    def test_answer(text):
        return text

    verdict = test_answer.run()["unclear"]
    assert verdict.outcome != "pass"
    assert any("no verdict" in run.reason for run in verdict.runs)


TESTS = """
import json
import os
import pathlib

import llmops_sdk as llmops
from llmops_sdk.evals import scorer

SCRIPTS = {"unclear": [.62, .58, .61], "known": [.1, .1, .1], "good": [.9, .9, .9], "bad": [.2, .2, .2]}


@scorer(threshold=0.6)
def quality(output):
    with pathlib.Path("seen.txt").open("a") as file:
        file.write(output + "\\n")
    seen = pathlib.Path("seen.txt").read_text().split().count(output) - 1
    return SCRIPTS[output][seen % 3]


CASES = [{"id": name, "input": name} for name in os.environ["CASES"].split()]


@llmops.eval_case(cases=CASES, scorers=[quality], repeats=3)
def test_answer(text):
    return text
"""


@pytest.fixture
def tested(tmp_path: Path, python):
    (tmp_path / "test_prompts.py").write_text(TESTS, "utf-8")
    (tmp_path / "quarantined.txt").write_text("# known\ntest_prompts.py::test_answer[known]\n", "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nllmops_quarantine = quarantined.txt\n", "utf-8")

    def go(cases, *options):
        (tmp_path / "seen.txt").unlink(missing_ok=True)
        done = python(
            *(
                "-m",
                "pytest",
                "-q",
                "-rA",
                "-p",
                "no:cov",
                "-p",
                "no:asyncio",
                "-p",
                "no:xdist",
                "--junitxml=junit.xml",
            ),
            *options,
            folder=tmp_path,
            CASES=cases,
        )
        return done.returncode, done.stdout + done.stderr, (tmp_path / "seen.txt").read_text("utf-8").split()

    return go


@pytest.mark.thorough
def test_case_1_pytest_reports_flaky_cases_and_pays_stable_ones_once(tested, tmp_path):
    status, out, seen = tested("unclear known good", "--llmops-markdown=summary.md", "--llmops-save=results.json")

    assert status == 0, out
    assert "flaky" in out
    assert re.search(r"\b1 passed\b", out), out
    assert (seen.count("unclear"), seen.count("good")) == (3, 2)
    summary = (tmp_path / "summary.md").read_text("utf-8")
    assert "unclear" in summary
    assert "known" in summary
    junit = ET.parse(tmp_path / "junit.xml").getroot()
    assert sum(int(one.get("failures", 0)) + int(one.get("errors", 0)) for one in junit.iter("testsuite")) == 0
    assert {one.get("name") for one in junit.iter("testcase")} >= {
        f"test_answer[{name}]" for name in ("unclear", "known", "good")
    }

    # The stable case agrees with its history: it runs once. A real failure fails, and the run is strict if asked.
    status, out, seen = tested("unclear good bad", "--llmops-strict", "--llmops-gate=results.json")
    assert status == 1, out
    assert seen.count("good") == 1
    assert seen.count("bad") == 2
    assert "test_answer[bad]" in out
    assert re.search(r"\b1 passed\b", out), out
    failures = {line.split("]")[0].split("[")[1] for line in out.splitlines() if line.startswith(("FAILED", "ERROR"))}
    assert failures == {"unclear", "bad"}
