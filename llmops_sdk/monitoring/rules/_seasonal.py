"""What is usual at an hour of the week, and how unusual a bucket is: pure functions over the counts of a group."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from llmops_sdk.monitoring.rollup._track import Track

__all__ = [
    "BUCKET", "FIRE_AT", "HISTORY", "LOOKS", "NEEDED", "Profile", "bucket_values", "exceeding_share", "fit_profile",
    "least_score",
]  # fmt: skip

BUCKET = 300
"""Seconds of a bucket."""
LOOKS, NEEDED = 5, 3
"""An anomaly: so many of so many buckets in a row are unusual."""
FIRE_AT = 3.5
"""The least score that is unusual, as Iglewicz and Hoaglin recommend; with 6, doubled costs take hours to be found."""
_TAIL = 12
"""By chance, three of five sums of heavy-tailed costs reach twice a score about 2 ** 12 times less often."""
HISTORY = 42 * 86_400
"""Seconds of history that say what is usual."""
_HOUR = 3_600 // BUCKET
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_MONTH = 30 * _DAY
_WAYS = math.comb(LOOKS, NEEDED)
# Scores are not spread evenly: an hour whose spread was estimated too small has more of the high ones, and then three
# are together more often, the more so the rarer they are. Aim at half of the rate that is allowed, at a quarter of one
# in ten months.
_MARGIN = 0.5
_RARE = 0.3
_NORMAL_MAD = 0.6744897501960817


@dataclass(frozen=True, slots=True)
class Profile:
    """What is usual.

    Attributes:
        slots: The number of seasons: 168 hours of a week, 24 hours of a day, or 1.
        medians: The usual value by slot; None for a slot without values.
        scales: One standard deviation by slot.
        fire_at: The score from which a bucket is unusual.
    """

    slots: int
    medians: Sequence[float | None]
    scales: Sequence[float]
    fire_at: float

    def score(self, bucket: int, value: float) -> float | None:
        """Return how many standard deviations a value lies above what is usual, or None if nobody knows that."""
        slot = bucket // _HOUR % self.slots
        usual = self.medians[slot]
        return None if usual is None else (value - usual) / self.scales[slot]

    def usual(self, bucket: int) -> float | None:
        """Return what is usual in a bucket."""
        return self.medians[bucket // _HOUR % self.slots]

    def limit(self, bucket: int, *, above: bool) -> float | None:
        """Return the value from which a bucket is unusual."""
        slot = bucket // _HOUR % self.slots
        usual = self.medians[slot]
        return None if usual is None else usual + (self.fire_at if above else -self.fire_at) * self.scales[slot]


def bucket_values(track: Track, shape: str, since: int, until: int) -> list[tuple[int, float, float]]:
    """Return bucket, value and events. A sum has a value in every bucket, others only where events are.

    Args:
        track: The counts in buckets of `BUCKET` seconds.
        shape: The shape of the metric.
        since: The first bucket.
        until: The bucket after the last one.
    """
    low, high = bisect_left(track.buckets, since), bisect_left(track.buckets, until)
    events, _, values, _ = track.columns
    known = {
        track.buckets[index]: (values[index] / events[index] if shape == "mean" else values[index], events[index])
        for index in range(low, high)
        if events[index] > 0
    }
    if shape != "sum":
        return [(bucket, value, n) for bucket, (value, n) in known.items()]
    return [(bucket, *known.get(bucket, (0.0, 0.0))) for bucket in range(since, until)]


def fit_profile(
    track: Track, shape: str, until: int, *, counts: bool, above: bool, false_alarms: float
) -> Profile | None:
    """Return what is usual, from the six weeks before a bucket; None without a day of history.

    With three weeks the hours of the week are apart, with one week the hours of the day, else the last 24 hours are
    one. The score that fires is at least that of `least_score`. Where a group's own history had higher scores, it is
    so high that three of five buckets reach it by chance as rarely as asked for.

    Args:
        track: The counts in buckets of `BUCKET` seconds.
        shape: The shape of the metric.
        until: The bucket after the last one of the history.
        counts: Whether the value is a number of things.
        above: Whether high values are bad; else low ones.
        false_alarms: The most false alarms in 30 days.
    """
    # The first event of these weeks, not of all time: a long history must not change what is usual.
    index = bisect_left(track.buckets, until - HISTORY // BUCKET)
    if index == len(track):
        return None
    since = track.buckets[index]
    length = until - since
    if length < _DAY:
        return None
    slots = 168 if length >= 3 * _WEEK else 24 if length >= _WEEK else 1
    if slots == 1:
        since = max(since, until - _DAY)
    values = bucket_values(track, shape, since, until)
    by_slot: list[list[tuple[float, float]]] = [[] for _ in range(slots)]
    for bucket, value, events in values:
        by_slot[bucket // _HOUR % slots].append((value, events))
    everything = [value for _, value, _ in values]
    total = sum(events for *_, events in values)
    # Where the usual value is 0, one event of the usual size is one standard deviation.
    one = 1.0 if counts else (sum(everything) / total if shape == "sum" and total else 0.0)
    fits = [_fit(found, shape, one) for found in by_slot]
    medians = [None if fit is None else fit[0] for fit in fits]
    scales = [1.0 if fit is None else fit[1] for fit in fits]
    # As `Profile.score`: here twelve thousand times a day of a backtest.
    placed = ((bucket // _HOUR % slots, value) for bucket, value, _ in values)
    scores = [(value - usual) / scales[slot] for slot, value in placed if (usual := medians[slot]) is not None]
    return Profile(slots, medians, scales, max(least_score(false_alarms), _exceeded(scores, above, false_alarms)))


def least_score(false_alarms: float) -> float:
    """Return the least score that is unusual: 3.5, and more where less than one false alarm a month is allowed.

    Args:
        false_alarms: The most false alarms in 30 days.
    """
    return FIRE_AT * max(1.0, 1 / false_alarms) ** (1 / _TAIL)


def _fit(found: Sequence[tuple[float, float]], shape: str, one: float) -> tuple[float, float] | None:
    """Return the median and the scale of a slot; None if there are too few values."""
    if len(found) < 6:
        return None
    values = [value for value, _ in found]
    middle = median(values)
    floor = 0.05 * abs(middle)
    if shape == "sum":
        # The spread of a Poisson number of events of the usual size.
        events = median(events for _, events in found)
        floor = max(floor, abs(middle) / math.sqrt(events) if events else 0.0, one)
    if max(values) == min(values) and floor <= 0:
        floor = max(abs(middle), 1e-9)
    # As `stats.robust_baseline`, without its checks: a backtest makes 168 of these for each day.
    spread = median([abs(value - middle) for value in values]) / _NORMAL_MAD
    return middle, max(spread, floor, 1e-12)


def exceeding_share(false_alarms: float) -> float:
    """Return which share of the history may exceed the score that is unusual.

    If buckets are independent, 3 of 5 exceed it at most 10 p^3 times a bucket.

    Args:
        false_alarms: The most false alarms in 30 days.
    """
    margin = _MARGIN * min(1.0, false_alarms) ** _RARE
    return (margin * false_alarms / (_MONTH * _WAYS)) ** (1 / NEEDED)


def _exceeded(scores: list[float], above: bool, false_alarms: float) -> float:
    """Return the score that so small a share of the history exceeds that 3 of 5 buckets do so rarely enough."""
    if not scores:
        return 0.0
    scores.sort(reverse=above)
    return abs(scores[min(int(exceeding_share(false_alarms) * len(scores)), len(scores) - 1)])
