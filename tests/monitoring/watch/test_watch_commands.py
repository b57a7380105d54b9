"""`llmops watch` and `llmops alerts`, the watcher in this process, and the jobs beside the rules."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from watched_store import START, Calls, FileQueue, Turned, fill, settings_of

from llmops_sdk import config, monitoring
from llmops_sdk.cli._app import run
from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring.watch._jobs import Job, Jobs
from llmops_sdk.monitoring.watch._watcher import Watcher
from llmops_sdk.store import query
from llmops_sdk.store._online_lock import watch_lock

CONFIGURATION = """
[store]
path = "store"

[[alerts]]
name = "errs"
metric = "errors"
threshold = 0.2
window = "10m"

[slo.answers]
objective = 0.9
threshold = 5
where = "model = 'gpt'"
"""


@pytest.fixture
def project(own_surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # A file that is named may decide which SQL runs; one that is only found may not.
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", str(own_surroundings / "llmops.toml"))
    (own_surroundings / "llmops.toml").write_text(CONFIGURATION.replace("0.9\n", "0.99\n"))
    return own_surroundings


def watch_once(project: Path) -> int:
    # A process of its own: the watcher lowers its priority.
    command = [sys.executable, "-m", "llmops_sdk", "watch", "--once"]
    return subprocess.run(command, cwd=project, check=False).returncode


def recent(store: Path, *, error: bool) -> None:
    calls = Calls(store)
    now = time.time() // 60 * 60
    for second in range(60, 540, 20):
        calls.add(now - second, error=error)
    calls.close()


def test_once_says_by_its_status_whether_an_alert_fires(project: Path, capsys: pytest.CaptureFixture[str]):
    recent(project / "store", error=False)
    assert watch_once(project) == 0

    assert (project / "store" / "monitoring" / "heartbeat.json").exists()
    assert run(["alerts", "list", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["rule"], row["state"]) for row in rows} == {("errs", "inactive"), ("answers", "inactive")}
    assert run(["watch", "--once", "--listen", "127.0.0.1:0"]) == 2


def test_once_tells_an_error_from_an_alert(project: Path):
    recent(project / "store", error=False)
    broken = '[[alerts]]\nname = "own"\nsql = "SELECT count(*) AS n FROM llm_calls"\nthreshold = 1\n'
    (project / "llmops.toml").write_text('[store]\npath = "store"\n' + broken)
    assert watch_once(project) == 2
    with watch_lock(project / "store"):
        assert watch_once(project) == 2


@pytest.mark.parametrize("arguments", [("list",), ("test",), ("silence", "errs", "--for", "1h")])
def test_rules_that_nobody_has_trusted_are_an_error_and_not_an_empty_table(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
):
    recent(project / "store", error=False)
    monkeypatch.delenv("LLMOPS_CONFIG_FILE")
    config.reset()
    assert run(["alerts", *arguments]) == 1
    assert "llmops trust" in capsys.readouterr().err


def test_watch_says_what_it_watches_and_ends_by_a_signal(project: Path):
    recent(project / "store", error=False)
    command = [sys.executable, "-m", "llmops_sdk", "watch", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True) as watcher:
        killer = threading.Timer(60, watcher.kill)  # a bound on what follows
        killer.start()
        assert watcher.stderr is not None
        said = watcher.stderr.readline()
        watcher.terminate()
        assert watcher.wait() == 0
        killer.cancel()
    assert "1 rule, 1 objective, every 60 s; /metrics at http://127.0.0.1:" in said


def test_list_history_and_silence(project: Path, capsys: pytest.CaptureFixture[str]):
    recent(project / "store", error=True)
    assert watch_once(project) == 1
    assert run(["alerts", "silence", "errs", "--for", "2h"]) == 0
    assert capsys.readouterr().out.startswith("silenced errs until ")
    run(["alerts", "list", "--format", "json"])
    [errs] = [row for row in json.loads(capsys.readouterr().out) if row["rule"] == "errs"]
    assert (errs["state"], errs["kind"], errs["value"]) == ("firing", "threshold", 1.0)
    assert errs["silenced_until"] is not None

    run(["alerts", "list", "--history", "--format", "json"])
    history = json.loads(capsys.readouterr().out)
    assert ("errs", "firing") in {(row["rule"], row["state"]) for row in history}
    assert run(["alerts", "silence", "errs", "--end"]) == 0
    assert capsys.readouterr().out == "ended 1\n"
    assert run(["alerts", "silence", "nothing", "--for", "1h"]) == 1
    assert "the configuration has errs, answers" in capsys.readouterr().err


BROKEN = """
[[alerts]]
name = "no column"
metric = "cost"
where = "price > 1"
threshold = 1

[[alerts]]
name = "no value"
sql = "SELECT count(*) AS n FROM llm_calls"
threshold = 1

[[alerts]]
name = "no table"
sql = "SELECT 1 AS value FROM invoices WHERE at >= $since"
threshold = 1

[[alerts]]
name = "no group"
metric = "calls"
group_by = ["tenant"]
threshold = 1

[[alerts]]
name = "no number"
sql = "SELECT model::INTEGER AS value FROM llm_calls"
threshold = 1

[slo.never]
objective = 0.9

[slo.own]
objective = 0.99
sli = "sql"
sql = "SELECT start_time AS time, status AS goood FROM llm_calls"
"""
REASONS = {
    "no column": "price", "no value": "no column `value`", "no table": "invoices", "no group": "tenant",
    "never": "slo.never", "own": "good",
}  # fmt: skip


def test_list_shows_rules_that_cannot_be_evaluated_and_why(project: Path, capsys: pytest.CaptureFixture[str]):
    recent(project / "store", error=False)
    (project / "llmops.toml").write_text(CONFIGURATION.replace("0.9\n", "0.99\n") + BROKEN)

    assert run(["alerts", "list", "--format", "json"]) == 0
    rows = {row["rule"]: row for row in json.loads(capsys.readouterr().out)}
    for name, reason in REASONS.items():
        assert (rows[name]["state"], reason in rows[name]["problem"]) == ("error", True), rows[name]
    # Only the values of the rows make it fail: the watcher has to look first.
    assert all((rows[name]["state"], rows[name]["problem"]) == ("inactive", None) for name in ("errs", "no number"))


def test_list_knows_from_the_watcher_what_fails_only_when_it_runs(project: Path, capsys: pytest.CaptureFixture[str]):
    recent(project / "store", error=False)
    rule = '[[alerts]]\nname = "own"\nsql = "SELECT model::INTEGER AS value FROM llm_calls"\nthreshold = 1\n'
    (project / "llmops.toml").write_text('[store]\npath = "store"\n' + rule)
    assert watch_once(project) == 2

    assert run(["alerts", "list", "--format", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["state"] == "error"
    assert "Could not convert string" in row["problem"]
    assert " (at 20" in row["problem"]


def test_an_alert_that_fires_does_so_also_when_its_rule_breaks(project: Path, capsys: pytest.CaptureFixture[str]):
    recent(project / "store", error=True)
    assert watch_once(project) == 1
    broken = CONFIGURATION.replace("0.9\n", "0.99\n").replace('window = "10m"', "where = 'price > 1'")
    (project / "llmops.toml").write_text(broken)

    assert run(["alerts", "list", "--format", "json"]) == 0
    rows = {row["rule"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["errs"]["state"] == "firing"
    assert "price" in rows["errs"]["problem"]


def test_a_backtest_and_proposals_for_unreachable_objectives(project: Path, capsys: pytest.CaptureFixture[str]):
    recent(project / "store", error=True)
    assert run(["alerts", "test", "errs", "--since", "1h", "--format", "json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["rule"], row["alerts"]) == ("errs", 1)
    assert run(["alerts", "test", "--since", "1h", "--changes", "--format", "json"]) == 0
    changes = json.loads(capsys.readouterr().out)
    assert ("errs", "firing") in {(one["rule"], one["state"]) for one in changes}
    assert run(["alerts", "test", "nothing"]) == 1
    capsys.readouterr()

    (project / "llmops.toml").write_text(CONFIGURATION)
    config.reset()
    assert run(["alerts", "test"]) == 1
    assert "can never fire" in capsys.readouterr().err
    assert run(["alerts", "test", "--fix"]) == 0
    proposed = capsys.readouterr().out
    text = CONFIGURATION[: CONFIGURATION.index("[slo")] + proposed
    (project / "llmops.toml").write_text(text)
    config.reset()
    assert run(["alerts", "test", "--since", "1h"]) == 0
    assert "model = 'gpt'" in proposed


def test_start_and_stop_run_the_watcher_in_this_process(tmp_path: Path):
    recent(tmp_path / "store", error=True)
    settings = settings_of(
        tmp_path / "store", alerts=[{"name": "errs", "metric": "errors", "threshold": 0.2, "window": "10m"}], notify={}
    )
    monitoring.start(settings)
    try:
        monitoring.start(settings)  # a second one does nothing
        with pytest.raises(StoreError, match="another watcher"):
            Watcher(settings, FileQueue)
        beat = tmp_path / "store" / "monitoring" / "heartbeat.json"
        until = time.monotonic() + 60
        while not beat.exists() and time.monotonic() < until:
            threading.Event().wait(0.05)
    finally:
        assert monitoring.stop(30)
    assert query("SELECT rule, state FROM alerts", path=tmp_path / "store").rows() == [("errs", "firing")]


@dataclass
class Found:
    drifted: bool
    status: str
    reason: str
    examples: tuple[str, ...] = ("0" * 32, "a text of a user")


def test_jobs_run_beside_the_rules_and_tell_of_drift_once(tmp_path: Path):
    store = tmp_path / "store"
    calls = Calls(store)
    fill(calls, range(3), 2)
    calls.close()
    clock = Turned(START + 300)
    watcher = Watcher(settings_of(store), FileQueue, clock)
    reports = [
        Found(True, "drifted", "answers are shorter"), Found(True, "drifted", "answers are shorter"),
        Found(False, "not_enough_data", "too few"), Found(False, "steady", "nothing drifted"),
    ]  # fmt: skip
    left = iter(reports)
    go = threading.Event()
    slow = Job(name="slow", kind="evaluators", every=60.0, run=lambda: go.wait(60) and None)
    jobs = Jobs(
        watcher, [Job(name="drift", kind="drift", every=3_600.0, run=lambda: next(left), notify=("ops",)), slow], clock
    )
    try:
        for _ in reports:
            for thread in jobs.start_due():
                if thread.name == "llmops-drift":
                    thread.join(60)
            assert jobs.start_due() == []  # not due again, and the slow one still runs
            clock.now += 3_601
            watcher.tick()  # a slow job does not delay it
        assert isinstance(watcher.queue, FileQueue)
        told = watcher.queue.messages()
        assert [(one["kind"], one["state"]) for one in told] == [("drift", "firing"), ("drift", "resolved")]
        assert told[0]["example_trace_ids"] == ["0" * 32]
        rows = query("SELECT rule, kind, state FROM alerts ORDER BY time", path=store).rows()
        assert rows == [("drift", "drift", "firing"), ("drift", "drift", "resolved")]
    finally:
        go.set()
        jobs.wait(60)
        watcher.close()
