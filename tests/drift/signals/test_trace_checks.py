"""Checks of stored calls: what changed is found, what did not is left alone, and what we changed is ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from drift_store import DAY, HOUR, NOW, Call, traffic, write_calls

import llmops_sdk as llmops
from llmops_sdk.drift import Drift, DriftReport, Feature
from llmops_sdk.errors import ConfigError, QueryError

PER_DAY = 30


def _check(folder: Path, calls: list[Call], **options: object) -> DriftReport:
    write_calls(folder, calls)
    # The rules of texts are tested elsewhere: few texts keep these tests fast.
    return Drift(path=folder, **{"max_texts": 200, **options}).check(now=NOW, write=False)


def _reference(seed: int = 0, days: float = 28, **more: object) -> list[Call]:
    return traffic(days, PER_DAY, seed=seed, end=NOW - 7 * DAY, **more)  # type: ignore[arg-type]


def _current(seed: int = 1, **more: object) -> list[Call]:
    return traffic(7, PER_DAY, seed=seed, **more)  # type: ignore[arg-type]


def _row(report: DriftReport, signal: str, **part: str) -> Feature:
    return next(one for one in report.features if one.signal == signal and dict(one.slice) == part)


def _found(report: DriftReport) -> set[str]:
    return {one.signal for one in report.features if one.status == "drifted" and not one.slice}


def test_the_same_traffic_does_not_drift(tmp_path: Path):
    report = _check(tmp_path, [*_reference(), *_current()])

    assert report.status == "steady"
    assert {"latency", "error_rate", "novelty", "oov", "cluster_share", "served_model", "refusal"} <= {
        one.signal for one in report.features if one.status == "steady"
    }


def test_what_changed_is_found_with_an_interval_and_example_traces(tmp_path: Path):
    def slower_and_failing(call: Call) -> None:
        call.latency *= 1.8
        if hash(call.question) and len(call.question) % 4 == 0:
            call.status = "error"

    report = _check(tmp_path, [*_reference(), *_current(change=slower_and_failing)])

    latency = _row(report, "latency")
    assert latency.status == "drifted"
    assert latency.interval is not None
    assert 0 < latency.interval.low < latency.effect < latency.interval.high  # type: ignore[operator]
    assert latency.details["current_mean"] / latency.details["reference_mean"] == pytest.approx(1.8, rel=0.15)
    assert len(latency.examples) == 5
    slow = llmops.query(
        "SELECT min(duration_ms) FROM spans WHERE list_contains($ids, trace_id)", {"ids": list(latency.examples)},
        path=tmp_path,
    ).scalar()  # fmt: skip
    assert slow > 2_000
    assert {"latency", "error_rate"} <= _found(report)


def test_foreign_questions_are_found_in_stored_calls(tmp_path: Path):
    def poems(call: Call) -> None:
        if len(call.question) % 5 == 0:
            call.question = f"Write a poem about volcanoes and the {call.user} of Jupiter"

    report = _check(tmp_path, [*_reference(), *_current(change=poems)], max_texts=1_000)

    assert {"novelty", "oov"} & _found(report)


def test_a_provider_that_swaps_the_model_is_named(tmp_path: Path):
    def swapped(call: Call) -> None:
        call.served = "gpt-4.1-mini-2026-11-01"

    report = _check(tmp_path, [*_reference(), *_current(change=swapped)])

    row = _row(report, "served_model")
    assert (row.status, row.cause) == ("drifted", "provider")
    assert _found(report) == {"served_model"}
    assert report.changes == ()


def test_refusals_and_broken_json_are_found(tmp_path: Path):
    def as_json(call: Call) -> None:
        call.answer = '{"answer": "yes"}'

    def broken(call: Call) -> None:
        call.answer = '{"answer": "yes"' if len(call.question) % 2 else "I'm sorry, but I can't help with that."

    report = _check(tmp_path, [*_reference(change=as_json), *_current(change=broken)])

    assert {"json_output", "refusal"} <= _found(report)


# --- Hard case 10 -------------------------------------------------------------------------------------------


def test_a_new_prompt_version_of_ours_is_labelled_as_ours(tmp_path: Path):
    def version_2(call: Call) -> None:
        call.version = "2"
        call.answer *= 3

    report = _check(tmp_path, [*_reference(), *_current(change=version_2)])

    assert not report.drifted
    assert report.status == "ours"
    row = _row(report, "output_tokens")
    assert (row.status, row.cause) == ("ours", "prompt_version")
    assert any("version 2 of the prompt answer" in one for one in report.changes)


def test_a_new_model_of_ours_is_no_drift_of_the_provider(tmp_path: Path):
    def other_model(call: Call) -> None:
        call.model, call.served, call.latency = "gpt-4.1", "gpt-4.1-2025-04-14", call.latency * 3

    report = _check(tmp_path, [*_reference(), *_current(change=other_model)])

    assert not report.drifted
    assert _row(report, "served_model").status == "ours"
    assert _row(report, "latency").cause == "model"


def test_a_change_of_the_provider_beside_our_own_is_found(tmp_path: Path):
    def reference(call: Call) -> None:
        call.prompt = "answer" if len(call.question) % 2 else "summary"

    def both(call: Call) -> None:
        reference(call)
        if call.prompt == "answer":
            call.version = "2"
        call.latency *= 2
        call.served = "gpt-4.1-mini-2026-11-01"

    report = _check(tmp_path, [*_reference(change=reference), *_current(change=both)])

    assert (_row(report, "served_model").status, _row(report, "served_model").cause) == ("drifted", "provider")
    assert _row(report, "latency").status == "drifted"
    assert report.changes


# --- Hard cases 3, 8, 9 and 12 ------------------------------------------------------------------------------


def _week(call: Call) -> bool:
    """Whether a call is at a weekend."""
    return int((call.at // DAY + 3) % 7) >= 5


def _weekend(call: Call) -> None:
    if _week(call):
        call.question = "Can you book a table for two in a quiet restaurant by the sea, with a view, for tonight?"
        call.latency *= 3


def test_a_mix_of_weekdays_and_weekends_is_no_drift_with_a_period(tmp_path: Path):
    # The window of three days is a weekend and one day more: nothing has changed but the days of the week.
    end = NOW - 3 * DAY
    calls = [
        *traffic(28, PER_DAY, seed=3, end=end - 3 * DAY, change=_weekend),
        *traffic(3, 3 * PER_DAY, seed=4, end=end, change=_weekend),
    ]
    write_calls(tmp_path, calls)
    plain = Drift(path=tmp_path, window="3d", reference="28d", max_texts=200).check(now=end, write=False)
    seasonal = Drift(path=tmp_path, window="3d", reference="28d", period="7d", max_texts=200).check(
        now=end, write=False
    )

    assert plain.drifted
    assert not seasonal.drifted, seasonal.reason


def test_a_change_within_the_season_is_found(tmp_path: Path):
    def slower(call: Call) -> None:
        _weekend(call)
        call.latency *= 2

    calls = [*_reference(change=_weekend), *_current(change=slower)]

    assert "latency" in _found(_check(tmp_path, calls, period="7d"))


def test_ten_times_the_traffic_with_the_same_mix_is_no_drift(tmp_path: Path):
    report = _check(tmp_path, [*_reference(), *traffic(7, 10 * PER_DAY, seed=5, users=2_000)])

    assert not report.drifted, report.reason


def test_a_heavy_user_makes_no_drift(tmp_path: Path):
    def heavy(call: Call) -> None:
        if hash(call.at) % 5 < 2:
            call.user, call.latency = "heavy", call.latency * 4
            call.question = "Translate this sentence about penguins and icebergs into Icelandic"

    report = _check(tmp_path, [*_reference(), *_current(change=heavy)])

    assert not report.drifted, report.reason
    latency = _row(report, "latency")
    assert latency.effective_n is not None
    assert latency.effective_n < latency.current_n / 2


def test_empty_days_late_rows_and_a_clock_that_is_fast(tmp_path: Path):
    reference = [call for call in _reference() if not NOW - 20 * DAY < call.at < NOW - 17 * DAY]
    current = [call for call in _current() if not NOW - 4 * DAY < call.at < NOW - 3 * DAY]
    late = current[: len(current) // 3]
    future = [Call(at=NOW + HOUR, user=f"u{number}", latency=9.0) for number in range(200)]

    report = _check(tmp_path, [*current[len(late) :], *future, *reference, *late])

    assert not report.drifted, report.reason
    assert _row(report, "latency").current_n == sum(call.status == "ok" for call in current)


def test_a_window_without_calls_is_not_drift(tmp_path: Path):
    report = _check(tmp_path, _reference())

    assert report.status == "not_enough_data"
    assert not report.drifted


def test_few_calls_are_not_enough_data(tmp_path: Path):
    report = _check(tmp_path, [*_reference(days=1), *traffic(0.2, PER_DAY, seed=2)])

    assert report.status == "not_enough_data"
    assert "needed" in report.reason


# --- What is read, and what is written ----------------------------------------------------------------------


def test_calls_that_are_no_traffic_do_not_count(tmp_path: Path):
    def canary(call: Call) -> None:
        call.attributes["llmops.canary"] = "weekly"

    def experiment(call: Call) -> None:
        call.attributes["llmops.eval.experiment_id"] = "one"

    def simulated(call: Call) -> None:
        call.simulated = True

    current = _current()
    calls = [*_reference(), *current]
    for number, change in enumerate((canary, experiment, simulated)):
        calls += _current(
            seed=10 + number, change=lambda call, change=change: (change(call), setattr(call, "latency", 60.0))
        )

    report = _check(tmp_path, calls)

    assert not report.drifted, report.reason
    assert _row(report, "error_rate").current_n == len(current)


def test_scores_and_slices_are_compared(tmp_path: Path):
    def half(call: Call) -> None:
        call.model = "gpt-4.1" if len(call.question) % 2 else "gpt-4.1-mini"
        call.served = call.model

    def slower(call: Call) -> None:
        half(call)
        call.latency *= 3 if call.model == "gpt-4.1" else 1

    report = _check(tmp_path, [*_reference(change=half), *_current(change=slower)], by=("model",))

    assert _row(report, "latency", model="gpt-4.1").status == "drifted"
    assert _row(report, "latency", model="gpt-4.1-mini").status == "steady"


def test_rows_are_written_to_drift_checks(tmp_path: Path):
    write_calls(tmp_path, [*_reference(), *_current(change=lambda call: setattr(call, "latency", call.latency * 3))])
    report = Drift(path=tmp_path, name="weekly", max_texts=200).check(now=NOW)

    rows = llmops.query("SELECT * FROM drift_checks ORDER BY signal", path=tmp_path).dicts()
    assert len(rows) == len(report.features)
    row = next(one for one in rows if one["signal"] == "latency" and one["slice"] is None)
    assert (row["check_id"], row["name"], row["kind"], row["status"]) == (report.check_id, "weekly", "data", "drifted")
    assert row["effect_low"] < row["effect"] < row["effect_high"]
    assert list(row["example_trace_ids"]) == list(_row(report, "latency").examples)
    assert row["current_end"].timestamp() is not None


def test_a_column_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path):
    write_calls(tmp_path, _current())

    with pytest.raises(ConfigError, match='did you mean "model"'):
        Drift(path=tmp_path, by=("modell",)).check(now=NOW, write=False)


def test_a_condition_cannot_leave_its_brackets(tmp_path: Path):
    write_calls(tmp_path, _current())

    for wrong in ("true)) OR ((true", "nonsense = 1"):
        with pytest.raises(QueryError, match=r"drift\.where"):
            Drift(path=tmp_path, where=wrong).check(now=NOW, write=False)
    within = Drift(path=tmp_path, where="false) OR (status = 'error'").check(now=NOW - DAY, write=False)
    assert _row(within, "error_rate").reference_n == 0
    report = Drift(path=tmp_path, where="status = 'nothing' -- no call").check(now=NOW, write=False)
    assert report.status == "not_enough_data"
