"""Objectives: the windows, the reference values, low traffic, and thresholds that cannot be reached."""

from __future__ import annotations

import math
import random

import pytest

from llmops_sdk.config import SloSettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.monitoring.rollup._labels import Labels
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._track import Row
from llmops_sdk.monitoring.slo._objective import Objective
from llmops_sdk.monitoring.slo._windows import burn_windows, exhaustion, time_to_fire
from llmops_sdk.monitoring.watch._engine import Engine, Event

DAY = 1_440
LABELS = Labels(bytes(32))


def counted(objective: Objective, rows: list[Row]) -> Rollup:
    """Return counts of these minutes, as if they had been read from a store."""
    rollup = Rollup(lambda sql, params: [(row[0], *row[1:]) for row in rows], objective.wanted(), LABELS)
    rollup.refresh((rows[-1][0] + 1) * 60)
    return rollup


def run(objective: Objective, rows: list[Row], since: int, until: int) -> list[Event]:
    engine = Engine([objective], counted(objective, rows))
    return [event for minute in range(since, until + 1) for event in engine.step(minute * 60)]


def slo(**given: object) -> Objective:
    return Objective("answers", SloSettings.model_validate({"objective": 0.99, **given}), simulated=False)


def test_windows_of_thirty_days():
    assert [(round(w.burn, 4), w.long, w.short, w.severity) for w in burn_windows(30 * 86_400)] == [
        (14.4, 3_600, 300, "page"),
        (6.0, 21_600, 1_800, "page"),
        (3.0, 86_400, 7_200, "ticket"),
        (1.0, 259_200, 21_600, "ticket"),
    ]


def test_short_periods_have_shorter_windows():
    for period in (86_400.0, 3 * 86_400.0, 7 * 86_400.0):
        windows = burn_windows(period)
        assert all(one.burn >= 0.9 and one.long <= period / 8 for one in windows)
        assert all(one.short < one.long for one in windows)


@pytest.mark.parametrize(
    ("objective", "share", "minutes"), [(0.999, 1.0, 0.864), (0.999, 0.1, 8.64), (0.99, 1.0, 8.64), (0.99, 0.5, 17.28)]
)
def test_time_to_fire(objective: float, share: float, minutes: float):
    assert time_to_fire(burn_windows(30 * 86_400)[0], objective, share) / 60 == pytest.approx(minutes)


@pytest.mark.parametrize(
    ("objective", "share", "hours"), [(0.999, 1.0, 0.72), (0.999, 0.1, 7.2), (0.99, 1.0, 7.2), (0.99, 0.5, 14.4)]
)
def test_exhaustion(objective: float, share: float, hours: float):
    assert exhaustion(30 * 86_400, objective, share) / 3_600 == pytest.approx(hours)


def outage(good: int, bad: int, start: int = 100_000 * DAY) -> list[Row]:
    return [(start + minute, 10.0, 0.0 if minute < good else 10.0, 0.0, 0.0) for minute in range(good + bad)]


def test_the_timeline_of_promtool():
    """Ten events a minute, three days good, then all bad: 1h at 9-11, 6h at 22-24, all four at 44-46."""
    good = 3 * DAY
    objective = slo()
    rows = outage(good, 60)
    start = rows[0][0] + good
    rollup = counted(objective, rows)
    seen: dict[str, int] = {}
    for minute in range(61):
        for outcome in objective.evaluate(rollup, (start + minute) * 60):
            if outcome.is_bad:
                for window in outcome.details["fired"]:
                    seen.setdefault(window, minute)

    assert 9 <= seen["1h"] <= 11
    assert 22 <= seen["6h"] <= 24
    assert 43 <= max(seen.values()) <= 46
    assert set(seen) == {"1h", "6h", "1d", "3d"}


def test_recovery_resolves_within_the_short_window_and_keep():
    good = 3 * DAY
    rows = outage(good, 12)
    start = rows[0][0] + good
    rows += [(start + 12 + minute, 10.0, 0.0, 0.0, 0.0) for minute in range(60)]
    events = [(e.time // 60 - start, e.change.state) for e in run(slo(keep=600), rows, start, start + 70)]

    assert [state for _, state in events] == ["firing", "resolved"]
    # The fault ends at 12. The short window of five minutes is good enough soon after, then `keep` passes.
    assert 12 + 10 <= events[1][0] <= 12 + 5 + 10 + 1


def test_a_window_with_less_than_half_its_history_is_warming():
    """With 68 good minutes, then bad ones, the long windows would fire first if they counted what they have."""
    rows = outage(68, 60)
    start = rows[0][0] + 68
    objective = slo()
    rollup = counted(objective, rows)
    fired = {
        window
        for minute in range(60)
        for outcome in objective.evaluate(rollup, (start + minute) * 60)
        if outcome.is_bad
        for window in outcome.details["fired"]
    }

    assert fired == {"1h"}


def test_unreachable_windows_are_refused_with_the_window_and_what_to_do():
    with pytest.raises(ConfigError, match=r"window of 60 minutes can never fire.*14.4.*objective = 0.9.*10") as refused:
        slo(objective=0.9)

    assert 'basis = "events"' in str(refused.value)
    assert "above 0.931" in str(refused.value)
    assert refused.value.key == "slo.answers.objective"
    slo(objective=0.94)
    slo(objective=0.9, basis="events")


def test_events_basis_fires_where_shares_cannot():
    good = 10 * DAY
    start = 100_000 * DAY
    # 1 a minute: 43,200 a period, whose budget is 4,320 bad events; 2 % of it are 86.
    rows: list[Row] = [(start + minute, 1.0, 0.05 if minute < good else 1.0, 0.0, 0.0) for minute in range(good + 400)]
    events = run(slo(objective=0.9, basis="events"), rows, start + good, start + good + 399)
    pages = [event for event in events if event.alert.severity == "page"]

    # 5 % of 4,320 within six hours; the hour alone has 60 events, fewer than the 86 that its rule needs.
    assert [event.change.state for event in pages] == ["firing"]
    assert 200 <= pages[0].time // 60 - (start + good) <= 240


@pytest.mark.parametrize(
    ("objective", "events", "bad", "pages"),
    [
        (0.99, 1, 1, False),
        (0.99, 10, 1, False),
        (0.99, 10, 2, False),
        (0.99, 10, 3, True),
        (0.99, 20, 2, False),
        (0.999, 100, 3, True),
        (0.95, 50, 5, False),
        (0.95, 20, 4, False),
    ],
)
def test_low_traffic_needs_surprising_failures(objective: float, events: int, bad: int, pages: bool):
    start = 100_000 * DAY
    # Two days of one good event an hour would be part of the hour: leave the last hour to the case.
    rows: list[Row] = [(start + hour * 60, 1.0, 0.0, 0.0, 0.0) for hour in range(48)]
    end = start + 49 * 60
    rows.append((end - 3, float(events), float(bad), 0.0, 0.0))
    fired = [
        outcome
        for outcome in slo(objective=objective).evaluate(counted(slo(objective=objective), rows), end * 60)
        if outcome.is_bad and outcome.severity == "page" and "1h" in outcome.details["fired"]
    ]

    assert bool(fired) is pages


def test_thirty_quiet_days_of_few_events_page_nobody_and_three_failures_page_once():
    """12 events an hour; of them 1 in 1,000 fails by chance."""
    chance = random.Random(4)
    start = 100_000 * DAY
    days = 30
    rows: list[Row] = [
        (start + minute, 1.0, float(chance.random() < 0.001), 0.0, 0.0) for minute in range(0, days * DAY, 5)
    ]
    quiet = run(slo(), rows, start + DAY, start + days * DAY)

    assert [event for event in quiet if event.alert.severity == "page"] == []

    end = start + days * DAY
    rows += [(end + 60 + minute, 1.0, 1.0, 0.0, 0.0) for minute in (1, 5, 9)]
    rows += [(end + 60 + minute, 1.0, 0.0, 0.0, 0.0) for minute in range(15, 180, 5)]
    faulty = [event for event in run(slo(), rows, end + 30, end + 200) if event.alert.severity == "page"]

    assert [event.change.state for event in faulty] == ["firing", "resolved"]
    assert faulty[0].time // 60 - (end + 60 + 9) <= 2


def test_a_trickle_of_failures_pages_where_windows_are_too_small():
    """One call in three hours, of which nine in ten fail: eight days without a page elsewhere."""
    start = 100_000 * DAY
    rows: list[Row] = [(start + hour * 60, 1.0, 0.0, 0.0, 0.0) for hour in range(0, 240, 2)]
    fault = start + 240 * 60
    rows += [(fault + hour * 60, 1.0, float(hour % 10 != 9), 0.0, 0.0) for hour in range(48)]
    pages = [event for event in run(slo(), rows, fault, fault + 2 * DAY) if event.alert.severity == "page"]

    assert pages[0].change.state == "firing"
    assert pages[0].time // 60 - fault <= DAY


def test_budget_tells_what_is_left_and_how_long_it_lasts():
    rows: list[Row] = [(100_000 * DAY + minute, 10.0, 0.0, 0.0, 0.0) for minute in range(30 * DAY - 60)]
    rows += [(rows[-1][0] + 1 + minute, 10.0, 1.0, 0.0, 0.0) for minute in range(60)]
    objective = slo()
    budget = objective.budget(counted(objective, rows), (rows[-1][0] + 1) * 60)

    assert budget.burn == pytest.approx(10)
    assert budget.left == pytest.approx(1 - 60 / 4_320)
    assert budget.exhausted_in is not None
    assert math.isclose(budget.exhausted_in / 3_600, 72 * (1 - 60 / 4_320), rel_tol=1e-6)


@pytest.mark.parametrize("sli", ["latency", "ttft", "cost"])
def test_an_indicator_that_needs_a_threshold_says_so(sli: str):
    with pytest.raises(ConfigError, match="needs a threshold"):
        slo(sli=sli)


def test_an_unknown_indicator_is_refused():
    with pytest.raises(ConfigError, match="there is no indicator 'speed'"):
        slo(sli="speed")
