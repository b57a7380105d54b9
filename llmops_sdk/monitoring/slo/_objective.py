"""Evaluate an objective of `[slo.*]`: both windows of each pair, the rules for low traffic, and the budget."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.config import SloSettings
from llmops_sdk.monitoring.rollup._rollup import Rollup
from llmops_sdk.monitoring.rollup._series import Series
from llmops_sdk.monitoring.rollup._track import Sums, Track
from llmops_sdk.monitoring.rules._figures import duration, number, share
from llmops_sdk.monitoring.slo._indicator import slo_series
from llmops_sdk.monitoring.slo._windows import BurnWindow, burn_windows, check_reachable, exhaustion
from llmops_sdk.monitoring.states._outcome import EVERYTHING, Outcome
from llmops_sdk.stats import binomial_tail

__all__ = ["Budget", "Objective"]

_DAY = 1_440
_TRICKLE_BAD, _TRICKLE_EVENTS, _TRICKLE_FRESH = 10, 100, 360
_REACH = 0.9
_FEW = 100


@public("llmops_sdk.monitoring")
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left of an objective's budget of bad calls.

    Attributes:
        name: The objective's name.
        objective: The share of good calls.
        period: Seconds of the period.
        events: Calls in the period.
        bad: Bad calls in the period.
        left: The share of the budget that is left: 1 for all of it, below 0 when more was used.
        burn: The burn rate of the last hour; 1 uses the budget up in just a period.
        exhausted_in: Seconds until nothing is left at the rate of the last hour; None where it does not shrink.
    """

    name: str
    objective: float
    period: float
    events: float
    bad: float
    left: float
    burn: float
    exhausted_in: float | None


class Objective:
    """An objective, ready to be evaluated.

    Args:
        name: The objective's name.
        slo: Its settings.
        simulated: Whether simulated calls count.

    Raises:
        ConfigError: A window can never fire, or the indicator is not complete.
    """

    kind = "slo"
    columns: tuple[str, ...] = ()
    delay = 0.0
    severities: tuple[str, ...] = ("page", "ticket")

    def __init__(self, name: str, slo: SloSettings, simulated: bool) -> None:
        self.name = name
        self.settings = slo
        self.keep = slo.keep
        self.repeat = slo.repeat
        self.notify = slo.notify
        self.runbook = slo.runbook
        self.windows = burn_windows(slo.period)
        if slo.basis == "time":
            check_reachable(name, slo.objective, self.windows)
        self.series = slo_series(name, slo, simulated)
        self._allowed = 1 - slo.objective
        self._longest_short = max(one.short for one in self.windows) // 60
        self._shares = {one.long: self._burn(one) * self._allowed for one in self.windows}

    def wanted(self) -> Mapping[Series, float]:
        return {self.series: self.settings.period + 3_600}

    def evaluate(
        self, rollup: Rollup, end: int, asked: Container[tuple[str, ...]] = EVERYTHING
    ) -> Iterator[Outcome]:  # fmt: skip
        until = end // 60
        track = rollup.tracks(self.series).get((), _EMPTY)
        first = rollup.first(self.series)
        fired: dict[str, list[tuple[BurnWindow, Sums]]] = {}
        if first is not None and track.bad(until - self._longest_short, until):
            for one in self.windows:
                sums = self._fires(track, one, until, first)
                if sums is not None:
                    fired.setdefault(one.severity, []).append((one, sums))
        for severity in self.severities:
            found = fired.get(severity)
            if found:
                yield self._fired(severity, found)
            else:
                trickle = self._trickle(track, until) if severity == "page" else None
                if trickle is not None or () in asked:
                    yield trickle or Outcome(is_bad=False, severity=severity)

    def _fired(self, severity: str, found: list[tuple[BurnWindow, Sums]]) -> Outcome:
        window, sums = found[0]
        share_bad = sums.bad / sums.events
        return Outcome(
            severity=severity, is_bad=True, window=window.long, threshold=round(self._burn(window) * self._allowed, 9),
            events=round(sums.events, 6), bad=round(sums.bad, 6), value=round(share_bad, 9), unknown=sums.unknown,
            details={
                "fired": [duration(one.long) for one, _ in found], "burn": round(share_bad / self._allowed, 4),
            },
        )  # fmt: skip

    def _fires(self, track: Track, window: BurnWindow, until: int, first: int) -> Sums | None:
        """Return the sums of the long window if both windows burn too fast."""
        long, short = window.long // 60, window.short // 60
        # Half of a window without history would make its share that of the other half.
        if first > until - long / 2:
            return None
        bad_share = self._shares[window.long]
        events, bad, _ = track.counts(until - short, until)
        if not events or bad < bad_share * events:
            return None
        sums = track.window(until - long, until)
        if sums.bad < bad_share * sums.events:
            return None
        if self.settings.basis == "events":
            expected = self._expected(track, until, first)
            if expected is None or sums.bad < window.budget * expected * self._allowed:
                return None
        if sums.bad < _FEW:
            # At low traffic a few failures are a large share.
            events = round(sums.events)
            if binomial_tail(min(round(sums.bad), events), events, self._allowed) >= window.alpha:
                return None
        return sums

    def _burn(self, window: BurnWindow) -> float:
        return window.burn if self.settings.basis == "time" else min(window.burn, _REACH / self._allowed)

    def _expected(self, track: Track, until: int, first: int) -> float | None:
        """Return the calls that a period usually has; None without a day of history."""
        period = int(self.settings.period) // 60
        covered = min(until - first, period)
        if covered < min(_DAY, period):
            return None
        return track.events(until - covered, until) * period / covered

    def _trickle(self, track: Track, until: int) -> Outcome | None:
        """Return an outcome where few calls, too few for any window, fail day after day."""
        if not track.bad(until - _TRICKLE_FRESH, until):
            return None
        sums = track.window(until - _DAY, until)
        events, bad = round(sums.events), round(sums.bad)
        if bad < _TRICKLE_BAD or events >= _TRICKLE_EVENTS:
            return None
        if binomial_tail(min(bad, events), events, self._allowed) >= 1e-3:
            return None
        return Outcome(
            severity="page", is_bad=True, window=86_400, threshold=self._allowed, events=events, bad=bad,
            value=round(bad / max(events, 1), 9), details={"fired": ["trickle"], "burn": bad / events / self._allowed},
        )  # fmt: skip

    def budget(self, rollup: Rollup, end: int) -> Budget:
        """Return what is left of the budget.

        Args:
            rollup: The counts.
            end: The time, in seconds since the epoch; a full minute.
        """
        until, period = end // 60, int(self.settings.period) // 60
        track = rollup.tracks(self.series).get((), _EMPTY)
        sums, hour = track.window(until - period, until), track.window(until - 60, until)
        allowed = sums.events * self._allowed
        left = 1.0 if not allowed else 1 - sums.bad / allowed
        rate = hour.bad / hour.events if hour.events else 0.0
        burn = rate / self._allowed
        lasts = None if burn <= 1 else max(left, 0.0) * exhaustion(self.settings.period, self.settings.objective, rate)
        return Budget(
            name=self.name, objective=self.settings.objective, period=self.settings.period, events=sums.events,
            bad=sums.bad, left=left, burn=burn, exhausted_in=lasts,
        )  # fmt: skip

    def describe(self, outcome: Outcome) -> str:
        details: Mapping[str, Any] = outcome.details
        if outcome.value is None:
            return "the budget is not used too fast any more"
        text = (
            f"{share(outcome.value)} of {number(outcome.events)} events in {duration(outcome.window)} were bad; the "
            f"objective {self.settings.objective:g} allows {share(self._allowed)}"
        )
        if "burn" in details:
            text += f", so the budget is used {number(details['burn'])} times as fast as allowed"
        if fired := details.get("fired"):
            text += f" (windows: {', '.join(fired)})"
        if outcome.unknown:
            text += f"; {number(outcome.unknown)} more are unknown"
        return text


_EMPTY = Track()
