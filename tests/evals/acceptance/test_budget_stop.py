"""Case 10: a budget that ends in the middle of a run."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.evals import Experiment, evaluate, gate, scorer
from llmops_sdk.testing import use_provider

TASK = """
import llmops_sdk as llmops
from llmops_sdk.testing import ScriptedProvider, use_provider

block = use_provider(ScriptedProvider([lambda request: llmops.Response(text="right", cost=0.01)], repeat=True))
block.__enter__()


def ask(text):
    return llmops.chat(text).text
"""


@scorer
def right(output, expected):
    return output == expected


def ask(text):
    return llmops.chat(text).text


def rows(count):
    draw = random.Random(1)
    return [
        {"id": f"q{n}", "input": f"{n}", "expected": "right" if draw.random() < 0.7 else "other"} for n in range(count)
    ]


def costly(prompt):
    return llmops.Response(text="right", cost=0.01)


def width(row):
    return row["interval"][1] - row["interval"][0]


@pytest.mark.parametrize("concurrency", [8, thorough(1)])
def test_case_10_a_budget_stops_the_run_with_a_partial_estimate(store, counting, concurrency):
    more = {"progress": False, "concurrency": concurrency}
    with use_provider(counting(costly)) as provider:
        partial = evaluate(ask, rows(200), right, name="series", budget=0.5, **more)
        assert provider.taken() == pytest.approx(50, abs=1)
        assert partial.cost <= 0.5 + 1e-9
        assert (partial.status, partial.reason) == ("stopped", "budget")
        assert Experiment.load(partial.id).reason == "budget"
        (row,) = partial.summary()
        assert row["n"] + row["not_run"] == 200
        assert row["failed"] == 0
        assert 0.4 < row["mean"] < 1.0
        low, high = row["worst_case"]
        assert low < row["mean"] < high
        assert high - low == pytest.approx(row["not_run"] / 200)
        # What was done is spread over the data set.
        done = [number for number, one in enumerate(partial.results) if one.status == "ok"]
        assert max(done) > 150

        whole = evaluate(ask, rows(200), right, name="series", budget=5.0, **more)
        assert provider.taken() == row["not_run"]
        assert whole.status == "completed"
        assert whole.cost == pytest.approx(0.01 * row["not_run"])
        assert width(row) > width(whole.summary()[0])


def test_case_10_the_commands_exit_with_2(store, python, tmp_path: Path):
    (tmp_path / "task.py").write_text(TASK, "utf-8")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(60)), "utf-8")
    options = ["--dataset", "rows.jsonl", "--scorers", "equals", "--name", "series", "--store", "traces"]
    done = python(
        *("-m", "llmops_sdk", "eval", "run", "task:ask", *options, "--budget", "0.2", "--save", "partial.json"),
        *("--markdown", "partial.md", "--junit", "partial.xml", "--format", "json"),
        folder=tmp_path,
        LLMOPS_MODEL="offline/echo",
    )

    assert done.returncode == 2, done.stdout + done.stderr
    assert "budget" in done.stdout + done.stderr
    assert "budget" in (tmp_path / "partial.md").read_text("utf-8")
    assert (tmp_path / "partial.xml").is_file()
    partial = Experiment.from_dict(json.loads((tmp_path / "partial.json").read_text("utf-8")))
    assert partial.counts["ok"] == 20
    assert partial.summary()[0]["not_run"] == 40


def test_case_10_an_unfinished_change_does_not_pass_a_gate_by_what_it_skipped(store, counting):
    with use_provider(counting(costly)):
        before = evaluate(ask, rows(60), right, name="before", progress=False)
        after = evaluate(ask, rows(60), right, name="after", budget=0.1, resume=False, progress=False)
    comparison = before.compare(after)
    row = comparison.row("right")

    assert row.n == after.counts["ok"] == 10
    assert row.interval is not None
    assert any("budget" in warning or "stopped" in warning for warning in comparison.warnings)
    assert gate(comparison, rule="non_inferiority", margin=0.02).outcome != "fail"


def test_case_10_a_budget_for_no_call_runs_nothing_or_one(store, counting):
    with use_provider(counting(costly)) as provider:
        run = evaluate(ask, rows(20), right, name="tiny", budget=0.001, progress=False)
        assert provider.taken() <= 1
    (row,) = run.summary()
    assert run.status == "stopped"
    assert row["not_run"] >= 19
    assert row["mean"] is None or row["n"] == 1
    json.dumps(run.to_dict(), allow_nan=False)


def test_case_10_reused_results_are_free(store, counting):
    with use_provider(counting(costly)) as provider:
        evaluate(ask, rows(30), right, name="series", progress=False)
        provider.taken()
        again = evaluate(ask, rows(30), right, name="series", budget=0.005, progress=False)
        assert provider.taken() == 0
    assert again.status == "completed"
    assert again.cost == 0
