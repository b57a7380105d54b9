"""Rules that compare a figure of the last minutes or hours with a threshold."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from llmops_sdk.config import AlertSettings
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.rollup._track import Sums
from llmops_sdk.monitoring.rules._figures import number, share
from llmops_sdk.monitoring.rules._metrics import METRICS, Metric
from llmops_sdk.monitoring.rules._missing import is_missing
from llmops_sdk.monitoring.rules._rule import MetricRule
from llmops_sdk.monitoring.states._outcome import EVERYTHING, Outcome

__all__ = ["ThresholdRule"]

_NO_DATA_HISTORY = 8 * 86_400.0


class ThresholdRule(MetricRule):
    """A rule with a metric and a threshold.

    Args:
        rule: The rule's settings.
        metric: Its metric, by `metric_of`.
        interval: Seconds between two looks.
    """

    kind = "threshold"

    def __init__(self, rule: AlertSettings, metric: Metric, interval: float) -> None:
        super().__init__(rule, metric, interval)
        assert rule.threshold is not None
        self._threshold = rule.threshold
        quantile = METRICS[rule.metric].series.quantile if rule.metric in METRICS else None
        self._quantile = quantile
        self._limit = 1 - quantile if quantile is not None else self._threshold
        self._watches_data = rule.no_data == "alert"

    def wanted(self) -> Mapping[Series, float]:
        least = self._minutes * 60.0 * 2 + 3_600
        return {self._series: max(least, _NO_DATA_HISTORY) if self._watches_data else least}

    def evaluate(
        self, rollup: Rollup, end: int, asked: Container[tuple[str, ...]] = EVERYTHING
    ) -> Iterator[Outcome]:  # fmt: skip
        until = end // 60
        since = until - self._minutes
        tracks = rollup.tracks(self._series)
        first = rollup.first(self._series)
        if not tracks and () in asked:
            yield Outcome(is_bad=False, window=self._minutes * 60, severity=self._rule.severity)
        covered = first is not None and first <= since
        for labels, track in tracks.items():
            events, bad, total = track.counts(since, until)
            value = self._value(events, bad, total)
            is_bad = self._decide(events, value, covered)
            no_data = self._watches_data and is_missing(track, until, self._interval)
            if is_bad or no_data or labels in asked:
                yield self._outcome(labels, track.window(since, until), value, is_bad, no_data=no_data)

    def _decide(self, events: float, value: float | None, covered: bool) -> bool | None:
        if not events:
            # No call at all is a figure too, once there is a history to compare with.
            return covered and self.metric.shape == "sum" and not self._above and (value or 0.0) < self._limit
        if value is None or events < self._rule.min_events:
            return None
        return value > self._limit if self._above else value < self._limit

    def _outcome(
        self, labels: tuple[str, ...], sums: Sums, value: float | None, is_bad: bool | None, *, no_data: bool
    ) -> Outcome:  # fmt: skip
        return Outcome(
            labels=labels, is_bad=is_bad, value=value, threshold=self._threshold, events=round(sums.events, 6),
            bad=round(sums.bad, 6) if self.metric.shape in ("share", "quantile") else None, unknown=sums.unknown,
            severity=self._rule.severity, window=self._minutes * 60, no_data=no_data,
        )  # fmt: skip

    def _value(self, events: float, bad: float, total: float) -> float | None:
        shape = self.metric.shape
        if shape == "sum":
            return round(total, 9)
        return None if events <= 0 else round((total if shape == "mean" else bad) / events, 9)

    def describe(self, outcome: Outcome) -> str:
        side = "above" if self._above else "below"
        sign = "" if outcome.is_bad else "not "
        span = self.span(outcome.window)
        calls = outcome.events + (outcome.unknown if self.metric.shape == "mean" else 0.0)
        unknown = self.unknown(outcome.unknown, calls)
        if outcome.value is None:
            return f"no events in {span}{unknown}"
        if self._quantile is not None:
            return (
                f"{share(outcome.value)} of {number(outcome.events)} calls in {span} took longer than "
                f"{number(self._threshold)} ms, {sign}{'more' if self._above else 'less'} than the "
                f"{share(self._limit)} that {self._rule.metric} allows"
            )
        if self.metric.shape == "share":
            return (
                f"{share(outcome.value)} of {number(outcome.events)} calls in {span} {self.metric.bad}, "
                f"{sign}{side} {share(self._threshold)}"
            )
        name = "" if self.metric.counts else f"{self._rule.metric} is "
        return (
            f"{name}{number(outcome.value)}{self.metric.unit} in {span}, {sign}{side} "
            f"{number(self._threshold)}{unknown}"
        )
