"""Simulate stationary months, and months with a fault, for the rules without a threshold: many at once, with numpy.

The decisions are those of `llmops_sdk/monitoring/rules`: `tests/monitoring/rules` compares both on the same months.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmops_sdk.monitoring.rules._seasonal import FIRE_AT, LOOKS, NEEDED
from llmops_sdk.stats import clopper_pearson, log_rate_e_value

BUCKETS_A_DAY = 288
HISTORY_DAYS = 42
MONTH_DAYS = 30
_NORMAL_MAD = 0.6744897501960817


@dataclass(frozen=True)
class Traffic:
    """Stationary traffic: the same week again and again, and chance.

    Attributes:
        metric: "calls", "cost" or "latency_p95".
        a_bucket: Calls in a bucket of five minutes, on average over the week.
        swing: By how much the hour of the day changes that, from 0 to 1.
        spread: Sigma of the log-normal cost, or latency, of a call.
    """

    metric: str
    a_bucket: float
    swing: float = 0.5
    spread: float = 1.0


def draw(traffic: Traffic, days: int, rng: Any, fault_at: int | None = None, factor: float = 1.0) -> tuple[Any, Any]:
    """Return the value and the events of each bucket; from a bucket on, costs or latencies are multiplied."""
    count = days * BUCKETS_A_DAY
    hour = np.arange(count) / 12 % 24
    rate = traffic.a_bucket * (1 + traffic.swing * np.sin(hour / 24 * 2 * math.pi))
    events = rng.poisson(rate)
    scale = np.ones(count)
    if fault_at is not None:
        scale[fault_at:] = factor
    if traffic.metric == "calls":
        if fault_at is not None:
            events[fault_at:] = rng.poisson(rate[fault_at:] * factor)
        return events.astype(float), events
    each = np.exp(rng.normal(0, traffic.spread, int(events.sum())))
    if traffic.metric == "cost":
        owner = np.repeat(np.arange(count), events)
        return np.bincount(owner, each, count) * scale, events
    # The 95 % quantile of the calls of each bucket, as `quantile_cont`.
    most = int(events.max())
    table = np.full((count, most), np.inf)
    table[np.arange(most) < events[:, None]] = each
    table.sort(axis=1)
    place = np.maximum(events - 1, 0) * 0.95
    low = np.floor(place).astype(int)
    rows = np.arange(count)
    high = np.minimum(low + 1, np.maximum(events - 1, 0))
    table[events == 0] = np.nan
    value = table[rows, low] + (table[rows, high] - table[rows, low]) * (place - low)
    return value * scale, events


def unusual(values: Any, events: Any, *, shape: str, counts: bool, allowed: Sequence[float], day: int) -> list[Any]:
    """Return which buckets of a day are unusual by the six weeks before it, for each allowed rate of false alarms."""
    history = slice((day - HISTORY_DAYS) * BUCKETS_A_DAY, day * BUCKETS_A_DAY)
    past, n = values[history], events[history]
    slot = np.arange(history.start, history.stop) // 12 % 168
    order = np.argsort(slot, kind="stable")
    by_slot, n_by_slot = past[order].reshape(168, -1), n[order].reshape(168, -1)
    # Several times as fast as nanmedian, where there is a value in each bucket.
    median = np.nanmedian if np.isnan(past).any() else np.median
    middle = median(by_slot, axis=1)
    spread = median(np.abs(by_slot - middle[:, None]), axis=1) / _NORMAL_MAD
    floor = 0.05 * np.abs(middle)
    if shape == "sum":
        usual = np.median(n_by_slot, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.maximum(floor, np.where(usual > 0, np.abs(middle) / np.sqrt(usual), 0.0))
        floor = np.maximum(floor, 1.0 if counts else np.nansum(past) / max(n.sum(), 1))
    scale = np.maximum(np.maximum(spread, floor), 1e-12)
    scores = (past - middle[slot]) / scale[slot]
    scores = scores[~np.isnan(scores)]
    scores.sort()
    today = slice(day * BUCKETS_A_DAY, (day + 1) * BUCKETS_A_DAY)
    now = np.arange(today.start, today.stop) // 12 % 168
    found: list[Any] = []
    for one in allowed:
        share = (0.5 * one / (MONTH_DAYS * BUCKETS_A_DAY * math.comb(LOOKS, NEEDED))) ** (1 / NEEDED)
        fire_at = max(FIRE_AT, abs(float(scores[-1 - min(int(share * len(scores)), len(scores) - 1)])))
        with np.errstate(invalid="ignore"):
            found.append((values[today] - middle[now]) / scale[now] >= fire_at)
    return found


def seasonal_alarms(
    traffic: Traffic, rng: Any, *, allowed: Sequence[float] = (1.0,), fault: float | None = None, days: int = MONTH_DAYS
) -> list[list[int]]:
    """Return the buckets, from the month's begin, in which an alert would begin: a list for each allowed rate.

    Args:
        traffic: The traffic.
        rng: The random numbers.
        allowed: The false alarms that the rule allows in 30 days.
        fault: By what costs or latencies, or the calls, are multiplied from noon of the first day on; None for nothing.
        days: Days to look at.
    """
    begin = HISTORY_DAYS * BUCKETS_A_DAY
    at = None if fault is None else begin + BUCKETS_A_DAY // 2
    values, events = draw(traffic, HISTORY_DAYS + days, rng, at, fault or 1.0)
    shape = "quantile" if traffic.metric.startswith("latency") else "sum"
    by_day = [
        unusual(values, events, shape=shape, counts=traffic.metric == "calls", allowed=allowed, day=day)
        for day in range(HISTORY_DAYS, HISTORY_DAYS + days)
    ]
    return [_begins(np.concatenate(marks)) for marks in zip(*by_day, strict=True)]


def _begins(marks: Any) -> list[int]:
    hits = np.convolve(marks.astype(int), np.ones(LOOKS, dtype=int))[: len(marks)] >= NEEDED
    starts = np.flatnonzero(hits & ~np.concatenate([[False], hits[:-1]]))
    # What begins again within ten minutes is the same alert: `keep`.
    return [int(start) for start in starts if not hits[max(start - 3, 0) : start].any()]


def rate_alarms(
    rng: Any, *, rate: float, a_minute: float, window: int = 60, false_alarms: float = 1.0, fault: float | None = None,
    months: int = 1,
) -> tuple[int, list[int]]:  # fmt: skip
    """Return how many alerts began in some months, and the minutes from a fault to its alert.

    Args:
        rng: The random numbers.
        rate: The usual share of bad calls.
        a_minute: Calls in a minute.
        window: Minutes of the rule's window.
        false_alarms: What the rule allows in 30 days.
        fault: The share of bad calls from the begin of a window on, of one day; None for stationary months.
        months: How many months.
    """
    windows = MONTH_DAYS * 1_440 // window
    needed = -math.log(min(false_alarms / windows, 0.5))
    alarms, delays = 0, list[int]()
    for _ in range(months):
        past = int(rng.poisson(a_minute * 1_440 * HISTORY_DAYS))
        usual = clopper_pearson(int(rng.binomial(past, rate)), past, 0.98)[1]
        count = windows if fault is None else 1_440 // window
        n = rng.poisson(a_minute, (count, window))
        bad = rng.binomial(n, rate if fault is None else fault)
        n, bad = n.cumsum(axis=1), bad.cumsum(axis=1)
        least = _least_hits(int(n.max()), usual, needed)
        fired = bad >= least[n]
        if fault is None:
            per_window = fired.any(axis=1)
            alarms += int((per_window & ~np.concatenate([[False], per_window[:-1]])).sum())
        else:
            flat = fired.reshape(-1)
            delays.append(int(flat.argmax()) + 1 if flat.any() else 1_440)
    return alarms, delays


def _least_hits(most: int, usual: float, needed: float) -> Any:
    """Return, for each number of calls, the least bad ones that alarm."""
    least = np.full(most + 1, most + 1)
    hits = 1
    for n in range(1, most + 1):
        while hits <= n and (hits <= n * usual or log_rate_e_value(hits, n, null_rate=usual) < needed):
            hits += 1
        least[n] = hits
    return least
