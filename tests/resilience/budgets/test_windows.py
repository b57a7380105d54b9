"""The time windows of budgets."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.config import BudgetSettings
from llmops_sdk.resilience.budgets._windows import window_at


def budget(window):
    return BudgetSettings(name="b", limit_usd=1, window=window)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        ("minute", "2024-02-29T23:59:59.999", "2024-02-29T23:59", "2024-03-01T00:00"),
        ("hour", "2023-12-31T23:00", "2023-12-31T23:00", "2024-01-01T00:00"),
        ("day", "2024-02-29T12:00", "2024-02-29T00:00", "2024-03-01T00:00"),
        ("day", "2023-02-28T23:59:59", "2023-02-28T00:00", "2023-03-01T00:00"),
        ("week", "2024-03-03T23:59:59", "2024-02-26T00:00", "2024-03-04T00:00"),  # a Sunday
        ("week", "2024-03-04T00:00", "2024-03-04T00:00", "2024-03-11T00:00"),  # a Monday
        ("week", "2024-12-31T08:00", "2024-12-30T00:00", "2025-01-06T00:00"),
        ("month", "2024-02-29T23:59:59", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("month", "2023-02-28T23:59:59", "2023-02-01T00:00", "2023-03-01T00:00"),
        ("month", "2024-12-31T23:59:59", "2024-12-01T00:00", "2025-01-01T00:00"),
        ("month", "2024-01-31T00:00", "2024-01-01T00:00", "2024-02-01T00:00"),
        ("month", "2024-03-01T00:00", "2024-03-01T00:00", "2024-04-01T00:00"),
    ],
)
def test_window_begins_and_ends_at_the_calendar_unit_in_utc(window, now, start, end):
    found = window_at(budget(window), at(now))
    assert (found.start, found.end, found.resets_at) == (at(start), at(end), at(end))


def test_local_time_zone_does_not_move_a_window(monkeypatch):
    import time

    expected = window_at(budget("day"), at("2024-06-01T23:30"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert window_at(budget("day"), at("2024-06-01T23:30")) == expected
        assert window_at(budget("month"), at("2024-06-01T23:30")).start == at("2024-06-01T00:00")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_total_never_ends():
    found = window_at(budget("total"), at("2024-06-01T23:30"))
    assert (found.start, found.end, found.resets_at) == (-math.inf, math.inf, None)


def test_seconds_count_from_the_epoch():
    assert window_at(budget(90.0), 1_000.0).start == 990.0
    assert window_at(budget(90.0), 1_079.9).start == 990.0
    assert window_at(budget(90.0), 1_080.0).start == 1_080.0


WINDOWS = st.sampled_from(["minute", "hour", "day", "week", "month"]) | st.floats(0.1, 1e7)
TIMES = st.floats(at("1971-01-01"), at("2200-01-01"))


@given(WINDOWS, TIMES)
def test_each_instant_is_in_exactly_one_window(window, now):
    found = window_at(budget(window), now)
    assert found.start <= now < found.end
    following = window_at(budget(window), found.end)
    if isinstance(window, str):
        assert following.start == found.end
        last = window_at(budget(window), math.nextafter(found.end, 0))
        assert last == found
    else:
        assert math.isclose(following.start, found.end, rel_tol=1e-12)


@given(TIMES)
def test_weeks_begin_on_monday_and_months_on_the_first(now):
    monday = datetime.fromtimestamp(window_at(budget("week"), now).start, UTC)
    assert (monday.weekday(), monday.time()) == (0, datetime.min.time())
    month = window_at(budget("month"), now)
    first, following = (datetime.fromtimestamp(one, UTC) for one in (month.start, month.end))
    assert (first.day, first.time(), following.day) == (1, datetime.min.time(), 1)
    assert timedelta(days=28) <= following - first <= timedelta(days=31)
