"""Rules without a threshold: they compare with the same hour of earlier weeks."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from llmops_sdk.config import AlertSettings
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.rollup._track import Sums, Track
from llmops_sdk.monitoring.rules._figures import number, share
from llmops_sdk.monitoring.rules._metrics import Metric
from llmops_sdk.monitoring.rules._missing import is_missing
from llmops_sdk.monitoring.rules._rule import MetricRule
from llmops_sdk.monitoring.rules._seasonal import BUCKET, HISTORY, LOOKS, NEEDED, Profile, bucket_values, fit_profile
from llmops_sdk.monitoring.states._outcome import EVERYTHING, Outcome
from llmops_sdk.stats import clopper_pearson, log_rate_e_value

__all__ = ["RateAnomalyRule", "SeasonalRule"]

_DAY = 86_400
_MONTH = 30 * _DAY
_LEAST_EVENTS = 100
_CONFIDENCE = 0.98
_MOST_PROFILES = 20_000


class SeasonalRule(MetricRule):
    """Volume, cost, latency or a score against what is usual at this hour: 3 of 5 buckets of 5 minutes are unusual.

    Args:
        rule: The rule's settings.
        metric: Its metric, by `metric_of`.
        interval: Seconds between two looks.
    """

    kind = "anomaly"

    def __init__(self, rule: AlertSettings, metric: Metric, interval: float) -> None:
        super().__init__(rule, metric, interval)
        self._profiles: dict[tuple[str, ...], tuple[int, Profile | None]] = {}
        # The results of the last bucket: five looks in a row have the same ones.
        self._at = (-1, -1)
        self._results: list[Outcome] = []

    def wanted(self) -> Mapping[Series, float]:
        return {self._series: HISTORY + 2 * _DAY}

    def evaluate(
        self, rollup: Rollup, end: int, asked: Container[tuple[str, ...]] = EVERYTHING
    ) -> Iterator[Outcome]:  # fmt: skip
        first = rollup.first(self._series)
        if first is None:
            return
        until = end // BUCKET
        key = rollup.version, until
        if key != self._at:
            self._at, self._results = key, list(self._all(rollup, end, first, until))
        for outcome in self._results:
            if outcome.is_bad or outcome.no_data or outcome.labels in asked:
                yield outcome

    def _all(self, rollup: Rollup, end: int, first: int, until: int) -> Iterator[Outcome]:
        # One profile a day, so that a backtest and a live run use the same ones; hourly while the history is short.
        is_short = until - first < 8 * _DAY // BUCKET
        fitted_at = end // 3_600 * 3_600 // BUCKET if is_short else end // _DAY * _DAY // BUCKET
        for labels, track in rollup.tracks(self._series).items():
            if not len(track):
                continue
            profile = self._profile(labels, track, fitted_at)
            outcome = self._outcome(labels, track, until, profile)
            if self._rule.no_data == "alert":
                outcome.no_data = is_missing_buckets(track, until, self._interval)
            yield outcome

    def _profile(self, labels: tuple[str, ...], track: Track, fitted_at: int) -> Profile | None:
        known = self._profiles.get(labels)
        if known is not None and known[0] == fitted_at:
            return known[1]
        if len(self._profiles) >= _MOST_PROFILES:
            self._profiles.clear()
        profile = fit_profile(
            track, self.metric.shape, fitted_at, counts=self.metric.counts, above=self._above,
            false_alarms=self._rule.false_alarms_per_month,
        )  # fmt: skip
        self._profiles[labels] = fitted_at, profile
        return profile

    def _outcome(self, labels: tuple[str, ...], track: Track, until: int, profile: Profile | None) -> Outcome:
        result = Outcome(labels=labels, severity=self._rule.severity, window=BUCKET * LOOKS)
        if profile is None:
            result.details = {"warming": True}
            return result
        looked_at = bucket_values(track, self.metric.shape, until - LOOKS, until)
        unusual = 0
        for bucket, value, events in looked_at:
            score = profile.score(bucket, value)
            if score is None:
                continue
            is_unusual = score >= profile.fire_at if self._above else score <= -profile.fire_at
            unusual += is_unusual
            result.events += events
            if is_unusual or result.value is None:
                result.value = round(value, 9)
                result.threshold = profile.limit(bucket, above=self._above)
                result.details = {"usual": profile.usual(bucket), "score": round(score, 3), "unusual": unusual}
        result.is_bad = unusual >= NEEDED and result.events >= self._rule.min_events
        return result

    def describe(self, outcome: Outcome) -> str:
        if outcome.value is None:
            return f"{self._rule.metric} has no value, or too little history to say what is usual"
        usual = outcome.details.get("usual")
        return (
            f"{self._rule.metric} is {number(outcome.value)}{self.metric.unit} in 5 minutes, usual at this hour is "
            f"{'unknown' if usual is None else number(usual)}; {outcome.details.get('unusual', 0)} of the last {LOOKS} "
            "such spans are unusual"
        )


@dataclass(slots=True)
class _Usual:
    """The usual rate of one group, computed once a day."""

    day: int
    rate: float | None


class RateAnomalyRule(MetricRule):
    """A share of calls against its usual rate, by evidence that may be looked at every minute.

    Within each window of the rule the e-value of "the rate is at most the usual one" must reach 1 / alpha. By Ville's
    inequality the chance of that is at most alpha where the rate is usual, so 30 days give at most
    `false_alarms_per_month` false alarms, if events are independent. The usual rate is the upper limit of a confidence
    interval of 98 % over the history.

    Args:
        rule: The rule's settings.
        metric: Its metric, by `metric_of`.
        interval: Seconds between two looks.
    """

    kind = "anomaly"

    def __init__(self, rule: AlertSettings, metric: Metric, interval: float) -> None:
        super().__init__(rule, metric, interval)
        # An alert is counted in the window where it begins.
        alpha = min(rule.false_alarms_per_month * self._minutes * 60 / _MONTH, 0.5)
        self._log_needed = -math.log(alpha)
        self._usual: dict[tuple[str, ...], _Usual] = {}

    def wanted(self) -> Mapping[Series, float]:
        return {self._series: HISTORY + 2 * _DAY}

    def evaluate(
        self, rollup: Rollup, end: int, asked: Container[tuple[str, ...]] = EVERYTHING
    ) -> Iterator[Outcome]:  # fmt: skip
        until = end // 60
        for labels, track in rollup.tracks(self._series).items():
            usual = self._rate(labels, track, end)
            begin = until // self._minutes * self._minutes
            if begin == until:
                begin -= self._minutes
            no_data = self._rule.no_data == "alert" and is_missing(track, until, self._interval)
            log_e = 0.0 if usual is None else self._evidence(track, begin, until, usual)
            if log_e >= self._log_needed or no_data or labels in asked:
                yield self._outcome(labels, track.window(begin, until), until - begin, usual, log_e, no_data=no_data)

    def _rate(self, labels: tuple[str, ...], track: Track, end: int) -> float | None:
        day = end // _DAY
        known = self._usual.get(labels)
        if known is not None and known.day == day:
            return known.rate
        if len(self._usual) >= _MOST_PROFILES:
            self._usual.clear()
        until = day * 1_440
        sums = track.window(until - HISTORY // 60, until)
        rate: float | None = None
        if sums.events >= _LEAST_EVENTS:
            n = round(sums.events)
            bad = min(round(sums.bad), n)
            rate = clopper_pearson(bad if self._above else n - bad, n, _CONFIDENCE)[1]
        self._usual[labels] = _Usual(day, rate)
        return rate

    def _outcome(
        self, labels: tuple[str, ...], sums: Sums, minutes: int, usual: float | None, log_e: float, *, no_data: bool
    ) -> Outcome:  # fmt: skip
        result = Outcome(
            labels=labels, severity=self._rule.severity, window=minutes * 60, events=round(sums.events, 6),
            bad=round(sums.bad, 6), no_data=no_data,
        )  # fmt: skip
        if usual is None:
            result.details = {"warming": True}
            return result
        result.threshold = usual if self._above else 1 - usual
        result.value = round(sums.bad / sums.events, 9) if sums.events else None
        result.is_bad = log_e >= self._log_needed and sums.events >= self._rule.min_events
        result.details = {"log_e": round(log_e, 3), "log_e_needed": round(self._log_needed, 3)}
        return result

    def _evidence(self, track: Track, begin: int, until: int, usual: float) -> float:
        """Return the evidence of this window; or of the one before while the rate is still unusual.

        A new window begins without evidence. What the one before showed stands until the rate is usual again.
        """
        sums = track.window(begin, until)
        hits = sums.bad if self._above else sums.events - sums.bad
        if hits <= sums.events * usual:
            return 0.0
        log_e = self._log_e(track, begin, until, usual)
        return (
            log_e if log_e >= self._log_needed else max(log_e, self._log_e(track, begin - self._minutes, begin, usual))
        )

    def _log_e(self, track: Track, since: int, until: int, usual: float) -> float:
        sums = track.window(since, until)
        n = round(sums.events)
        bad = min(round(sums.bad), n)
        hits = bad if self._above else n - bad
        if hits <= n * usual:
            return 0.0
        return log_rate_e_value(hits, n, null_rate=max(usual, 1e-9))

    def describe(self, outcome: Outcome) -> str:
        if outcome.value is None or outcome.threshold is None:
            return f"{self._rule.metric} has no value, or too little history to say what is usual"
        most = "most" if self._above else "least"
        return (
            f"{share(outcome.value)} of {number(outcome.events)} calls in {self.span(outcome.window)} "
            f"{self.metric.bad}; usual is at {most} {share(outcome.threshold)}"
        )


def is_missing_buckets(track: Track, until: int, interval: float) -> bool:
    """Return `is_missing` for counts in buckets of five minutes: no event where there usually are some.

    Args:
        track: The counts.
        until: The bucket after the last one to look at.
        interval: Seconds between two looks.
    """
    by_minute = Track()
    size = BUCKET // 60
    rows = [(bucket * size, *row) for bucket, *row in track.rows(max(len(track) - 8 * _DAY // BUCKET, 0))]
    by_minute.replace(0, rows)  # pyright: ignore[reportArgumentType]
    return is_missing(by_minute, until * size, interval)
