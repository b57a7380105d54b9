"""A stream of scores: few false alarms although the reference is an estimate, early alarms, and where it changed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable
from statistics import median
from typing import Any

import pytest

import llmops_sdk as llmops
from llmops_sdk.drift import ConceptMonitor, concept_drift
from llmops_sdk.drift.streams._sums import Sums, signed_root
from llmops_sdk.errors import ConfigError, QueryError


def _bernoulli(draw: random.Random, rate: float, n: int) -> list[bool]:
    return [draw.random() < rate for _ in range(n)]


def _detected(reference: Iterable[Any], stream: Iterable[Any], **options: Any) -> int | None:
    """Return after how many scores the alarm comes, or None."""
    monitor = ConceptMonitor(reference, **options)
    return next((n for n, score in enumerate(stream, start=1) if monitor.update(score)), None)


def _alarms(seeds: range, *, rate: float, reference: int, length: int, **options: Any) -> int:
    found = 0
    for seed in seeds:
        draw = random.Random(seed)
        usual = _bernoulli(draw, rate, reference)
        found += _detected(usual, _bernoulli(draw, rate, length), **options) is not None
    return found


def _delays(seeds: range, *, reference: int, rate: float, length: int = 3_000) -> list[float]:
    found: list[float] = []
    for seed in seeds:
        draw = random.Random(seed)
        usual = _bernoulli(draw, 0.2, reference)
        found.append(_detected(usual, _bernoulli(draw, rate, length)) or math.inf)
    return found


# --- Error rates -----------------------------------------------------------------------------------------------------


def test_a_rate_estimated_from_few_scores_raises_few_false_alarms():
    # The CUSUM that takes the estimate as the truth raises an alarm in a third of these streams.
    assert _alarms(range(40), rate=0.2, reference=100, length=600, horizon=600) <= 5


@pytest.mark.thorough
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("rate", "reference"), [(0.2, 100), (0.2, 300), (0.2, 1_000), (0.02, 300), (0.5, 300), (0.97, 300)]
)
def test_false_alarms_stay_within_alpha(rate: float, reference: int):
    # 400 streams: six more than alpha is by chance, at a rate of 5 %, in one of eleven.
    assert _alarms(range(10_000, 10_400), rate=rate, reference=reference, length=2_000) <= 0.05 * 400 + 9


@pytest.mark.parametrize("two_sided", [True, False])
def test_the_simulation_decides_as_the_monitor(two_sided: bool):
    np = pytest.importorskip("numpy")
    import drift_simulation as simulation

    before, scores = simulation.draw(
        np.random.default_rng(3), 4, reference=100, rate=0.2, length=300, later=0.4, quiet=150
    )
    found = simulation.p_values(100, before, scores, two_sided=two_sided)
    for number, ones in enumerate(before.astype(int).tolist()):
        monitor = ConceptMonitor([1] * ones + [0] * (100 - ones), alternative="two-sided" if two_sided else "greater")
        for n, score in enumerate(scores[:, number].tolist(), start=1):
            monitor.update(score)
            if n % simulation.STEP == 0:
                assert min(1.0, found[n // simulation.STEP - 1, number]) == pytest.approx(monitor.p_value, rel=1e-4)


def test_a_large_change_is_found_soon():
    assert median(_delays(range(20), reference=1_000, rate=0.35, length=600)) <= 200


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_delays():
    assert median(_delays(range(20_000, 20_300), reference=1_000, rate=0.35)) <= 180
    small = _delays(range(20_000, 20_300), reference=1_000, rate=0.25)
    assert median(small) <= 1_200
    assert sum(one < math.inf for one in small) >= 0.85 * len(small)


def test_looking_for_one_direction_finds_only_that_one():
    draw = random.Random(3)
    reference, worse = _bernoulli(draw, 0.8, 300), _bernoulli(draw, 0.5, 300)

    assert concept_drift(reference, worse, alternative="less").drifted
    assert not concept_drift(reference, worse, alternative="greater").drifted


def test_the_root_of_the_likelihood_ratio_is_signed_and_follows_the_dispersion():
    assert signed_root(Sums(100, 20, 20), Sums(100, 20, 20)) == pytest.approx(0, abs=1e-6)
    assert signed_root(Sums(100, 20, 20), Sums(100, 35, 35)) == pytest.approx(2.38, abs=0.02)
    assert signed_root(Sums(100, 35, 35), Sums(100, 20, 20)) == pytest.approx(-2.38, abs=0.02)
    # Scores that vary a quarter as much give the double.
    narrow = signed_root(Sums(100, 20, 20 * 0.2 + 0.25 * 16), Sums(100, 35, 35 * 0.35 + 0.25 * 22.75))
    assert narrow == pytest.approx(2 * 2.38, rel=0.1)
    assert signed_root(Sums(), Sums(100, 35, 35)) == 0
    assert signed_root(Sums(50, 50, 50), Sums(50, 50, 50)) == 0


# --- The report ------------------------------------------------------------------------------------------------------


def test_report_says_direction_place_and_examples():
    draw = random.Random(8)
    usual, stream = _bernoulli(draw, 0.9, 500), [*_bernoulli(draw, 0.9, 300), *_bernoulli(draw, 0.5, 200)]
    ids = [f"{number:032x}" for number in range(len(stream))]

    report = concept_drift(usual, stream, name="helpful", trace_ids=ids)

    [feature] = report.features
    assert (report.kind, report.status, feature.signal) == ("concept", "drifted", "helpful")
    assert feature.details["direction"] == "down"
    change = feature.details["change_index"]
    assert 285 <= change <= 315
    assert change < feature.details["detected_at"] <= 400
    assert feature.examples == tuple(ids[change : change + 5])
    assert feature.interval is not None
    assert feature.effect is not None
    assert feature.interval.low < feature.effect < feature.interval.high < 0
    assert feature.p_value is not None
    assert feature.p_value <= 0.05
    assert "fell from" in report.reason


def test_a_change_for_the_better_is_told_as_such():
    draw = random.Random(5)
    feature = concept_drift(_bernoulli(draw, 0.3, 300), _bernoulli(draw, 0.6, 300)).features[0]

    assert feature.details["direction"] == "up"


def test_scores_between_the_bounds_and_on_other_scales():
    draw = random.Random(9)
    usual = [min(5, max(1, draw.gauss(4, 0.6))) for _ in range(400)]
    same = [min(5, max(1, draw.gauss(4, 0.6))) for _ in range(400)]
    worse = [min(5, max(1, draw.gauss(3.7, 0.6))) for _ in range(400)]

    assert not concept_drift(usual, same, low=1, high=5).drifted
    report = concept_drift(usual, worse, low=1, high=5)
    assert report.drifted
    assert report.features[0].effect == pytest.approx(-0.3, abs=0.1)
    assert report.features[0].details["reference_mean"] == pytest.approx(4, abs=0.15)


def test_missing_scores_are_counted_and_few_scores_are_not_enough():
    usual = [1, None, math.nan] * 40 + [0] * 20
    report = concept_drift(usual, [1, None, 0] * 10)
    [feature] = report.features

    assert report.status == "not_enough_data"
    assert (feature.reference_n, feature.current_n) == (60, 20)
    assert (feature.details["missing_reference"], feature.details["missing_current"]) == (80, 10)
    assert not concept_drift([], []).drifted
    assert concept_drift([1, 0] * 5, [0] * 500).status == "not_enough_data"


def test_scores_that_never_vary_are_steady_until_they_do():
    assert concept_drift([True] * 300, [True] * 300).status == "steady"
    assert concept_drift([True] * 300, [True] * 50 + [False] * 60).drifted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "alpha"),
        ({"low": 1, "high": 0}, "bounds"),
        ({"horizon": 0}, "horizon"),
        ({"alternative": "both"}, "two-sided"),
        ({"trace_ids": ["a"]}, "trace_ids"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        concept_drift([0, 1], [0, 1], **arguments)


def test_scores_out_of_range_and_of_other_types_are_refused():
    with pytest.raises(ConfigError, match="low= and high="):
        concept_drift([0, 7], [])
    with pytest.raises(ConfigError, match="no number but a list"):
        concept_drift([[1]], [])  # pyright: ignore[reportArgumentType]


# --- One score after the other ---------------------------------------------------------------------------------------


def test_a_monitor_goes_on_from_its_state_as_if_it_had_never_stopped():
    draw = random.Random(4)
    usual, stream = _bernoulli(draw, 0.2, 300), [*_bernoulli(draw, 0.2, 203), *_bernoulli(draw, 0.5, 150)]
    whole = ConceptMonitor(usual, name="error")
    parts = ConceptMonitor(usual, name="error")
    for number, score in enumerate(stream):
        whole.update(score, f"id{number}")
        parts.update(score, f"id{number}")
        if number % 50 == 49:
            parts = ConceptMonitor.from_state(json.loads(json.dumps(parts.state())))

    assert parts.state() == whole.state()
    assert parts.report() == whole.report()
    assert whole.drifted
    assert len(whole.report().examples) == 5


def test_the_state_of_a_long_stream_is_small():
    draw = random.Random(1)
    monitor = ConceptMonitor(_bernoulli(draw, 0.2, 300))
    for _ in range(6_000):
        monitor.update(draw.random() < 0.2, "f" * 32)

    assert len(json.dumps(monitor.state())) < 60_000


def test_a_state_of_another_version_is_refused():
    with pytest.raises(ConfigError, match="begin again"):
        ConceptMonitor.from_state({**ConceptMonitor([1]).state(), "version": 0})


# --- From the store --------------------------------------------------------------------------------------------------


def _score_traces(values: Iterable[float]) -> None:
    for value in values:
        with llmops.span("answer") as span:
            span.score("helpful", value)


def test_sql_gives_the_scores_and_their_traces():
    _score_traces([1, 1, 1, 0] * 30 + [0, 0, 0, 1] * 30)
    numbered = "SELECT time, value, trace_id, row_number() OVER (ORDER BY time) AS n FROM scores"

    # The order of the rows is of no matter.
    report = concept_drift(
        f"SELECT time, value FROM ({numbered}) WHERE n <= 120 ORDER BY value",
        f"SELECT time, trace_id, value FROM ({numbered}) WHERE n > 120 ORDER BY value",
    )

    assert report.drifted
    assert report.features[0].details["change_time"] is not None
    known = {one for (one,) in llmops.query("SELECT trace_id FROM traces").rows()}
    assert len(report.examples) == 5
    assert set(report.examples) <= known


def test_wrong_sql_is_told_with_the_window_that_it_is_for():
    with pytest.raises(ConfigError, match="current returns value"):
        concept_drift([1, 0], "SELECT 1 AS value")
    with pytest.raises(QueryError, match="reference: "):
        concept_drift("SELECT nothing", [1])


def test_river_agrees_about_large_changes():
    """ADWIN is the oracle where it is installed: both find a large change, neither finds one in a steady stream."""
    drift = pytest.importorskip("river.drift")
    for seed in range(5):
        draw = random.Random(seed)
        usual = _bernoulli(draw, 0.2, 500)
        for rate in (0.2, 0.6):
            stream, adwin, found = _bernoulli(draw, rate, 500), drift.ADWIN(delta=0.002), False
            for score in (*usual, *stream):
                adwin.update(int(score))
                found = found or adwin.drift_detected
            assert found is (rate == 0.6)
            assert concept_drift(usual, stream, alpha=0.002).drifted is found
