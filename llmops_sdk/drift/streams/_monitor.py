"""`ConceptMonitor`: watch a stream of scores, one score after the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.drift._report import DriftReport, Feature, Status
from llmops_sdk.drift.streams._detector import Alternative, Detector
from llmops_sdk.drift.streams._sums import Sums
from llmops_sdk.errors import ConfigError
from llmops_sdk.stats import Interval, normal_quantile

__all__ = ["Change", "ConceptMonitor"]

_VERSION = 1
_ALTERNATIVES = ("two-sided", "greater", "less")


class Change:
    """Where a stream changed: how many scores precede it, their sums, up to five examples of what follows, and when."""

    __slots__ = ("before", "examples", "start", "time")

    def __init__(self, start: int, before: Sums, examples: Iterable[str], time: str | None = None) -> None:
        self.start = start
        self.before = before
        self.examples = tuple(examples)[:5]
        self.time = time


@public("llmops_sdk.drift")
class ConceptMonitor:
    """Watch whether the mean of a stream of scores is still that of a reference, with a look after every score.

    The mean of the reference counts as an estimate: few reference scores give late alarms, not false ones. One test
    compares the whole stream with the reference, another one looks for a change within the stream. Scores must be
    independent of each other. The time of `update` grows with the logarithm of the stream's length.

    Args:
        reference: Scores from when all was well, at least `min_n`. None and NaN are missing: they are left out and
            counted.
        alpha: The chance of a false alarm within `horizon` scores.
        horizon: How many scores of the stream alpha is for. After it false alarms go on at this rate at most.
        alternative: "two-sided"; "greater" looks only for a mean that went up, "less" only for one that went down.
        low: The lowest possible score.
        high: The highest possible score.
        min_n: Fewer scores in the reference or in the stream are "not enough data".
        name: The name of the score, for the report.

    Raises:
        ConfigError: An argument is out of its range, or a score is not from `low` to `high`.

    Example:
        >>> from llmops_sdk.drift import ConceptMonitor
        >>> monitor = ConceptMonitor([1, 1, 1, 1, 0] * 60)
        >>> [monitor.update(score) for score in [1, 0] * 40][-1]
        True
        >>> again = ConceptMonitor.from_state(monitor.state())
        >>> again.drifted, again.report().features[0].details["detected_at"] < 80
        (True, True)

    Source: D. Siegmund, "Sequential Analysis" (1985), for the level of the first test; J. Shin, A. Ramdas and
    A. Rinaldo, "E-detectors", New England J. Statist. Data Sci. 2 (2024), for the sum of the second.
    """

    def __init__(
        self, reference: Iterable[float | None], *, alpha: float = 0.05, horizon: int = 2_000,
        alternative: Alternative = "two-sided", low: float = 0.0, high: float = 1.0, min_n: int = 50,
        name: str = "score",
    ) -> None:  # fmt: skip
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha is {alpha}: give a number above 0 and below 1", key="alpha", value=alpha)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ConfigError(f"low is {low} and high is {high}: give the bounds of the scores, low first", key="low")
        if horizon < 1 or min_n < 1:
            raise ConfigError(f"horizon is {horizon} and min_n {min_n}: give at least 1", key="horizon", value=horizon)
        if alternative not in _ALTERNATIVES:
            raise ConfigError(
                f'alternative is {alternative!r}: give "two-sided", "greater" or "less"', key="alternative"
            )
        self.name = name
        self._low, self._high, self._min_n = float(low), float(high), min_n
        self._missing = {"reference": 0, "current": 0}
        before = Sums()
        for value in reference:
            score = self._scaled(value, "reference")
            if score is not None:
                before.add(score)
        self._detector = Detector(before, alpha, horizon, alternative)

    def update(self, score: float | None, example: str | None = None) -> bool:
        """Add a score of the stream, and return whether the stream has changed by now.

        Args:
            score: The score; None and NaN are missing, which is counted and else ignored.
            example: The id of its trace.

        Raises:
            ConfigError: The score is no number, or not from `low` to `high`.
        """
        scaled = self._scaled(score, "current")
        if scaled is not None and self._detector.reference.n >= self._min_n:
            self._detector.add(scaled, None if example is None else example[:200])
        elif scaled is not None:
            self._detector.stream.add(scaled)
        return self.drifted

    @property
    def drifted(self) -> bool:
        """Return whether there was an alarm. It lasts: make a new monitor, with a new reference, to begin again."""
        return self._detector.detected_at is not None

    @property
    def p_value(self) -> float:
        """Return the smallest alpha at which there would have been an alarm by now; valid at any time."""
        return self._detector.p_value

    def state(self) -> dict[str, Any]:
        """Return everything that the monitor knows, as values of JSON. It holds no scores, only their sums."""
        return {
            "version": _VERSION, "name": self.name, "low": self._low, "high": self._high, "min_n": self._min_n,
            "missing": dict(self._missing), "detector": self._detector.state(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ConceptMonitor:
        """Return the monitor that had this state, to go on with it in another process.

        Args:
            state: What `state` returned.

        Raises:
            ConfigError: Another version of the SDK made the state.
        """
        if state.get("version") != _VERSION:
            raise ConfigError(
                "another version of the SDK made this state: begin again with ConceptMonitor(reference)", key="state"
            )
        monitor = cls((), low=state["low"], high=state["high"], min_n=state["min_n"], name=state["name"])
        monitor._missing = dict(state["missing"])
        monitor._detector = Detector.from_state(state["detector"])
        return monitor

    def report(self) -> DriftReport:
        """Return what is known by now, as a report with one feature."""
        return DriftReport(kind="concept", name=self.name, features=(self.feature(),))

    def feature(self, change: Change | None = None) -> Feature:
        """Return the feature of the report.

        Args:
            change: Where the stream changed, where the caller knows it better.
        """
        detector = self._detector
        if change is None and detector.change is not None:
            change = Change(detector.change.start, detector.change.before, detector.change.examples)
        if not self.drifted:
            change = None
        before, after = detector.reference, detector.stream
        if change is not None:
            before, after = before.plus(change.before), after.minus(change.before)
        status = self._status()
        known = before.n > 0 and after.n > 0
        return Feature(
            signal=self.name, status=status, reason=self._reason(status, before, after, change),
            effect=(after.mean - before.mean) * self._span if known else None,
            interval=self._interval(before, after) if known else None,
            p_value=None if status == "not_enough_data" else detector.p_value,
            reference_n=detector.reference.n, current_n=detector.stream.n, effective_n=float(detector.stream.n),
            examples=() if change is None else change.examples, details=self._details(before, after, change),
        )  # fmt: skip

    def sums(self) -> tuple[Sums, Sums, int]:
        """Return the sums of the reference and of the stream, and the direction of the change: 1, -1, or 0 for none."""
        detector = self._detector
        if detector.change is None:
            return detector.reference, detector.stream, 0
        before = detector.reference.plus(detector.change.before)
        direction = 1 if detector.stream.minus(detector.change.before).mean >= before.mean else -1
        return detector.reference, detector.stream, direction

    def known(self, scores: Iterable[Any]) -> list[tuple[int, float]]:
        """Return the index and the value, scaled to 0..1, of each score that is not missing."""
        return [(index, (float(one) - self._low) / self._span) for index, one in enumerate(scores) if not _is_nan(one)]

    @property
    def _span(self) -> float:
        return self._high - self._low

    def _status(self) -> Status:
        if self.drifted:
            return "drifted"
        enough = min(self._detector.reference.n, self._detector.stream.n) >= self._min_n
        return "steady" if enough else "not_enough_data"

    def _interval(self, before: Sums, after: Sums) -> Interval:
        """Return an interval of 95 % for the difference of the means, by their standard errors (Agresti and Caffo)."""
        variances = 0.0
        for one in (before, after):
            # One success and one failure more: a rate of 0 in few scores is not known to be 0.
            mean = (one.total + 1) / (one.n + 2)
            variances += max(one.variance, mean * (1 - mean) if one.variance < 1e-12 else 0.0) / one.n
        half = normal_quantile(0.975) * math.sqrt(variances)
        effect = after.mean - before.mean
        return Interval(max(-1.0, effect - half) * self._span, min(1.0, effect + half) * self._span)

    def _reason(self, status: Status, before: Sums, after: Sums, change: Change | None) -> str:
        old, new = (f"{self._low + one.mean * self._span:.3g}" for one in (before, after))
        if status == "not_enough_data":
            return (
                f"{self._detector.reference.n} scores in the reference and {self._detector.stream.n} in the stream: at "
                f"least {self._min_n} of each are needed"
            )
        if change is None:
            return f"the mean of {self.name} is {new}, and was {old} in the reference: no change is certain"
        direction = "rose" if after.mean > before.mean else "fell"
        since = f"after {change.start} scores of the stream" if change.start else "from the first score on"
        return f"the mean of {self.name} {direction} from {old} to {new} {since}"

    def _details(self, before: Sums, after: Sums, change: Change | None) -> dict[str, Any]:
        direction = None if change is None else "up" if after.mean > before.mean else "down"
        return {
            "direction": direction, "change_index": None if change is None else change.start,
            "change_time": None if change is None else change.time,
            "detected_at": self._detector.detected_at, "reference_mean": self._low + before.mean * self._span,
            "current_mean": self._low + after.mean * self._span, "alpha": self._detector.alpha,
            "horizon": self._detector.horizon, "alternative": self._detector.alternative,
            "missing_reference": self._missing["reference"], "missing_current": self._missing["current"],
        }  # fmt: skip

    def _scaled(self, value: float | None, window: str) -> float | None:
        """Return a score on the scale from 0 to 1, or None, which is counted, where it is missing."""
        try:
            number = math.nan if value is None else float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"a score of the {window} is no number but a {type(value).__name__}: give numbers, bools or None",
                key=window,
            ) from error
        if math.isnan(number):
            self._missing[window] += 1
            return None
        if not self._low <= number <= self._high:
            raise ConfigError(
                f"a score of the {window} is {number:g}, which is not from {self._low:g} to {self._high:g}: give low= "
                "and high=, the bounds of the scores",
                key=window,
            )
        return (number - self._low) / self._span


def _is_nan(value: Any) -> bool:
    return value is None or math.isnan(float(value))
