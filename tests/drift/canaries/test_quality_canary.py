"""Paired scores: worse, better and only different are told apart, soon and with few false alarms."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from llmops_sdk.drift import Canary, DriftReport, Feature
from llmops_sdk.errors import ConfigError, NotComparableError

_DATA = os.environ.get("LLMOPS_BENCH_DATA")
needs_data = pytest.mark.skipif(_DATA is None, reason="needs LLMOPS_BENCH_DATA")


def _features(report: DriftReport) -> dict[str, Feature]:
    return {one.signal: one for one in report.features}


def _loss(seed: int, *, before: float, after: float, n: int) -> tuple[list[int], list[int]]:
    draw = random.Random(seed)
    return [int(draw.random() < before) for _ in range(n)], [int(draw.random() < after) for _ in range(n)]


def test_a_loss_is_found_after_few_items():
    before, after = _loss(1, before=0.84, after=0.5, n=1_000)
    [feature] = Canary.quality(before, after).features

    assert (feature.status, feature.details["direction"], feature.cause) == ("drifted", "worse", "provider")
    assert feature.details["stopped_at"] < 150
    assert feature.interval is not None
    assert feature.interval.low < -0.34 < feature.interval.high < 0
    assert feature.e_value is not None
    assert feature.e_value >= 100


def test_equal_models_are_steady_at_every_look():
    alarms = 0
    for seed in range(60):
        draw = random.Random(seed)
        pairs = [(1, 0) if draw.random() < 0.5 else (0, 1) for _ in range(200)]
        alarms += Canary.quality([one for one, _ in pairs], [one for _, one in pairs], alpha=0.05).drifted

    assert alarms <= 6


def test_items_sorted_by_label_are_shuffled():
    # The new model answers no to everything: the first half, whose truth is yes, looks like a total loss.
    before = [1] * 250 + [0] * 250
    after = [0] * 250 + [1] * 250
    report = Canary.quality(before, after, seed=3)

    assert not report.drifted
    assert report.features[0].effect == 0
    assert report.features[0].details["seed"] == 3


def test_the_seed_alone_decides_the_order():
    before, after = _loss(5, before=0.8, after=0.6, n=400)
    rows = [[{"item_id": n, "score": one} for n, one in enumerate(scores)] for scores in (before, after)]
    turned = [list(reversed(one)) for one in rows]

    assert Canary.quality(*rows, seed=7) == Canary.quality(*turned, seed=7)
    stops = {Canary.quality(*rows, seed=seed).features[0].details["stopped_at"] for seed in range(5)}
    assert len(stops) > 1


def test_changed_and_worse_are_told_apart():
    draw = random.Random(6)
    letters = [draw.choice("ABCD") for _ in range(600)]
    before = [{"id": n, "score": 0.5, "answer": one} for n, one in enumerate(letters)]
    # Other letters, the same quality, one answer more.
    after = [{"id": n, "score": 0.5, "answer": "A" if one in "AB" else one} for n, one in enumerate(letters)]
    before[0]["answer"] = None
    found = _features(Canary.quality(before, after))

    assert {signal: one.status for signal, one in found.items()} == {
        "score": "steady", "answered": "steady", "answer_distribution": "drifted",
    }  # fmt: skip
    assert found["answer_distribution"].effect == pytest.approx(0.25, abs=0.05)


def test_fewer_answers_are_told_beside_the_score():
    draw = random.Random(7)
    before = [{"item": str(n), "score": 1, "answer": draw.choice("AB"), "trace_id": "a" * 32} for n in range(100)]
    after = [{**one, "answer": None, "score": None, "trace_id": f"{n:032x}"} if n % 3 else one
             for n, one in enumerate(before)]  # fmt: skip
    report = Canary.quality(before, after)
    found = _features(report)

    assert (found["answered"].status, found["answered"].details["direction"]) == ("drifted", "fewer")
    assert (found["score"].status, found["score"].details["missing"]) == ("steady", 66)
    assert len(report.examples) == 5


def test_items_of_one_side_are_counted_and_repeats_are_averaged():
    before = [{"id": n, "score": 1} for n in range(30)]
    after = [{"id": n, "score": score} for n in range(10, 50) for score in (1, 0)]
    details = Canary.quality(before, after).features[0].details

    assert (details["unpaired_before"], details["unpaired_after"]) == (10, 20)
    assert details["current_mean"] == 0.5


def test_few_pairs_are_not_enough():
    report = Canary.quality([1] * 5, [0] * 5)

    assert report.status == "not_enough_data"
    assert "at least 10" in report.reason


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(NotComparableError, match="no item is in both"):
        Canary.quality([{"id": 1, "score": 1}], [{"id": 2, "score": 1}])
    with pytest.raises(ConfigError, match="3 scores before and 2 after"):
        Canary.quality([1, 1, 1], [1, 1])
    with pytest.raises(ConfigError, match="low= and high="):
        Canary.quality([5], [1])
    with pytest.raises(ConfigError, match="item_id"):
        Canary.quality([{"score": 1}], [{"score": 1}])
    with pytest.raises(ConfigError, match="alpha"):
        Canary.quality([1], [1], alpha=1)


# --- Published answers of four snapshots -----------------------------------------------------------------------------


def _rows(task: str, model: str) -> list[dict[str, Any]]:
    """Return the rows of a model; an item is its place in the file, as some ids stand there twice."""
    with gzip.open(Path(str(_DATA)) / "drift" / f"model_update_{task}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["model"] == model]
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        one = {"item_id": number, "score": row["score"]}
        if task == "opinion":
            letter = re.match(r"\s*\(?([A-Z])\)", row["answer"] or "")
            one["answer"] = letter and letter.group(1)
        found.append(one)
    return found


@needs_data
@pytest.mark.parametrize(
    ("task", "before", "after", "most"),
    [
        ("prime", "gpt-4-0314", "gpt-4-0613", 82),
        ("opinion", "gpt-4-0314", "gpt-4-0613", 43.7),
    ],
)
def test_a_real_update_is_found_after_few_items(task: str, before: str, after: str, most: float):
    old, new = ([{key: one[key] for key in ("item_id", "score")} for one in _rows(task, model)]
                for model in (before, after))  # fmt: skip
    stops = [Canary.quality(old, new, seed=seed).features[0].details["stopped_at"] for seed in range(15)]

    assert median(stops) <= 1.25 * most  # of 15 orders; the benchmark takes 400


@needs_data
def test_a_real_update_that_answers_more_and_agrees_less():
    found = _features(
        Canary.quality(_rows("opinion", "gpt-3.5-turbo-0301"), _rows("opinion", "gpt-3.5-turbo-0613"), alpha=0.05)
    )

    assert found["score"].effect == pytest.approx(-0.0604, abs=0.001)
    assert found["score"].details["direction"] == "worse"
    assert found["answered"].status == "steady"
    assert found["answered"].effect == pytest.approx(0.004, abs=0.002)
    assert found["answer_distribution"].status == "drifted"
    assert found["answer_distribution"].details["psi"] == pytest.approx(0.069, abs=0.02)
