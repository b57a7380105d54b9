"""Counts of what has no line of its own in the counters of calls: verdicts of guards, traffic control, and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from llmops_sdk.monitoring.prometheus._histogram import Histogram
from llmops_sdk.monitoring.prometheus._label_text import BoundedCounter, label_text
from llmops_sdk.tracing.records import _semconv as sc

__all__ = ["SCORE_BOUNDS", "EventCounters"]

SCORE_BOUNDS = tuple(part / 10 for part in range(11))
"""Upper bounds of scores; the thresholds of objectives come to them."""
_MOST = 500
_KINDS: Mapping[str, tuple[str, ...]] = {
    sc.EVENT_GUARD_VERDICT: ("guard", "rail", "action"),
    sc.EVENT_TRAFFIC: ("policy", "decision"),
}


class EventCounters:
    """Counts by labels, none of which names a person. The caller serialises the calls of its methods.

    Args:
        bounds: The bounds of the histograms of scores.
        names: The most names of scores; others become "other".
    """

    def __init__(self, bounds: Sequence[float], *, names: int) -> None:
        self._bounds = bounds
        self._names = BoundedCounter(1, names)
        self.verdicts = BoundedCounter(3, _MOST)
        """By guard, rail and action."""
        self.decisions = BoundedCounter(2, _MOST)
        """Of traffic control, by policy and decision."""
        self.scores: dict[str, Histogram] = {}
        """By name."""

    def add_events(self, span: Mapping[str, Any]) -> None:
        """Count the verdicts and the decisions on a call.

        Args:
            span: The span of a call, as its line has it.
        """
        if not span.get("verdict_events") and not span.get("traffic_events"):
            return
        events = span.get("events")
        for event in cast("list[object]", events) if isinstance(events, list) else ():
            if not isinstance(event, dict):
                continue  # another program may have written it
            one = cast("dict[str, object]", event)
            names = _KINDS.get(str(one.get("name")))
            attributes = one.get("attributes")
            if names is not None and isinstance(attributes, dict):
                own = cast("dict[str, object]", attributes)
                counter = self.verdicts if names is _KINDS[sc.EVENT_GUARD_VERDICT] else self.decisions
                counter.add([own.get(name) for name in names])

    def add_score(self, score: Mapping[str, Any]) -> None:
        """Count a score.

        Args:
            score: The score, as its line has it.
        """
        value = score.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return
        [name] = self._names.key([score.get("name")])
        self._names.add([name])
        self._histogram(name).add(value)

    def _histogram(self, name: str) -> Histogram:
        return self.scores.setdefault(name, Histogram(self._bounds))

    def dump(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "verdicts": [[*key, count] for key, count in self.verdicts.counts.items()],
            "decisions": [[*key, count] for key, count in self.decisions.counts.items()],
            "score_bounds": self._bounds,
            "scores": [[name, one.bins, one.sum] for name, one in self.scores.items()],
        }

    def load(self, found: Mapping[str, Any]) -> None:
        """Take over what `dump` returned.

        Raises:
            KeyError: It is something else; also TypeError or ValueError.
        """
        for counter, name in ((self.verdicts, "verdicts"), (self.decisions, "decisions")):
            for *key, count in found[name]:
                counter.add(key, int(count))
        for name, bins, total in found["scores"]:
            self._names.add([label_text(name)], 0)
            self._histogram(label_text(name)).load(found["score_bounds"], bins, total)
