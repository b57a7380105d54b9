"""Answers of many days: partial and whole changes are found, noisy and empty days are not taken for one."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from llmops_sdk.drift import Canary
from llmops_sdk.drift.canaries._distances import Reference, total_variation
from llmops_sdk.errors import ConfigError, NotComparableError

_DATA = os.environ.get("LLMOPS_BENCH_DATA")
needs_data = pytest.mark.skipif(_DATA is None, reason="needs LLMOPS_BENCH_DATA")

Model = Mapping[str, Mapping[str, float]]
Sample = dict[str, Any]


def _model(draw: random.Random, prompts: int = 24) -> Model:
    """Return a made-up model: for each prompt the weights of four answers."""
    return {f"p{n}": {f"p{n}_{one}": draw.gammavariate(0.7, 1) + 0.01 for one in "abcd"} for n in range(prompts)}


def _answers(draw: random.Random, model: Model, day: object, n: int) -> list[Sample]:
    return [
        {"day": day, "prompt": prompt, "answers": draw.choices(list(weights), list(weights.values()), k=n)}
        for prompt, weights in model.items()
    ]


def _mixed(first: Model, second: Model, share: float) -> Model:
    sums = {prompt: (sum(first[prompt].values()), sum(second[prompt].values())) for prompt in first}
    return {
        prompt: {
            one: (1 - share) * first[prompt][one] / sums[prompt][0] + share * second[prompt][one] / sums[prompt][1]
            for one in first[prompt]
        }
        for prompt in first
    }


def _days(seed: int, *, change: int | None, share: float = 0.5, days: int = 40) -> list[Sample]:
    """Return a series like the reference's: a noisy day, two empty ones, and a partial roll-out."""
    draw = random.Random(seed)
    old, new = _model(draw), _model(draw)
    noisy = draw.randrange(1, 27)
    empty = draw.sample(range(10, 26), 2)
    found = _answers(draw, old, 0, 100)
    for day in range(1, days):
        if day in empty:
            found += [{"day": day, "prompt": prompt, "answers": []} for prompt in old]
            continue
        is_new = change is not None and day >= change
        part = share if is_new else 0.15 if day == noisy else 0.0
        found += _answers(draw, _mixed(old, new, part), day, 10)
    return found


def _events(samples: Iterable[Any]) -> list[Any]:
    return Canary.identity(samples).features[0].details["events"]


# --- Distances -------------------------------------------------------------------------------------------------------


def test_total_variation():
    assert total_variation({"a": 1, "b": 1}, {"a": 5, "b": 5}) == 0
    assert total_variation({"a": 3, "b": 1}, {"a": 1, "b": 1}) == 0.25
    assert total_variation({"a": 1}, {"b": 7}) == 1


def test_what_chance_makes_of_a_distance_is_taken_off():
    draw = random.Random(2)
    reference = Reference()
    reference.add({"p": Counter(draw.choices("abc", k=10_000))})
    for n in (5, 10, 50):
        found = [reference.distance({"p": Counter(draw.choices("abc", k=n))}) for _ in range(300)]
        excesses = [one.excess for one in found if one is not None]
        assert abs(sum(excesses) / len(excesses)) < 0.02
        assert found[0] is not None
        variance = sum(one**2 for one in excesses) / len(excesses)
        assert variance == pytest.approx(found[0].variance, rel=0.5)


# --- Changes ---------------------------------------------------------------------------------------------------------


def test_a_partial_roll_out_is_found_within_days():
    for seed in range(4):
        report = Canary.identity(_days(seed, change=27))
        [feature] = report.features
        assert report.drifted
        assert 27 <= feature.details["detected_day"] <= 30
        assert feature.details["events"] == [27]
        assert feature.cause == "provider"
        assert feature.interval is not None
        assert feature.interval.low > 0
        assert feature.p_value is not None
        assert feature.p_value <= 0.01


def test_a_noisy_day_and_empty_days_are_no_drift():
    for seed in range(4):
        report = Canary.identity(_days(seed + 100, change=None))
        assert report.status == "steady"
        assert report.features[0].details["days_without_data"] == 2


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_rates_over_reseeded_runs():
    found = [
        Canary.identity(_days(seed, change=27)).features[0].details["detected_day"] for seed in range(1_000, 1_200)
    ]
    assert sum(one is not None and 27 <= one <= 30 for one in found) >= 0.97 * len(found)
    false = sum(Canary.identity(_days(seed, change=None)).drifted for seed in range(2_000, 2_200))
    assert false <= 0.02 * 200 + 2


def test_another_model_is_one_event_on_its_day_and_empty_batches_are_none():
    # The figures of a published replay: 26 prompts, days that differ by more than sampling, then wholly other answers.
    draw = random.Random(11)
    begin = date(2026, 1, 10)
    old = {f"b{n}": {"x": 0.9, "y": 0.1} for n in range(26)}
    samples = _answers(draw, old, begin.isoformat(), 100)
    for day in range(1, 31):
        at = begin + timedelta(days=day)
        if day in (5, 6, 12, 13):
            continue  # missing
        drift = draw.uniform(0, 0.1)
        daily = {prompt: {"x": 0.9 - drift, "y": 0.1 + drift} for prompt in old}
        model = daily if day < 20 else {prompt: {"z": 1.0} for prompt in old}
        samples += _answers(draw, model, at, 10 if day < 28 else 0)

    [feature] = Canary.identity(samples).features

    assert feature.details["events"] == ["2026-01-30"]
    assert feature.details["detected_day"] == "2026-01-30"
    assert [one["state"] for one in feature.details["days"][-3:]] == ["no_data"] * 3
    assert "no data on the last 3 days" in feature.reason
    assert len(feature.examples) == 5


def test_a_noisy_day_in_the_baseline_hides_no_change():
    draw = random.Random(21)
    old, new = _model(draw), _model(draw)
    samples = _answers(draw, old, 0, 100)
    for day in range(1, 30):
        share = 1.0 if day == 4 else 0.5 if day >= 20 else 0.0
        samples += _answers(draw, _mixed(old, new, share if day != 4 else 0.3), day, 10)

    assert _events(samples) == [20]


def test_few_days_are_not_enough():
    report = Canary.identity(_days(1, change=None, days=5))

    assert report.status == "not_enough_data"
    assert report.p_value is None
    assert "8 are needed" in report.reason
    assert Canary.identity([]).status == "not_enough_data"


# --- Days and clocks -------------------------------------------------------------------------------------------------


def test_order_does_not_matter_and_two_runs_of_a_day_count_together():
    samples = _days(3, change=27)
    expected = Canary.identity(samples).features[0].details
    singles = [
        {"day": one["day"], "prompt": one["prompt"], "answer": answer} for one in samples for answer in one["answers"]
    ]
    random.Random(1).shuffle(singles)  # late data
    found = Canary.identity(singles).features[0].details

    assert (found["events"], found["detected_day"]) == (expected["events"], expected["detected_day"])
    assert [(one["day"], one["n"]) for one in found["days"] if one["n"]] == [
        (one["day"], one["n"]) for one in expected["days"] if one["n"]
    ]


def test_days_are_utc_also_on_the_days_when_clocks_change():
    central = timezone(timedelta(hours=1))
    # A day of 23 hours in Central Europe; each hour has the same answers.
    samples = [
        {"time": datetime(2026, 3, 28, 22, 30, tzinfo=UTC) + timedelta(hours=hour), "prompt": "p", "answer": "a"}
        for hour in range(48)
    ]
    samples += [
        {"time": datetime(2026, 3, 31, 0, 30, tzinfo=central).isoformat(), "prompt": "p", "answers": ["a", "a"]},
        {"time": "2026-03-30T23:59", "prompt": "p", "answers": ["a"]},
    ]  # fmt: skip
    days = Canary.identity(samples).features[0].details["days"]

    assert [(one["day"], one["n"]) for one in days] == [
        ("2026-03-28", 2), ("2026-03-29", 24), ("2026-03-30", 25),
    ]  # fmt: skip


def test_answers_from_the_future_are_left_out_and_counted():
    samples = [(date(2026, 5, 1), "p", ["a", "b"]), (date(2031, 5, 1), "p", ["a", "b"])]
    details = Canary.identity(samples, today=date(2026, 5, 2)).features[0].details

    assert (details["future"], len(details["days"])) == (2, 1)


def test_one_answer_a_prompt_is_refused():
    samples = [(day, f"p{n}", "a") for day in range(20) for n in range(24)]

    with pytest.raises(NotComparableError, match="one answer says nothing"):
        Canary.identity(samples)


def test_changed_prompts_are_refused():
    draw = random.Random(0)
    samples = [one for day in range(12) for one in _answers(draw, {"p": {"a": 1, "b": 1}}, day, 50)]
    samples += _answers(draw, {"q": {"a": 1, "b": 1}}, 12, 50)

    with pytest.raises(NotComparableError, match="prompts were changed"):
        Canary.identity(samples)


@pytest.mark.parametrize(
    "samples",
    [["text"], [{"prompt": "p", "answer": "a"}], [(None, "p", "a")], [("yesterday", "p", "a")], [(True, "p", "a")],
     [(0, "p", "a"), (10**6, "p", "a")]],
)  # fmt: skip
def test_samples_of_another_form_are_refused(samples: list[Any]):
    with pytest.raises(ConfigError):
        Canary.identity(samples)


def test_days_as_dates_and_as_numbers_do_not_mix():
    with pytest.raises(NotComparableError, match="in the same way"):
        Canary.identity([(0, "p", "a"), (date(2026, 1, 1), "p", "a")])


@needs_data
def test_the_synthetic_canary():
    file = Path(str(_DATA)) / "drift" / "canary_synthetic.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        [feature] = Canary.identity(map(json.loads, lines)).features

    assert feature.details["detected_day"] == 29
    states = {one["day"]: one["state"] for one in feature.details["days"]}
    assert (states[17], states[18]) == ("no_data", "no_data")
