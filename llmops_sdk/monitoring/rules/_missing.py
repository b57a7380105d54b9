"""Decide whether events are missing that are usual at this time."""

from __future__ import annotations

from bisect import bisect_left

from llmops_sdk.monitoring.rollup._track import Track

__all__ = ["is_missing"]

_INTERVALS = 3
_EXPECTED = 9.3
"""Events that are usual in the silent time: with a Poisson count, none of them comes once in 10,000 times."""
_DAY = 1_440


def is_missing(track: Track, until: int, interval: float) -> bool:
    """Return whether no event came for three intervals, and for so long that by chance it is rare.

    The same hours of the seven days before say what is usual. Without a day of history nothing is missing.

    Args:
        track: The counts by minute.
        until: The minute after the last one to look at.
        interval: Seconds between two looks.
    """
    if not len(track):
        return False
    at_least = max(-(-int(interval) * _INTERVALS // 60), _INTERVALS)
    if track.events(until - at_least, until):
        return False
    index = bisect_left(track.buckets, until) - 1
    if index < 0 or track.buckets[index] < until - 7 * _DAY:
        return False
    silent = until - track.buckets[index] - 1
    days = (until - track.buckets[bisect_left(track.buckets, until - 7 * _DAY)]) // _DAY
    if silent < at_least or days < 1 or silent > _DAY:
        return silent > _DAY and days >= 1
    usual = [track.events(until - silent - day * _DAY, until - day * _DAY) for day in range(1, days + 1)]
    # The quietest of several days: a day off each week is usual.
    return (min(usual) if days >= 6 else sum(usual) / days) >= _EXPECTED
