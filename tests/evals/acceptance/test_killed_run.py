"""Case 7: a run that SIGKILL ended at 60 % goes on, and pays for nothing twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from thorough_cases import thorough

import llmops_sdk as llmops

PROGRAM = Path(__file__).with_name("killed_program.py")


@pytest.mark.parametrize(
    ("items", "concurrency"),
    [
        (200, 1),
        thorough(200, 8),
        pytest.param(1000, 8, marks=[pytest.mark.thorough, pytest.mark.timeout(600)]),
    ],
)
def test_case_7_a_killed_run_pays_for_each_item_once(tmp_path, python, counted, items, concurrency):
    die_at = items * 6 // 10 + 1
    killed = python(PROGRAM, items, concurrency, die_at, folder=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = counted(tmp_path / "calls.txt")
    assert sum(name.startswith("task") for name in before) == die_at - 1

    first = python(PROGRAM, items, concurrency, 0, folder=tmp_path)
    second = python(PROGRAM, items, concurrency, 0, folder=tmp_path)
    assert [first.returncode, second.returncode] == [0, 0], first.stderr + second.stderr
    rows = [json.loads(one.stdout) for one in (first, second)]
    calls = counted(tmp_path / "calls.txt")
    tasks = {name: count for name, count in calls.items() if name.startswith("task")}
    judged = {name: count for name, count in calls.items() if name.startswith("judge")}

    # What was in flight when the process died may be paid again: nothing with one item at a time.
    assert len(tasks) == len(judged) == items
    assert items <= sum(tasks.values()) <= items + concurrency - 1
    retried = items // 20
    assert items + retried <= sum(judged.values()) <= items + retried + concurrency - 1
    assert all(judged[f"judge {number}"] >= 2 for number in range(0, items, 20))
    # The run that went on asked anew about those that had failed before; the next one about the rest.
    assert rows[0]["n"] + rows[0]["failed"] == items
    assert rows[0]["mean"] == 1.0
    assert [rows[1]["n"], rows[1]["failed"]] == [items, 0]
    assert rows[1]["counts"]["reused"] == items

    llmops.configure(store={"path": tmp_path / "store"}, model="offline/echo")
    sql = "SELECT count(*), count(DISTINCT item_id) FROM experiment_items i JOIN experiments e USING (experiment_id)"
    latest = "(SELECT experiment_id FROM experiments ORDER BY start_time DESC LIMIT 1)"
    assert llmops.query(f"{sql} WHERE experiment_id = {latest}").rows() == [(items, items)]
