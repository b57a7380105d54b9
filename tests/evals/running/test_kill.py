"""A run that is killed or interrupted goes on where it was, and pays for no answer twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from thorough_cases import thorough

import llmops_sdk as llmops
from llmops_sdk.evals import Experiment

PROGRAM = Path(__file__).with_name("resumed_program.py")
CONCURRENCY = 8


def start(items, log, *, fails):
    command = [sys.executable, str(PROGRAM), str(items), str(log), "1" if fails else "0"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def asked(log):
    return [line for line in log.read_text().splitlines() if line.startswith("ask")] if log.exists() else []


def stop_at(running, log, count, how):
    """Send a signal to a program when it has made a number of calls."""
    while len(asked(log)) < count:
        assert running.poll() is None, running.stderr.read()
    running.send_signal(how)
    return running.communicate(timeout=60)


def finish(items, log):
    running = start(items, log, fails=False)
    out, err = running.communicate(timeout=110)
    assert running.returncode == 0, err
    return json.loads(out)


@pytest.mark.thorough
@pytest.mark.parametrize("items", [200, thorough(1_000)])
def test_a_run_that_is_killed_at_60_percent_pays_only_for_what_was_lost(tmp_path, items):
    log = tmp_path / "calls.log"
    running = start(items, log, fails=True)
    stop_at(running, log, items * 6 // 10, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    [(status,)] = llmops.query("SELECT status FROM experiments").rows()
    failed = llmops.query("SELECT count(*) FROM experiment_scores WHERE status = 'error'").scalar()
    stored = llmops.query("SELECT count(*) FROM experiment_items WHERE status = 'ok'").scalar()
    before = len(asked(log))
    assert status == "running"
    assert failed > 0
    # An answer is in the store before its slot goes on, so only those in flight are lost.
    assert before - CONCURRENCY <= stored <= before

    done = finish(items, log)
    assert (done["status"], done["ok"], done["n"], done["failed"]) == ("completed", items, items, 0)
    assert done["reused"] > 0
    calls = Counter(log.read_text().splitlines())
    tasks = Counter({text: count for text, count in calls.items() if text.startswith("ask")})
    judges = Counter({text: count for text, count in calls.items() if text.startswith("judge")})
    assert len(tasks) == len(judges) == items
    assert tasks.total() == items + (before - stored)
    assert max(tasks.values()) <= 2
    assert failed <= judges.total() - items <= failed + CONCURRENCY

    # A finished experiment pays nothing, also in a new process.
    again = finish(items, log)
    assert (again["id"], again["reused"], again["status"]) == (done["id"], items, "completed")
    assert sum(Counter(log.read_text().splitlines()).values()) == calls.total()


def test_ctrl_c_leaves_an_experiment_to_go_on_with(tmp_path):
    log = tmp_path / "calls.log"
    running = start(200, log, fails=False)
    _, err = stop_at(running, log, 60, signal.SIGINT)
    assert "KeyboardInterrupt" in err
    found = Experiment.load("killed")
    assert (found.status, found.reason) == ("stopped", "interrupted")
    assert "results are missing" in found.warnings[0]
    before = len(asked(log))
    assert before < 200
    done = finish(200, log)
    assert (done["status"], done["ok"], done["id"]) == ("completed", 200, found.id)
    # Items in flight had time to end, so nothing was paid twice.
    assert len(asked(log)) == 200
