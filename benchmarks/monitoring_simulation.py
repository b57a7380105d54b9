"""Simulate stationary months, and months with a fault, for the rules without a threshold: many at once, with numpy.

The decisions are those of `llmops_sdk/monitoring/rules`: `tests/monitoring/rules` compares both on the same months.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmops_sdk.monitoring.rules._seasonal import LOOKS, NEEDED, exceeding_share, least_score
from llmops_sdk.stats import clopper_pearson, log_rate_e_value

BUCKETS_A_DAY = 288
HISTORY_DAYS = 42
MONTH_DAYS = 30
_NORMAL_MAD = 0.6744897501960817
_SAME_HISTORY = 10
"""So many months of a share have the same weeks before them: what they are compared with takes longest."""


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


def unusual(values: Any, events: Any, *, shape: str, counts: bool, allowed: Sequence[float]) -> Any:
    """Return which buckets are unusual by the six weeks before their day.

    From one day to the next only one day of the week has other medians. So there is one median for each hour of each
    day, of that day of the week in the last six weeks, and a day's profile is that of the last seven days.

    Args:
        values: The value of each bucket of whole days.
        events: Its events.
        shape: "sum" or "quantile".
        counts: Whether the value is a number of things.
        allowed: The false alarms that the rule allows in 30 days.

    Returns:
        For each allowed rate, whether each bucket after the first six weeks is unusual.
    """
    by_hour, n_by_hour = values.reshape(-1, 24, 12), events.reshape(-1, 24, 12)
    ends = np.arange(HISTORY_DAYS - 7, len(by_hour))
    same_weekday = ends[:, None] - 7 * np.arange(6)
    past = by_hour[same_weekday].transpose(0, 2, 1, 3).reshape(len(ends), 24, -1)
    middle = _median(past)
    scale = np.maximum(_median(np.abs(past - middle[..., None])) / _NORMAL_MAD, 0.05 * np.abs(middle))
    if shape == "sum":
        usual = np.median(n_by_hour[same_weekday].transpose(0, 2, 1, 3).reshape(past.shape), axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.maximum(scale, np.where(usual > 0, np.abs(middle) / np.sqrt(usual), 0.0))
    scale = np.maximum(scale, 1e-12)
    found = np.empty((len(allowed), len(by_hour) - HISTORY_DAYS, BUCKETS_A_DAY), bool)
    for place in range(found.shape[1]):
        # The first of the last seven days is of the same day of the week as the day to decide about.
        median, deviation = middle[place : place + 7, :, None], scale[place : place + 7, :, None]
        history, n = by_hour[place : place + HISTORY_DAYS], n_by_hour[place : place + HISTORY_DAYS]
        if shape == "sum":
            deviation = np.maximum(deviation, 1.0 if counts else history.sum() / max(n.sum(), 1))
        scores = ((history.reshape(6, 7, 24, 12) - median) / deviation).reshape(-1)
        if shape != "sum":
            scores = scores[~np.isnan(scores)]
        at = [len(scores) - 1 - min(int(exceeding_share(one) * len(scores)), len(scores) - 1) for one in allowed]
        scores.partition(sorted(set(at)))
        limits = [max(least_score(one), abs(float(scores[below]))) for one, below in zip(allowed, at, strict=True)]
        today = ((by_hour[place + HISTORY_DAYS] - median[0]) / deviation[0]).reshape(-1)
        found[:, place] = today >= np.array(limits)[:, None]
    return found.reshape(len(allowed), -1)


def _median(values: Any) -> Any:
    """Return the medians over the last axis, of what is not NaN: several times as fast as nanmedian."""
    found = np.median(values, axis=-1)
    for place in zip(*np.nonzero(np.isnan(found)), strict=True):
        row = values[place]
        found[place] = np.median(row[~np.isnan(row)]) if not np.isnan(row).all() else np.nan
    return found


def seasonal_alarms(
    traffic: Traffic, rng: Any, *, allowed: Sequence[float] = (1.0,), fault: float | None = None, days: int = MONTH_DAYS
) -> list[list[int]]:
    """Return the buckets, after six weeks, in which an alert would begin: a list for each allowed rate.

    Args:
        traffic: The traffic.
        rng: The random numbers.
        allowed: The false alarms that the rule allows in 30 days.
        fault: By what costs or latencies, or the calls, are multiplied from noon of the first day on; None for nothing.
        days: Days to look at. Many months of one stream take half the time of as many streams.
    """
    begin = HISTORY_DAYS * BUCKETS_A_DAY
    at = None if fault is None else begin + BUCKETS_A_DAY // 2
    values, events = draw(traffic, HISTORY_DAYS + days, rng, at, fault or 1.0)
    shape = "quantile" if traffic.metric.startswith("latency") else "sum"
    marks = unusual(values, events, shape=shape, counts=traffic.metric == "calls", allowed=allowed)
    return [_begins(one) for one in marks]


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
    least = np.empty(0)
    usual = 0.0
    for month in range(months):
        if month % _SAME_HISTORY == 0:
            past = int(rng.poisson(a_minute * 1_440 * HISTORY_DAYS))
            usual = clopper_pearson(int(rng.binomial(past, rate)), past, 0.98)[1]
            least = np.empty(0)
        count = windows if fault is None else 1_440 // window
        n = rng.poisson(a_minute, (count, window))
        bad = rng.binomial(n, rate if fault is None else fault)
        n, bad = n.cumsum(axis=1), bad.cumsum(axis=1)
        if len(least) <= n.max():
            least = _least_hits(int(n.max() * 1.2) + 1, usual, needed)
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
