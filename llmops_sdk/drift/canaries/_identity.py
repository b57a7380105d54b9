"""Decide from the answers of many days whether the model behind a name has changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median, stdev
from typing import Any

from llmops_sdk.drift._report import Feature, Status
from llmops_sdk.drift.canaries._days import Day, DayKey, Days
from llmops_sdk.drift.canaries._distances import Distance, Reference
from llmops_sdk.errors import NotComparableError
from llmops_sdk.stats import Interval

__all__ = ["IdentityWatch", "identity_feature"]

_REFERENCE_ANSWERS = 50
"""Days are added to the reference until most prompts have this many answers."""
_BASELINE_DAYS = 8
"""The days after the reference that show how much days differ without a change."""
_MOST_BASELINE_DAYS = 16
"""Later days without any sign of a change improve the baseline up to this many."""
_CLIP = 4.0
"""One day counts for this much at most, so that one noisy day raises no alarm."""
_SLACK = 1.5
_THRESHOLD = 6.0
_TYPICAL_ALPHA = 0.01
_SUDDEN = 8.0
"""So many standard deviations in a day are no noise: with `_SUDDEN_EXCESS` the day alone raises the alarm."""
_SUDDEN_EXCESS = 0.2
_LEAST_SHARE = 0.25
"""A day with less than this share of the usual answers is a day without data."""
_LEAST_DEVIATION = 0.005
_MOST_DAYS_SHOWN = 400


@dataclass(slots=True)
class IdentityWatch:
    """The chart of one canary, a day after the other.

    The figure of a day is the mean total variation between its answers and the reference, less what chance makes of
    that for as many answers. Its standard deviation is that of sampling and that between the days of the baseline
    together. A CUSUM adds the standardised figures, each clipped, less a slack.
    """

    alpha: float
    reference: Reference = field(default_factory=Reference)
    baseline: list[Distance] = field(default_factory=list[Distance])
    total: float = 0.0
    """The CUSUM."""
    peak: float = 0.0
    usual: float = 0.0
    """The usual number of answers a day."""
    rising_since: DayKey | None = None
    change: DayKey | None = None
    detected: DayKey | None = None
    before: Distance | None = None
    after: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """The change of the figure, and its variance, of the days since the change."""

    def add(self, key: DayKey, day: Day) -> tuple[str, float | None]:
        """Add a day, and return its state and its mean total variation.

        Args:
            key: The day.
            day: Its answers.
        """
        n = day.n
        if not n or n < self.usual * _LEAST_SHARE:
            return "no_data", None
        if self.reference.usual() < _REFERENCE_ANSWERS and not self.baseline:
            self.reference.add(day.answers)
            return "reference", None
        distance = self.reference.distance(day.answers)
        if distance is None:
            raise NotComparableError(
                "a day's answers and the reference have no prompt in common: the canary's prompts were changed, so "
                "give only answers since then"
            )
        if not self.usual:
            self.usual = float(n)
        self.usual = 0.9 * self.usual + 0.1 * n
        return self._judge(key, distance), distance.value

    def _judge(self, key: DayKey, distance: Distance) -> str:
        centre, between = self._centre()
        variance = (distance.variance + between) * (1 + 1 / max(1, len(self.baseline) - 1))
        deviation = max(math.sqrt(variance), _LEAST_DEVIATION)
        change = distance.excess - centre
        is_sudden = change >= max(_SUDDEN * deviation, _SUDDEN_EXCESS)
        if self.detected is not None:
            self.after.append((change, variance))
            return "changed"
        if len(self.baseline) < _BASELINE_DAYS and not is_sudden:
            self.baseline.append(distance)
            return "baseline"
        self.total = max(0.0, self.total + min(change / deviation, _CLIP) - _SLACK)
        if self.total == 0:
            self.rising_since, self.after = None, []
            if len(self.baseline) < _MOST_BASELINE_DAYS:
                self.baseline.append(distance)
            return "steady"
        if self.rising_since is None:
            self.rising_since = key
        self.after.append((change, variance))
        self.peak = max(self.peak, self.total)
        if is_sudden:
            self.rising_since, self.after = key, [(change, variance)]
            self.peak = max(self.peak, self.threshold)
        if self.total >= self.threshold - 1e-9 or is_sudden:
            self.change, self.detected = self.rising_since, key
            return "alarm"
        return "rising"

    @property
    def threshold(self) -> float:
        """Return the sum that raises an alarm."""
        return max(_THRESHOLD / 2, _THRESHOLD + math.log(_TYPICAL_ALPHA / self.alpha) / _SLACK)

    @property
    def p_value(self) -> float:
        """Return about the alpha at which an alarm would have been raised."""
        return min(1.0, _TYPICAL_ALPHA * math.exp(-_SLACK * (self.peak - _THRESHOLD)))

    def _centre(self) -> tuple[float, float]:
        """Return the usual excess, and the variance between days beside that of sampling.

        The day farthest from the median is left out: one noisy day among those of the baseline must not hide a change.
        """
        values = [one.excess for one in self.baseline]
        if len(values) < 4:
            return (median(values) if values else 0.0), 0.0
        middle = median(values)
        values.remove(max(values, key=lambda one: abs(one - middle)))
        by_sampling = math.fsum(one.variance for one in self.baseline) / len(self.baseline)
        # Without its farthest value a sample of eight is too narrow by a seventh.
        return math.fsum(values) / len(values), max(0.0, (1.15 * stdev(values)) ** 2 - by_sampling)


def identity_feature(days: Days, *, alpha: float, cause: str | None = "provider") -> Feature:
    """Return what the answers of the days say about the model.

    Args:
        days: The answers by day.
        alpha: The chance of a false alarm in 40 days, about.
        cause: What a change is put down to.

    Raises:
        NotComparableError: There is one answer a prompt and day, or the prompts were changed.
    """
    refuse_single_answers(days)
    watch = IdentityWatch(alpha)
    shown: list[dict[str, Any]] = []
    for key, day in days.days.items():
        state, value = watch.add(key, day)
        shown.append({
            "day": key if isinstance(key, int) else key.isoformat(), "state": state, "n": day.n,
            "total_variation": None if value is None else round(value, 4),
        })  # fmt: skip
    return _feature(watch, days, shown[-_MOST_DAYS_SHOWN:], cause)


def refuse_single_answers(days: Days) -> None:
    """Raise an error where most prompts have one answer a day: one answer is no distribution.

    Args:
        days: The answers by day.

    Raises:
        NotComparableError: There is one answer a prompt and day.
    """
    counts = [counted.total() for day in days.days.values() for counted in day.answers.values()]
    if counts and median(counts) < 2:
        raise NotComparableError(
            "most prompts have one answer a day, and one answer says nothing of a distribution: ask each prompt at "
            "least twice a day (samples in [[canaries]]; 10 is a good number), at temperature 1"
        )


def _feature(watch: IdentityWatch, days: Days, shown: list[dict[str, Any]], cause: str | None) -> Feature:
    status = _status(watch)
    with_data = [one for one in shown if one["state"] != "no_data"]
    effect = interval = None
    if watch.after and watch.detected is not None:
        effect = math.fsum(one for one, _ in watch.after) / len(watch.after)
        half = 1.96 * math.sqrt(math.fsum(one for _, one in watch.after)) / len(watch.after)
        interval = Interval(effect - half, effect + half)
    change = _text(watch.change)
    current = [one for one in with_data if one["state"] not in ("reference", "baseline")]
    return Feature(
        signal="answers", status=status, reason=_reason(watch, status, shown), effect=effect, interval=interval,
        p_value=None if status == "not_enough_data" else watch.p_value,
        reference_n=sum(one.total() for one in watch.reference.counts.values()),
        current_n=sum(one["n"] for one in current), cause=cause if status == "drifted" else None,
        examples=_examples(watch, days),
        details={
            "change_day": change, "detected_day": _text(watch.detected), "events": [] if change is None else [change],
            "cusum": round(watch.total, 3), "threshold": round(watch.threshold, 3), "days": shown,
            "days_without_data": len(shown) - len(with_data), "missing": days.missing, "future": days.future,
        },
    )  # fmt: skip


def _status(watch: IdentityWatch) -> Status:
    if watch.detected is not None:
        return "drifted"
    return "steady" if len(watch.baseline) >= _BASELINE_DAYS else "not_enough_data"


def _text(key: DayKey | None) -> Any:
    return key if key is None or isinstance(key, int) else key.isoformat()


def _reason(watch: IdentityWatch, status: Status, shown: list[dict[str, Any]]) -> str:
    if not shown:
        return "there are no answers"
    empty = len(shown) - max((index + 1 for index, one in enumerate(shown) if one["state"] != "no_data"), default=0)
    note = f"; no data on the last {'day' if empty == 1 else f'{empty} days'}" if empty else ""
    if status == "drifted":
        return (
            f"the answers have another distribution since {_text(watch.change)}, found on {_text(watch.detected)}{note}"
        )
    if status == "not_enough_data":
        return (
            f"after the reference {len(watch.baseline)} days have answers: {_BASELINE_DAYS} are needed to know how "
            f"much days differ{note}"
        )
    return f"the answers are distributed as in the reference{note}"


def _examples(watch: IdentityWatch, days: Days) -> tuple[str, ...]:
    """Return trace ids of the first changed day, or else the prompts whose answers changed most."""
    if watch.detected is None:
        return ()
    traced = [one for key, day in days.days.items() if _follows(key, watch.change) for one in day.trace_ids]
    if traced:
        return tuple(traced[:5])
    since: Reference = Reference()
    for key, day in days.days.items():
        if _follows(key, watch.change):
            since.add(day.answers)
    return tuple(_most_changed(watch.reference, since.counts)[:5])


def _follows(key: Any, change: Any) -> bool:
    return change is not None and key >= change


def _most_changed(reference: Reference, counts: Mapping[str, Any]) -> list[str]:
    from llmops_sdk.drift.canaries._distances import total_variation

    common = [one for one in counts if one in reference.counts]
    return sorted(common, key=lambda one: -total_variation(reference.counts[one], counts[one]))
