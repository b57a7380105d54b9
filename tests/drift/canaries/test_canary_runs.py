"""Runs of a canary: rows and traces of each call, a budget of the day, and our own changes told apart."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.config import CanarySettings
from llmops_sdk.datasets import Dataset
from llmops_sdk.drift import Canary
from llmops_sdk.drift.canaries._prompts import PROMPTS
from llmops_sdk.errors import AuthenticationError, ConfigError, DatasetError, NotComparableError
from llmops_sdk.store._record_writer import CanaryRunRecord, open_record_writer
from llmops_sdk.testing import ScriptedProvider, use_provider

_DAY_NS = 86_400 * 10**9


def _write_days(
    days: int, *, model: str = "m", served: str = "p/m-1", weights: tuple[int, int] = (7, 3), before: int = 0,
    name: str = "c", configuration: str | None = None, samples: int = 50,
) -> None:  # fmt: skip
    """Write one run a day, the last one `before` days ago."""
    draw = random.Random(days + before)
    writer = open_record_writer(llmops.settings())
    assert writer is not None
    for day in range(days):
        begin = time.time_ns() - (before + days - 1 - day) * _DAY_NS - 10**9
        writer.write(*(
            CanaryRunRecord(
                canary=name, kind="identity", run_id=f"{before}-{day}", item_id=f"i{item}", repeat=repeat,
                request_model=model, configuration=configuration or f"p/{model}#0", model=served, fingerprint=None,
                answer=draw.choices("ab", weights)[0], score=None, status="ok", error_type=None, cost=0.0,
                duration_ms=1.0, trace_id=f"{item:032x}", time_ns=begin + repeat,
            )
            for item in range(3)
            for repeat in range(samples)
        ))  # fmt: skip
    writer.close()


def _statuses(report: Any) -> dict[str, tuple[str, str | None]]:
    return {one.signal: (one.status, one.cause) for one in report.features}


def _check(name: str = "c", **options: Any) -> Any:
    return Canary(name=name, model="m", prompts=["p"]).check(**options)


# --- Runs ------------------------------------------------------------------------------------------------------------


def test_each_call_is_a_row_and_a_trace_that_others_can_leave_out():
    with use_provider(ScriptedProvider(["yes"], repeat=True)) as provider:
        run = Canary(name="daily", model="offline/echo", prompts=["One?", "Two?"], samples=3).run()

    assert (run.answered, run.failed, run.not_run, run.stopped) == (6, 0, 0, None)
    assert [request.params["temperature"] for request in provider.requests] == [1.0] * 6
    assert [request.params["max_tokens"] for request in provider.requests] == [1] * 6
    rows = llmops.query("SELECT item_id, repeat, answer, status, configuration, trace_id FROM canary_runs").rows()
    assert len(rows) == 6
    assert {(repeat, answer, status) for _, repeat, answer, status, _, _ in rows} == {
        (n, "yes", "ok") for n in range(3)
    }  # fmt: skip
    assert len({row[0] for row in rows}) == 2
    assert {row[4].partition("#")[0] for row in rows} == {"offline/echo"}
    assert len({row[5] for row in rows}) == 6
    # What others leave out: calls with the tag, and traces whose root has the attribute.
    assert llmops.query(
        "SELECT count(*) FROM llm_calls WHERE NOT list_contains(coalesce(tags, []), 'llmops.canary')"
    ).rows() == [(0,)]
    assert llmops.query(
        "SELECT count(DISTINCT trace_id) FROM spans WHERE attributes->>'llmops.canary' = 'daily'"
    ).rows() == [(6,)]


def test_default_prompts_are_distinct_and_short():
    assert len(set(PROMPTS)) == len(PROMPTS) == 24
    assert max(len(one) for one in PROMPTS) < 100


async def test_a_run_from_async_code_and_a_failing_model():
    failure = llmops.AuthenticationError("no key", status_code=401)
    with use_provider(ScriptedProvider([failure, "yes"], repeat=True)):
        run = await Canary(name="daily", model="offline/echo", prompts=["One?"], samples=4).arun(concurrency=1)

    assert (run.answered, run.failed) == (2, 2)
    assert llmops.query("SELECT DISTINCT error_type FROM canary_runs WHERE status = 'error'").rows() == [
        ("AuthenticationError",)
    ]


def test_the_answers_of_a_fallback_are_no_answers():
    llmops.configure(
        models={
            "m": {"model": "offline/echo", "fallbacks": ["other"], "retry": {"attempts": 1}},
            "other": {"model": "offline/echo"},
        }
    )
    with use_provider(ScriptedProvider([llmops.ServerError("down", status_code=503)], repeat=True), model="m"):
        run = Canary(name="daily", model="m", prompts=["One?"], samples=2).run()

    assert (run.answered, run.failed) == (0, 2)
    assert llmops.query("SELECT DISTINCT error_type, answer FROM canary_runs").rows() == [("FallbackAnswered", None)]


def test_the_budget_of_the_day_is_hard_and_counts_earlier_runs():
    llmops.configure(prices={"offline/echo": {"input": 1_000.0, "output": 1_000.0}})
    canary = Canary(name="dear", model="offline/echo", prompts=["One?"], samples=20, budget_usd=0.05)

    first = canary.run(concurrency=2)
    second = canary.run()

    assert first.stopped == second.stopped == "budget"
    assert 0 < first.answered < 20
    assert first.answered + first.not_run == 20
    spent = llmops.query("SELECT sum(cost) FROM canary_runs").rows()[0][0]
    assert 0 < spent <= 0.05
    assert second.cost <= 0.05 - first.cost


def test_a_quality_canary_scores_its_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Dataset.from_rows([{"input": f"word {n}", "expected": f"word {n}"} for n in range(15)], name="words").save()
    named = Canary(name="q", kind="quality", model="offline/echo", dataset="words", scorer="exact_match", items=12)
    given = Canary(
        CanarySettings(name="q", kind="quality", model="offline/echo", dataset="words", scorer="exact_match", items=12),
        score=lambda output, expected: 0.0 if "word" in output and expected else 1.0,
    )

    assert named.run().answered == 12
    assert named.check().status == "not_enough_data"
    assert named.run().answered == 12
    assert named.check().features[0].status == "steady"
    assert given.run().answered == 12
    report = named.check()

    assert report.features[0].details["direction"] in ("worse", None)
    assert report.features[0].effect == -1.0
    items = llmops.query("SELECT count(DISTINCT item_id), count(*), count(answer) FROM canary_runs").rows()
    assert items == [(12, 36, 0)]
    (tmp_path / "own_scores.py").write_text("def short(output, expected):\n    return float(len(output) < 9)\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert (
        Canary(name="own", kind="quality", model="offline/echo", dataset="words", scorer="own_scores:short")
        .run()
        .answered
        == 15
    )


def _write_quality(scores: list[list[int]]) -> Any:
    """Write one run a day with these scores of its items, and return the report."""
    writer = open_record_writer(llmops.settings())
    assert writer is not None
    for day, run in enumerate(scores):
        begin = time.time_ns() - (len(scores) - day) * _DAY_NS
        writer.write(*(
            CanaryRunRecord(
                canary="q", kind="quality", run_id=f"r{day}", item_id=f"i{item}", repeat=0, request_model="m",
                configuration="p/m#0", model="p/m-1", fingerprint=None, answer=None, score=float(score), status="ok",
                error_type=None, cost=0.0, duration_ms=1.0, trace_id=f"{item:032x}", time_ns=begin + item,
            )
            for item, score in enumerate(run)
        ))  # fmt: skip
    writer.close()
    return Canary(name="q", kind="quality", model="m", dataset="d", scorer="exact_match").check().features[0]


def test_a_quality_canary_compares_with_several_runs_and_knows_how_much_these_differ():
    draw = random.Random(5)

    def run(share: float) -> list[int]:
        return [int(draw.random() < share) for _ in range(200)]

    # The first run alone is a lucky day: only against it is the newest one worse.
    lucky = _write_quality([run(0.95), run(0.75), run(0.80), run(0.80), run(0.75)])
    assert (lucky.status, lucky.details["baseline_runs"]) == ("steady", 3)
    assert lucky.details["baseline_spread"] > 0.1
    assert lucky.reference_n == lucky.current_n == 200


def test_a_quality_canary_finds_what_is_worse_than_its_baseline():
    draw = random.Random(6)
    runs = [[int(draw.random() < share) for _ in range(200)] for share in (0.8, 0.8, 0.8, 0.8, 0.5)]
    worse = _write_quality(runs)
    assert (worse.status, worse.cause) == ("drifted", "provider")
    assert worse.effect == pytest.approx(-0.3, abs=0.08)


def test_a_run_stops_where_every_call_fails():
    with use_provider(ScriptedProvider([AuthenticationError("no key")], repeat=True)) as provider:
        canary = Canary(name="daily", model="offline/echo", prompts=[f"{n}?" for n in range(20)], samples=10)
        run = canary.run(concurrency=2)

    assert (run.answered, run.stopped, run.error_types) == (0, "errors", ("AuthenticationError",))
    assert 20 <= len(provider.requests) <= 22
    assert run.failed + run.not_run == 200


def test_runs_that_cannot_work_are_refused_before_any_call():
    with pytest.raises(ConfigError, match="unknown"):
        Canary(name="q", kind="quality", model="offline/echo", dataset="missing", scorer="nothing").run()
    with pytest.raises(DatasetError):
        Canary(name="q", kind="quality", model="offline/echo", dataset="missing", scorer="contains").run()
    with pytest.raises(ConfigError, match="not both"):
        Canary(CanarySettings(name="a"), name="b")
    with pytest.raises(ConfigError, match="concurrency"):
        Canary(name="a").run(concurrency=0)
    llmops.configure(capture={"content": False})
    with pytest.raises(ConfigError, match="compares them"):
        Canary(name="a", model="offline/echo").run()
    llmops.configure(store={"enabled": False})
    with pytest.raises(ConfigError, match="store is off"):
        Canary(name="a", model="offline/echo").check()


# --- Checks ----------------------------------------------------------------------------------------------------------


def test_a_canary_without_runs_has_no_data():
    report = _check()

    assert (report.status, report.check_id != "") == ("not_enough_data", True)


def test_a_provider_that_swaps_the_model_is_found_and_written_down():
    _write_days(12, before=3)
    assert _statuses(_check())["answers"] == ("steady", None)
    _write_days(3, weights=(0, 1))
    report = _check()

    assert _statuses(report) == {"answers": ("drifted", "provider")}
    rows = llmops.query(
        "SELECT signal, status, cause, kind, name, effect > 0 FROM drift_checks WHERE check_id = $1 ORDER BY signal",
        [report.check_id],
    ).rows()
    assert rows == [("answers", "drifted", "provider", "identity", "c", True)]
    assert all(len(one) == 32 for one in report.examples)


def test_another_name_of_the_served_model_is_drift_at_once():
    _write_days(3, before=1)
    _write_days(1, served="p/m-2")
    report = _check()

    assert _statuses(report)["served_model"] == ("drifted", "provider")
    assert "p/m-2 instead of p/m-1" in report.reason


@pytest.mark.parametrize(("configuration", "cause"), [("p/other#0", "model"), ("p/m#1", "configuration")])
def test_our_own_change_is_ours(configuration: str, cause: str):
    _write_days(12, before=2)
    _write_days(2, weights=(0, 1), served="p/m-2", configuration=configuration)
    report = _check()

    assert not report.drifted
    assert report.status == "ours"
    assert _statuses(report)["answers:own_change"] == ("ours", cause)
    assert len(report.changes) == 1
    assert ("from p/m to p/other" in report.changes[0]) == (cause == "model")


def test_our_own_change_without_effect_is_steady():
    _write_days(12, before=2)
    _write_days(2, configuration="p/m#1")

    assert _statuses(_check())["answers:own_change"] == ("steady", None)


def test_the_configuration_of_a_run_follows_options_and_prompts():
    def configuration(options: dict[str, Any], *prompts: str) -> str:
        llmops.configure(models={"m": {"model": "offline/echo", "options": options}})
        Canary(name=f"c{len(prompts)}", model="m", prompts=prompts, samples=2).run()
        return str(llmops.query("SELECT configuration FROM canary_runs ORDER BY time DESC LIMIT 1").rows()[0][0])

    first = configuration({"seed": 1}, "a")
    assert configuration({"seed": 1}, "a") == first
    assert configuration({"seed": 2}, "a") != first
    assert configuration({"seed": 1}, "a", "b") != first


def test_a_known_change_is_left_behind_with_since():
    _write_days(12, before=3)
    _write_days(3, weights=(0, 1))

    assert _check(since=time.time() - 2.5 * 86_400).status == "not_enough_data"


def test_rows_from_a_wrong_clock_are_left_out():
    _write_days(2)
    _write_days(1, before=-400, weights=(0, 1))
    report = _check()

    assert report.features[0].details["future"] == 150
    assert len(report.features[0].details["days"]) == 2


def test_a_canary_with_one_sample_is_refused():
    _write_days(3, samples=1)

    with pytest.raises(NotComparableError, match="ask each prompt at least twice"):
        _check()
