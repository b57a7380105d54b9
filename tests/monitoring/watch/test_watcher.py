"""The watcher over real stores: states, restarts, kills, silences, late scores, and erasure."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thorough_cases import thorough
from watched_store import START, Calls, FileQueue, Turned, fill, settings_of

from llmops_sdk.errors import ConfigError, StoreError
from llmops_sdk.monitoring import backtest
from llmops_sdk.monitoring.watch._silences import Silence, add_silence
from llmops_sdk.monitoring.watch._watcher import Watcher
from llmops_sdk.store import prune, query

ERRORS = {"name": "errs", "metric": "errors", "threshold": 0.2, "window": "5m", "notify": ["ops"]}


@pytest.fixture
def watch(store: Path) -> Iterator[Callable[..., tuple[Watcher, Turned, FileQueue]]]:
    opened: list[Watcher] = []

    def make(minute: int, **tables: Any) -> tuple[Watcher, Turned, FileQueue]:
        clock = Turned(START + minute * 60)
        queues: list[FileQueue] = []

        def queue(folder: Path) -> FileQueue:
            queues.append(FileQueue(folder))
            return queues[0]

        watcher = Watcher(settings_of(store, **tables), queue, clock)
        opened.append(watcher)
        return watcher, clock, queues[0]

    yield make
    for watcher in opened:
        watcher.close()


def states(watcher: Watcher, clock: Turned, minutes: range) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    for minute in minutes:
        clock.now = START + minute * 60 + 2
        found += [(minute, event.evaluator.name, event.change.state) for event in watcher.tick()]
    return found


def test_an_alert_goes_through_its_states_and_tells_once(calls: Calls, watch: Any, store: Path):
    fill(calls, range(10), 6)
    fill(calls, range(10, 20), 6, error=True, user="ada")
    fill(calls, range(20, 50), 6)
    calls.flush()
    rule = {**ERRORS, "for": "3m", "keep": "5m", "severity": "page", "runbook": "https://example.org/errors"}
    watcher, clock, queue = watch(9, alerts=[rule])

    assert states(watcher, clock, range(9, 50, 3)) == [
        (12, "errs", "pending"), (15, "errs", "firing"), (30, "errs", "resolved"),
    ]  # fmt: skip
    fired, resolved = queue.messages()
    assert (fired["state"], resolved["state"]) == ("firing", "resolved")
    assert fired["id"] == resolved["id"]
    assert fired["reason"] == "100 % of 30 calls in 5m failed, above 20 %"
    assert fired["runbook"] == "https://example.org/errors"
    assert {(one["dimension"], one["value"]) for one in fired["culprits"]} >= {
        ("model", "gpt"), ("error_type", "ServerError"),
    }  # fmt: skip
    assert len(fired["example_trace_ids"]) == 3
    # The SQL is for people: it runs as it is.
    assert len(query(fired["sql"], path=store)) == fired["bad"]
    assert fired["texts"] == []
    rows = query("SELECT state, previous, firing_since IS NULL, alert_id FROM alerts ORDER BY time", path=store).rows()
    assert [row[:3] for row in rows] == [
        ("pending", "inactive", True), ("firing", "pending", False), ("resolved", "firing", False),
    ]  # fmt: skip
    assert {row[3] for row in rows} == {fired["id"]}


def test_simulated_canary_evaluator_and_experiment_calls_do_not_count(calls: Calls, watch: Any):
    fill(calls, range(10), 6)
    for mark in ("llmops.simulated", "llmops.canary", "llmops.evaluator", "llmops.eval.experiment_id"):
        fill(calls, range(5, 10), 20, error=True, **{mark: True if mark == "llmops.simulated" else "x"})
    # A text of a user that looks like the attribute is none.
    fill(calls, range(10, 15), 6, error=True, **{"app.said": '"llmops.canary":'})
    calls.flush()
    watcher, clock, _ = watch(9, alerts=[ERRORS])

    assert states(watcher, clock, range(9, 15, 3)) == [(12, "errs", "firing")]


def test_unknown_costs_are_said_and_are_not_zero(calls: Calls, watch: Any):
    fill(calls, range(5), 6, cost=0.5)
    fill(calls, range(5), 2, cost=None)
    calls.flush()
    rule = {"name": "spend", "metric": "cost", "threshold": 1.0, "window": "5m"}
    mean = {"name": "mean", "metric": "cost_per_call", "threshold": 0.4, "window": "5m"}
    watcher, clock, _ = watch(5, alerts=[rule, mean])
    clock.now += 1
    spend, each = watcher.tick()

    assert spend.reason == (
        "cost is 15 USD in 5m, above 1; the figure of 25 % of the calls is unknown and not in it"
    )  # fmt: skip
    assert each.reason.startswith("cost_per_call is 0.5 USD a call in 5m")
    assert "25 % of the calls is unknown" in each.reason


def test_repeats_and_silences(calls: Calls, watch: Any):
    fill(calls, range(200), 2, error=True)
    calls.flush()
    watcher, clock, queue = watch(10, alerts=[{**ERRORS, "repeat": "1h"}])
    add_silence(watcher.folder, Silence(rule="errs", until=START + 30 * 60), now=START)
    states(watcher, clock, range(10, 30, 10))
    assert queue.messages() == []

    states(watcher, clock, range(30, 160, 10))
    assert [(one["time"] - START) // 60 for one in queue.messages()] == [30, 90, 150]
    assert [one["repeat"] for one in queue.messages()] == [0, 1, 2]
    assert len({one["id"] for one in queue.messages()}) == 1


def test_groups_have_alerts_of_their_own_and_users_are_hashed(calls: Calls, watch: Any, store: Path):
    for user in ("zoe-q", "bob"):
        fill(calls, range(10), 2, user=user, cost=0.2 if user == "zoe-q" else 0.01)
    calls.close()
    rule = {"name": "spend", "metric": "cost", "threshold": 1.0, "window": "5m", "group_by": ["user_id"],
            "notify": ["ops"]}  # fmt: skip
    watcher, clock, queue = watch(9, alerts=[rule])
    states(watcher, clock, range(9, 11))

    [message] = queue.messages()
    label = message["labels"]["user_id"]
    assert label.startswith("[USER:")
    assert "zoe-q" not in json.dumps(message)
    [row] = query("SELECT labels->>'$.user_id' FROM alerts", path=store).rows()
    assert row == (label,)
    watcher.close()

    prune(user_id="zoe-q", path=store)

    left = [file for file in store.rglob("*") if file.is_file() and b"zoe-q" in file.read_bytes()]
    assert left == []


def test_no_data_is_an_alert_where_events_are_usual(calls: Calls, watch: Any):
    day = 1_440
    fill(calls, range(0, 2 * day, 4), 4)
    calls.flush()
    rule = {**ERRORS, "no_data": "alert"}
    watcher, clock, queue = watch(2 * day - 10, alerts=[rule])

    assert states(watcher, clock, range(2 * day - 10, 2 * day, 4)) == []
    found = states(watcher, clock, range(2 * day + 4, 2 * day + 12))
    assert [state for _, _, state in found] == ["nodata"]
    assert 3 <= found[0][0] - 2 * day <= 9
    assert queue.messages()[0]["kind"] == "nodata"
    fill(calls, range(2 * day + 20, 2 * day + 22), 4)
    calls.flush()
    assert [state for _, _, state in states(watcher, clock, range(2 * day + 22, 2 * day + 23))] == ["resolved"]


def test_two_watchers_never_work_on_one_store(calls: Calls, watch: Any):
    fill(calls, range(3), 2)
    calls.flush()
    first, _, _ = watch(3, alerts=[ERRORS])

    with pytest.raises(StoreError, match="another watcher works on"):
        watch(3, alerts=[ERRORS])
    first.close()
    watch(3, alerts=[ERRORS])


def test_a_restart_goes_on_without_reading_all_again(calls: Calls, watch: Any):
    fill(calls, range(120), 6)
    fill(calls, range(120, 160), 6, error=True)
    calls.flush()
    tables = {"alerts": [ERRORS], "slo": {"answers": {"objective": 0.99, "notify": ["ops"]}}}
    first, clock, queue = watch(121, **tables)
    fired = states(first, clock, range(121, 131, 3))
    assert [one[1:] for one in fired] == [("errs", "firing"), ("answers", "firing")]
    first.close()

    second, clock, queue = watch(136, **tables)
    # Its counts are there before it has looked.
    [series] = {one for evaluator in second.engine.evaluators for one in evaluator.wanted()}
    assert second.rollup.tracks(series)[()].events(START // 60, START // 60 + 130) == 130 * 6
    assert states(second, clock, range(136, 140)) == []
    assert len(queue.messages()) == 2


def test_late_scores_change_an_objective_and_the_history_says_so(calls: Calls, watch: Any, store: Path):
    """A quality objective evaluated today changes when yesterday's scores arrive: no second page."""
    traces = [calls.add(START + minute * 60) for minute in range(0, 2_980, 2)]
    now = 2_990
    for trace in traces[:1_200:2]:
        calls.score(trace, "helpful", 1.0, START + (now - 1) * 60)
    for trace in traces[-120:]:
        calls.score(trace, "helpful", 0.0, START + (now - 1) * 60)
    calls.flush()
    slo = {"sli": "score:helpful", "objective": 0.9, "basis": "events", "notify": ["ops"]}
    watcher, clock, queue = watch(now, slo={"quality": slo})
    states(watcher, clock, range(now, now + 1))
    before = watcher.budgets()[0]
    pages = len(queue.messages())
    assert pages >= 1

    for trace in traces[1:1_200:2]:
        calls.score(trace, "helpful", 0.0, START + (now + 3) * 60)
    calls.flush()
    states(watcher, clock, range(now + 4, now + 16, 6))

    after = watcher.budgets()[0]
    assert after.bad == before.bad + 600
    rows = query("SELECT state, previous, reason FROM alerts ORDER BY time", path=store).rows()
    late = [row for row in rows if "came late" in row[2]]
    assert late
    assert "600 events of earlier hours came late" in late[0][2]
    assert len(queue.messages()) == pages


def test_bad_rules_are_refused_with_their_key(calls: Calls, watch: Any):
    fill(calls, range(3), 2)
    calls.flush()
    for rule, said in [
        ({"metric": "latancy_p95", "threshold": 1.0}, "did you mean latency_p95"),
        ({"metric": "errors", "threshold": 0.1, "where": "model ="}, "alerts.bad.where"),
        ({"metric": "errors", "threshold": 0.1, "group_by": ["colour"]}, "alerts.bad.group_by"),
        ({"metric": "errors", "threshold": 0.1, "notify": ["nobody"]}, "there is no \\[notify.nobody\\]"),
        ({"sql": "SELECT 1 AS value", "anomaly": "seasonal"}, "needs a threshold"),
    ]:
        with pytest.raises(ConfigError, match=said):
            watch(3, alerts=[{"name": "bad", **rule}])
    with pytest.raises(ConfigError, match="both have the name 'errs'"):
        watch(3, alerts=[ERRORS], slo={"errs": {"objective": 0.99}})


def test_a_broken_sql_rule_does_not_silence_the_others(calls: Calls, watch: Any):
    fill(calls, range(5), 6, error=True)
    calls.flush()
    broken = {"name": "broken", "sql": "SELECT count(*) AS n FROM llm_calls", "threshold": 1.0}
    own = {"name": "own", "threshold": 10.0, "window": "5m",
           "sql": "SELECT model, count(*) AS value FROM llm_calls WHERE start_time >= $since AND start_time < $until "
                  "GROUP BY ALL"}  # fmt: skip
    watcher, clock, _ = watch(5, alerts=[broken, own, ERRORS])

    assert states(watcher, clock, range(5, 7)) == [(5, "own", "firing"), (5, "errs", "firing")]
    assert "no column `value`" in watcher.engine.problems["broken"]
    beat = json.loads((watcher.folder / "heartbeat.json").read_bytes())
    assert (beat["rules"], beat["firing"], list(beat["problems"])) == (3, 2, ["broken"])


def test_a_damaged_database_is_set_aside(calls: Calls, watch: Any):
    fill(calls, range(5), 6, error=True)
    calls.flush()
    first, _, _ = watch(5, alerts=[ERRORS])
    folder = first.folder
    first.close()
    (folder / "watch.sqlite3").write_bytes(b"no database at all" * 400)
    second, clock, _ = watch(5, alerts=[ERRORS])

    assert states(second, clock, range(5, 6)) == [(5, "errs", "firing")]
    assert (folder / "damaged-watch.sqlite3").exists()


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("interval", "minutes"), [(600, 200), thorough(60, 1_700)])
def test_a_backtest_is_what_a_live_replay_decides(
    calls: Calls, watch: Any, store: Path, interval: int, minutes: int
):  # fmt: skip
    chance = random.Random(3)
    begin = 1_700 - minutes
    for minute in range(1_700):
        is_fault = 1_520 <= minute < 1_565 or 1_200 <= minute < 1_210
        for number in range(2):
            calls.add(
                START + minute * 60 + number * 19, error=chance.random() < (0.6 if is_fault else 0.01),
                ms=chance.lognormvariate(6, 1), cost=0.01 * (9 if 1_600 <= minute < 1_660 else 1),
            )  # fmt: skip
    calls.flush()
    tables: dict[str, Any] = {
        "alerts": [
            {**ERRORS, "for": "2m", "window": "15m"},
            {"name": "p95", "metric": "latency_p95", "threshold": 2_000.0, "window": "15m", "group_by": ["model"]},
            {"name": "calm", "metric": "calls", "threshold": 2.0, "compare": "below", "window": "5m"},
            {"name": "cost", "metric": "cost", "anomaly": "seasonal"},
            {"name": "rate", "metric": "errors", "anomaly": "seasonal"},
        ],
        "slo": {"answers": {"objective": 0.95, "period": "7d"}},
        "watch": {"interval": float(interval)},
    }
    start = -(-(START + begin * 60) // interval) * interval
    watcher, clock, _ = watch(begin, **tables)
    live: list[tuple[Any, ...]] = []
    for now in range(start, start + minutes * 60, interval):
        clock.now = now + 1
        live += [(e.time, e.evaluator.name, e.alert.severity, e.change.state, e.reason) for e in watcher.tick()]
    end = int(clock.now) - 1
    watcher.close()
    found = backtest(since=end - start, until=end, settings=settings_of(store, **tables), path=store)
    replayed = [(one.time, one.rule, one.severity, one.state, one.reason) for one in found.changes]

    assert sorted(replayed) == sorted(live)
    assert {"errs", "answers", "cost"} <= {one[1] for one in live}
    assert sum(rule.alerts for rule in found.rules) >= 3


_PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {receivers!r})
from watched_store import START, FileQueue, Turned, settings_of
from llmops_sdk.monitoring.watch._watcher import Watcher
from llmops_sdk.monitoring.watch import _telling

store, where = Path(sys.argv[1]), sys.argv[2]
rule = {rule!r}

class Killed(FileQueue):
    def put(self, notification, names):
        if where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().put(notification, names)
        if where == "after":
            os.kill(os.getpid(), signal.SIGKILL)

watcher = Watcher(settings_of(store, alerts=[rule]), Killed, Turned(START + 15 * 60))
if where == "row":
    write = watcher._telling._writer.write
    def once(record):
        write(record)
        os.kill(os.getpid(), signal.SIGKILL)
    watcher._telling._writer.write = once
watcher.tick()
"""


@pytest.mark.parametrize("where", ["row", "before", "after"])
def test_a_watcher_killed_while_it_tells_tells_once_after_a_restart(
    calls: Calls, watch: Any, store: Path, where: str
):  # fmt: skip
    """Between firing and sending, and during sending."""
    fill(calls, range(10), 6)
    fill(calls, range(10, 16), 6, error=True)
    calls.flush()
    receivers = str(Path(__file__).parents[2] / "receivers")
    program = _PROGRAM.format(receivers=receivers, rule=ERRORS)
    run = subprocess.run([sys.executable, "-c", program, str(store), where], check=False)
    assert run.returncode == -9

    watcher, clock, queue = watch(16, alerts=[ERRORS])
    states(watcher, clock, range(16, 40, 6))

    assert [(one["state"], one["repeat"]) for one in queue.messages()] == [("firing", 0), ("resolved", 0)]
    assert len({one["id"] for one in queue.messages()}) == 1
    rows = query("SELECT state FROM alerts ORDER BY time", path=store).rows()
    assert rows == [("firing",), ("resolved",)]


def test_a_store_that_is_off_cannot_be_watched(tmp_path: Path):
    with pytest.raises(StoreError, match="nothing to watch"):
        Watcher(settings_of(tmp_path / "s").model_copy(update={"enabled": False}), FileQueue, Turned())


def test_counts_are_forgotten_with_the_store(calls: Calls, watch: Any, store: Path):
    """A store that is emptied begins anew."""
    fill(calls, range(5), 6, error=True)
    calls.close()
    first, _, _ = watch(5, alerts=[ERRORS])
    first.close()
    shutil.rmtree(store)
    watcher, clock, _ = watch(6, alerts=[ERRORS])

    assert states(watcher, clock, range(6, 9)) == []
