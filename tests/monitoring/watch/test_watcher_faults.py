"""What goes wrong around the watcher: full disks, wrong clocks, bad SQL, and configurations that change."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from watched_store import START, Calls, FileQueue, Turned, fill, settings_of

from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring.watch._jobs import Job, Jobs
from llmops_sdk.monitoring.watch._watcher import Watcher
from llmops_sdk.store import query

ERRORS = {"name": "errs", "metric": "errors", "threshold": 0.2, "window": "5m", "notify": ["ops"]}


@pytest.fixture
def watch(store: Path) -> Iterator[Callable[..., tuple[Watcher, Turned, FileQueue]]]:
    opened: list[Watcher] = []

    def make(minute: int, **tables: Any) -> tuple[Watcher, Turned, FileQueue]:
        clock = Turned(START + minute * 60 + 2)
        watcher = Watcher(settings_of(store, **tables), FileQueue, clock)
        opened.append(watcher)
        assert isinstance(watcher.queue, FileQueue)
        return watcher, clock, watcher.queue

    yield make
    for watcher in opened:
        watcher.close()


def said(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


def test_an_alert_that_begins_while_the_disk_is_full_is_told_when_there_is_room(calls: Calls, watch: Any, store: Path):
    for model in range(15):
        fill(calls, range(9), 1, error=True, model=f"m{model}")
    calls.flush()
    watcher, clock, queue = watch(6, alerts=[{**ERRORS, "group_by": ["model"]}])
    watcher.rollup.refresh(START + 6 * 60)
    # SQLite's own error of a full disk.
    [(pages,)] = watcher.database._db.execute("PRAGMA page_count").fetchall()
    watcher.database._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        clock.now += 60
        with pytest.raises(StoreError, match="full"):
            watcher.tick()
    assert queue.messages() == []

    watcher.database._db.execute("PRAGMA max_page_count = 1000000")
    clock.now += 60
    watcher.tick()

    assert [(one["rule"], one["state"]) for one in queue.messages()] == [("errs", "firing")] * 15
    assert query("SELECT rule, state FROM alerts", path=store).rows() == [("errs", "firing")] * 15


def test_a_clock_that_goes_back_is_said_and_stops_nothing(calls: Calls, watch: Any, caplog: pytest.LogCaptureFixture):
    fill(calls, range(10), 6)
    calls.flush()
    # Four hours fast.
    watcher, clock, queue = watch(250, alerts=[{**ERRORS, "keep": "5m", "for": "2m"}])
    watcher.tick()
    clock.now = START + 10 * 60 + 2
    watcher.tick()
    assert said(caplog, "the clock was set back by 14400 seconds") == 1
    fill(calls, range(10, 20), 6, error=True)
    fill(calls, range(20, 40), 6)
    calls.flush()
    for minute in range(12, 40, 2):
        clock.now = START + minute * 60 + 2
        watcher.tick()

    assert [(one["state"], int(one["time"] - START) // 60) for one in queue.messages()] == [
        ("firing", 14), ("resolved", 30),
    ]  # fmt: skip


def test_an_alert_ends_although_the_clock_was_fast_while_it_fired(calls: Calls, watch: Any):
    fill(calls, range(10), 6, error=True)
    fill(calls, range(10, 40), 6)
    fill(calls, range(600, 610), 6, error=True)
    fill(calls, range(610, 612), 6)
    calls.flush()
    watcher, clock, queue = watch(609, alerts=[{**ERRORS, "keep": "5m"}])
    for minute in (609, 615, 30, 33, 36, 39):
        clock.now = START + minute * 60 + 2
        watcher.tick()

    assert [one["state"] for one in queue.messages()] == ["firing", "resolved"]


def test_calls_of_the_future_are_said_and_count_when_their_time_comes(
    calls: Calls, watch: Any, caplog: pytest.LogCaptureFixture
):
    fill(calls, range(5), 2)
    fill(calls, range(60, 64), 6, error=True)
    calls.flush()
    watcher, clock, queue = watch(4, alerts=[ERRORS])
    for minute in (4, 5, 20, 40):
        clock.now = START + minute * 60 + 2
        watcher.tick()
    assert said(caplog, "24 calls have a time in the future") == 1
    assert json.loads((watcher.folder / "heartbeat.json").read_bytes())["future_calls"] == 24
    assert queue.messages() == []

    clock.now = START + 64 * 60 + 2
    watcher.tick()
    assert [one["state"] for one in queue.messages()] == ["firing"]
    assert watcher.future == 0


def test_the_alert_of_a_removed_rule_ends_and_is_told_once(
    calls: Calls, watch: Any, store: Path, caplog: pytest.LogCaptureFixture
):
    fill(calls, range(30), 6, error=True)
    calls.flush()
    other = {**ERRORS, "name": "other", "threshold": 0.3}
    first, _, queue = watch(6, alerts=[ERRORS, other])
    jobs = [Job(name="pulse", kind="canary", every=60.0, run=lambda: _DRIFTED, notify=("ops",))]
    Jobs(first, jobs, Turned(START)).start_due()[0].join(60)
    first.tick()
    assert len(queue.messages()) == 3
    first.close()

    for minute in (10, 14):
        again, _, queue = watch(minute, alerts=[other])
        Jobs(again, [], Turned(START + minute * 60)).start_due()
        again.tick()
        again.close()

    ended = [one for one in queue.messages() if one["state"] == "resolved"]
    assert [(one["rule"], one["reason"]) for one in ended] == [
        ("errs", "the rule is no longer configured"), ("pulse", "the rule is no longer configured"),
    ]  # fmt: skip
    assert said(caplog, "errs is no longer configured: its alert ends") == 1
    rows = query("SELECT rule, state FROM alerts WHERE state = 'resolved' ORDER BY rule", path=store).rows()
    assert rows == [("errs", "resolved"), ("pulse", "resolved")]


class _Drifted:
    drifted, status, reason, examples = True, "drifted", "another model", ()


_DRIFTED = _Drifted()


def test_a_message_for_a_notifier_that_is_gone_does_not_stop_the_watcher(
    calls: Calls, watch: Any, store: Path, caplog: pytest.LogCaptureFixture
):
    fill(calls, range(10), 6, error=True)
    calls.flush()
    first, _, _ = watch(6, alerts=[{**ERRORS, "notify": ["old"]}], notify={"old": {"kind": "file", "path": store}})
    first._telling.deliver = lambda: None  # killed before it told
    first.tick()
    first.close()

    _, _, queue = watch(7, alerts=[ERRORS])
    assert said(caplog, "nobody is told at old that errs is firing") == 1
    assert queue.messages() == []
    assert query("SELECT state FROM alerts", path=store).rows() == [("firing",)]


ENDLESS = "SELECT count(*) AS value FROM range(10000000) a, range(10000000) b WHERE a.range <> b.range"


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT 'much' AS value", None),
        ("SELECT now() AS value", None),
        ("SELECT [1, 2] AS value", None),
        ("SELECT 'nan'::DOUBLE AS value", None),
        ("SELECT NULL AS value;", None),
        ("SELECT 1e308::DOUBLE * 10 AS value", None),
        ("SELECT error('no') AS value", "no"),
        ("SELECT range AS place, range AS value FROM range(3000000)", None),
        (ENDLESS, "longer than|took"),
    ],
)
def test_what_sql_returns_never_stops_the_watcher(calls: Calls, watch: Any, sql: str, problem: str | None):
    fill(calls, range(8), 6, error=True)
    calls.flush()
    own = {"name": "own", "sql": sql, "threshold": 1e9}
    watcher, clock, _ = watch(5, alerts=[own, ERRORS], watch={"interval": 2.0})
    found = [event.evaluator.name for event in watcher.tick()]

    assert found == ["errs"]
    if problem is None:
        assert watcher.engine.problems == {}
    else:
        assert any(one in watcher.engine.problems["own"] for one in problem.split("|"))
        clock.now += 60
        watcher.tick()
        assert list(watcher.engine.problems) == ["own"]


def test_rows_with_equal_labels_are_one_alert(calls: Calls, watch: Any):
    fill(calls, range(10), 6)
    calls.flush()
    sql = "SELECT 'a' AS team, unnest([1, 9, 2]) AS value"
    watcher, clock, queue = watch(5, alerts=[{"name": "own", "sql": sql, "threshold": 5.0, "notify": ["ops"]}])
    for _ in range(4):
        watcher.tick()
        clock.now += 60

    assert [(one["state"], one["value"]) for one in queue.messages()] == [("firing", 9.0)]


def test_a_condition_that_fails_on_some_rows_stops_its_own_rule_only(
    calls: Calls, watch: Any, caplog: pytest.LogCaptureFixture
):
    fill(calls, range(10), 6, error=True)
    calls.flush()
    bad = {**ERRORS, "name": "bad", "where": "model::INT > 3"}
    slo = {"sli": "sql", "sql": "SELECT start_time AS time, model AS good FROM llm_calls", "objective": 0.99}
    watcher, clock, _ = watch(6, alerts=[bad, ERRORS], slo={"own": slo})
    found = [event.evaluator.name for event in watcher.tick()]
    clock.now += 60
    watcher.tick()

    assert found == ["errs"]
    assert set(watcher.engine.problems) == {"bad", "own"}
    assert said(caplog, "the rule bad cannot be evaluated, and does not fire") == 1


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(calls: Calls, watch: Any, store: Path):
    fill(calls, range(3), 2)
    calls.flush()
    (store / "monitoring").write_text("not a folder")
    with pytest.raises(StoreError, match="monitoring"):
        watch(3, alerts=[ERRORS])
