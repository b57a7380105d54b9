"""Rules without a threshold: what is usual, what is not, and how often they are wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from llmops_sdk.config import AlertSettings
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._track import Row, Track
from llmops_sdk.monitoring.rules._anomaly import RateAnomalyRule, SeasonalRule
from llmops_sdk.monitoring.rules._metrics import metric_of
from llmops_sdk.monitoring.rules._seasonal import BUCKET, FIRE_AT, fit_profile
from llmops_sdk.monitoring.watch._engine import Engine

DAY = 86_400
MONDAY = 20_703 * DAY  # also the begin of a UTC day


def rule_of(metric: str, **given: Any) -> Any:
    rule = AlertSettings(name="usual", metric=metric, anomaly="seasonal", **given)
    found = metric_of(rule, simulated=False)
    return (RateAnomalyRule if found.shape == "share" else SeasonalRule)(rule, found, 60.0)


def alarms(rule: Any, rows: Sequence[Row], since: int, until: int, step: int = BUCKET) -> list[int]:
    """Return when alerts begin over these counts."""
    rollup = Rollup(lambda sql, params: list(rows), dict.fromkeys(rule.wanted(), 1e9), Labels(bytes(32)))
    rollup.refresh(until)
    engine = Engine([rule], rollup)
    return [
        event.time
        for now in range(since, until + 1, step)
        for event in engine.step(now)
        if event.change.state == "firing"
    ]


def week(values: Sequence[float], days: int, spike: dict[int, float] | None = None) -> list[Row]:
    """Return buckets of some days: the value at each hour of the day, and other values in some buckets."""
    first = MONDAY // BUCKET
    rows: list[Row] = []
    for bucket in range(first, first + days * 288):
        value = (spike or {}).get(bucket - first, values[bucket // 12 % 24])
        rows.append((bucket, value, 0.0, value, 0.0))
    return rows


HOURS = [20.0] * 8 + [200.0] * 10 + [20.0] * 6


def test_a_daily_peak_is_usual_and_the_same_volume_at_night_is_not():
    spike = {40 * 288 + 2 * 12 + number: 200.0 for number in range(6)}
    rows = week(HOURS, 42, spike)

    assert alarms(rule_of("calls"), rows, MONDAY + 30 * DAY, MONDAY + 42 * DAY) == [
        MONDAY + 40 * DAY + 2 * 3_600 + 3 * BUCKET
    ]


def test_one_unusual_bucket_is_no_anomaly():
    rows = week(HOURS, 42, {40 * 288 + 24: 5_000.0, 40 * 288 + 25: 5_000.0, 41 * 288: 9_000.0})

    assert alarms(rule_of("calls"), rows, MONDAY + 30 * DAY, MONDAY + 42 * DAY) == []


def test_a_fall_is_found_where_below_is_bad():
    rows = week(HOURS, 42, {40 * 288 + 12 * 12 + number: 0.0 for number in range(12)})

    assert alarms(rule_of("calls", compare="below"), rows, MONDAY + 30 * DAY, MONDAY + 42 * DAY) != []
    assert alarms(rule_of("calls"), rows, MONDAY + 30 * DAY, MONDAY + 42 * DAY) == []


def test_without_a_day_of_history_nothing_is_decided():
    rows = week([10.0] * 24, 2, {140 + number: 900.0 for number in range(12)})

    assert alarms(rule_of("calls"), rows, MONDAY, MONDAY + 20 * 3_600) == []


def test_rare_events_have_a_floor_where_the_deviation_is_zero():
    """More than half of the buckets are empty: median and MAD are 0, and one event is one deviation."""
    track = Track()
    first = MONDAY // BUCKET
    track.replace(0, [(first + number, 1.0, 0.0, 1.0, 0.0) for number in range(0, 40 * 288, 9)])
    profile = fit_profile(track, "sum", first + 40 * 288, counts=True, above=True, false_alarms=1.0)

    assert profile is not None
    assert profile.score(first + 40 * 288, 1.0) == 1.0
    assert profile.fire_at == FIRE_AT


@pytest.mark.parametrize(("days", "slots"), [(0.5, None), (3, 1), (10, 24), (30, 168)])
def test_the_seasons_follow_the_history(days: float, slots: int | None):
    track = Track()
    first = MONDAY // BUCKET
    count = int(days * 288)
    track.replace(0, [(first + number, 5.0, 0.0, 5.0, 0.0) for number in range(count)])
    profile = fit_profile(track, "sum", first + count, counts=True, above=True, false_alarms=1.0)

    assert (None if profile is None else profile.slots) == slots


def test_a_share_is_compared_with_its_usual_rate_at_any_time():
    first = MONDAY // 60
    days = 30
    rows: list[Row] = [(first + minute, 10.0, 0.1, 0.0, 0.0) for minute in range(days * 1_440)]
    fault = first + (days - 1) * 1_440 + 605
    rows = [row if row[0] < fault else (row[0], 10.0, 1.0, 0.0, 0.0) for row in rows]
    [begin, *others] = alarms(rule_of("errors"), rows, MONDAY + 20 * DAY, MONDAY + days * DAY, step=60)

    assert others == []
    assert begin // 60 - fault <= 10


def test_rules_allow_less_when_less_is_allowed():
    assert rule_of("errors", false_alarms_per_month=0.1)._log_needed == pytest.approx(math.log(7_200))
    assert rule_of("errors", false_alarms_per_month=1.0)._log_needed == pytest.approx(math.log(720))


def test_the_simulation_decides_as_the_rule():
    np = pytest.importorskip("numpy")
    import monitoring_simulation as simulation

    for seed, traffic in enumerate((
        simulation.Traffic("calls", 3), simulation.Traffic("cost", 10, spread=1.5),
        simulation.Traffic("latency_p95", 10, spread=0.6),
    )):  # fmt: skip
        rng = np.random.default_rng(seed)
        values, events = simulation.draw(traffic, 44, rng, 42 * 288 + 300, 3.0)
        begin = MONDAY // BUCKET // 2_016 * 2_016
        # The hours of the week of the simulation begin at 0.
        rows: list[Row] = [
            (begin + number, float(n), 0.0, float(value), 0.0)
            for number, (value, n) in enumerate(zip(values, events, strict=True))
            if n
        ]
        rule = rule_of(traffic.metric)
        rng = np.random.default_rng(seed)
        marks = simulation.unusual(
            values, events, shape="quantile" if traffic.metric.startswith("lat") else "sum",
            counts=traffic.metric == "calls", allowed=(1.0,),
        )[0]  # fmt: skip
        hits = np.convolve(marks.astype(int), np.ones(5, dtype=int))[: len(marks)] >= 3
        rollup = Rollup(lambda sql, params, rows=rows: rows, dict.fromkeys(rule.wanted(), 1e9), Labels(bytes(32)))
        end = (begin + 44 * 288) * BUCKET
        rollup.refresh(end)
        # The first five buckets look back into the last day of the history, where the simulation does not look.
        decided = [
            any(outcome.is_bad for outcome in rule.evaluate(rollup, (begin + 42 * 288 + number + 1) * BUCKET))
            for number in range(5, len(marks))
        ]
        # A profile is from midnight on; a bucket that ends at midnight is decided by the next day's.
        same = [one == bool(other) for one, other in zip(decided, hits[5:], strict=True)]
        assert sum(same) >= len(same) - 6
        assert any(decided)


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("metric", "a_bucket", "spread"),
    [("calls", 2, 0), ("cost", 5, 1.5), ("cost", 15, 1.0), ("cost", 40, 1.0), ("latency_p95", 20, 0.6)],
)
def test_ten_thousand_stationary_months_have_at_most_the_allowed_false_alarms(
    metric: str, a_bucket: float, spread: float
):  # fmt: skip
    np = pytest.importorskip("numpy")
    import monitoring_simulation as simulation

    rng = np.random.default_rng(7)
    traffic = simulation.Traffic(metric, a_bucket, spread=spread)
    streams = [simulation.seasonal_alarms(traffic, rng, allowed=(1.0, 0.1), days=20 * 30) for _ in range(500)]

    assert sum(len(usually) for usually, _ in streams) <= 10_000
    assert sum(len(rarely) for _, rarely in streams) <= 1_000


def test_stationary_months_have_at_most_the_allowed_false_alarms():
    np = pytest.importorskip("numpy")
    import monitoring_simulation as simulation

    rng = np.random.default_rng(7)
    months = 12
    seasonal = sum(len(simulation.seasonal_alarms(simulation.Traffic("cost", 40), rng)[0]) for _ in range(months))
    shares, _ = simulation.rate_alarms(rng, rate=0.01, a_minute=10, months=months)

    assert seasonal <= months
    assert shares <= months


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
def test_ten_thousand_stationary_months_of_a_share():
    np = pytest.importorskip("numpy")
    import monitoring_simulation as simulation

    found, _ = simulation.rate_alarms(np.random.default_rng(7), rate=0.01, a_minute=10, months=10_000)

    assert found <= 10_000
