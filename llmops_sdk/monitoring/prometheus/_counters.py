"""Counters of calls that never fall: a call is added when its line is written, and nothing is counted again.

Pruning, compaction and thinning change what SQL finds, but not what has been counted. The counters are saved together
with the position of the follower that feeds them, so that a restart neither loses nor repeats a call.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import orjson

from llmops_sdk.monitoring.prometheus._event_counters import EventCounters
from llmops_sdk.monitoring.prometheus._histogram import Histogram
from llmops_sdk.monitoring.prometheus._label_text import OTHER, label_text
from llmops_sdk.store._own_traces import OWN_ATTRIBUTES, OWN_TAGS

__all__ = [
    "LABELS",
    "SECONDS",
    "TOKENS",
    "Bounds",
    "CallCounters",
    "Labels",
    "Series",
]

LABELS = ("service", "operation", "provider", "model", "status", "prompt_name")
"""The labels of a call. None of them names a person or a session."""
SECONDS = tuple(0.01 * 2**power for power in range(14))
"""Upper bounds in seconds. Source: OpenTelemetry's semantic conventions, `gen_ai.client.operation.duration`."""
TOKENS = tuple(float(4**power) for power in range(14))
"""Upper bounds of numbers of tokens. Source: as above, `gen_ai.client.token.usage`."""
_MAX_SERIES = 1_000
_MAX_LOSSES = 200
_EXPECTED = ("ok", "error")
_KINDS = frozenset({"llm", "embedding"})
_MARKS = tuple(f'"kind":"{kind}"'.encode() for kind in sorted(_KINDS))

Labels: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The upper bounds of the histograms, ascending: those of the conventions, and the thresholds of objectives."""

    duration: Sequence[float] = SECONDS
    first_chunk: Sequence[float] = SECONDS
    cost: Sequence[float] = ()
    score: Sequence[float] = ()


@dataclass(slots=True)
class Series:
    """The counters of calls with equal labels."""

    duration: Histogram
    first_chunk: Histogram
    cost_bins: Histogram
    input_tokens: Histogram = field(default_factory=lambda: Histogram(TOKENS))
    output_tokens: Histogram = field(default_factory=lambda: Histogram(TOKENS))
    calls: int = 0
    attempts: int = 0
    cost: float = 0.0
    unknown_cost: int = 0
    cache_hits: Counter[str] = field(default_factory=Counter[str])


_HISTOGRAMS = ("duration", "first_chunk", "cost_bins", "input_tokens", "output_tokens")
_PLAIN = ("calls", "attempts", "cost", "unknown_cost")


class CallCounters:
    """Counts calls by their labels. The caller serialises the calls of its methods.

    Args:
        bounds: The bounds of the histograms.
        label_values: The most values of a label; others become "other".
        simulated: Whether simulated calls count.
    """

    def __init__(self, bounds: Bounds, *, label_values: int, simulated: bool) -> None:
        self._bounds = bounds
        self._label_values = label_values
        self._simulated = simulated
        self._known: tuple[set[str], ...] = tuple(set[str]() for _ in LABELS)
        self.series: dict[Labels, Series] = {}
        self.losses: Counter[tuple[str, str]] = Counter()
        self.events = EventCounters(bounds.score, names=label_values)
        """Verdicts of guards, decisions of traffic control, and scores."""
        self.missed_bytes = 0
        """Bytes of lines that compaction took before they were read."""

    def add_span(self, line: bytes) -> None:
        """Count the span of a line, if it is a call to a model."""
        if not any(mark in line for mark in _MARKS):
            return  # most lines: without a look at their content
        span = _loaded(line)
        if span is None or span.get("kind") not in _KINDS or not (self._simulated or not span.get("simulated")):
            return
        attributes, tags = span.get("attributes"), span.get("tags")
        if isinstance(attributes, dict) and any(name in attributes for name in OWN_ATTRIBUTES):
            return
        if isinstance(tags, list) and any(tag in tags for tag in OWN_TAGS):
            return
        values = [span.get(name) for name in LABELS]
        values[LABELS.index("model")] = span.get("model") or span.get("request_model")
        series = self._series_of(tuple(self._label(at, value) for at, value in enumerate(values)))
        series.calls += 1
        series.attempts += int(_number(span.get("attempts")) or 0)
        series.duration.add((_number(span.get("duration_ns")) or 0.0) / 1e9)
        if (first_chunk := _number(span.get("ttft_ms"))) is not None:
            series.first_chunk.add(first_chunk / 1e3)
        if (cost := _number(span.get("cost"))) is None:
            series.unknown_cost += 1
        else:
            series.cost += cost
            series.cost_bins.add(cost)
        for name in ("input_tokens", "output_tokens"):
            if (tokens := _number(span.get(name))) is not None:
                getattr(series, name).add(tokens)
        if (tier := span.get("cache")) in {"exact", "semantic"}:
            series.cache_hits[str(tier)] += 1
        self.events.add_events(span)

    def add_score(self, line: bytes) -> None:
        """Count the score of a line."""
        score = _loaded(line)
        if score is not None:
            self.events.add_score(score)

    def add_loss(self, line: bytes) -> None:
        """Count the losses of a line."""
        loss = _loaded(line)
        if loss is None or not (count := _number(loss.get("count"))):
            return
        key = (label_text(loss.get("what")), label_text(loss.get("reason")))
        self.losses[key if key in self.losses or len(self.losses) < _MAX_LOSSES else (OTHER, OTHER)] += int(count)

    def _label(self, at: int, value: object) -> str:
        text = label_text(value)
        known = self._known[at]
        if text in known or not text:
            return text
        if len(known) >= self._label_values:
            return OTHER
        known.add(text)
        return text

    def _series_of(self, labels: Labels) -> Series:
        found = self.series.get(labels)
        if found is not None:
            return found
        if len(self.series) >= _MAX_SERIES:
            # The share of errors stays right.
            labels = _with(labels, lambda name, value: value if name == "status" else OTHER)
        found = self.series.setdefault(labels, self._new_series())
        for status in _EXPECTED:
            # Zero before the first error: Prometheus sees no increase where a series begins.
            other = _with(labels, lambda name, value, status=status: status if name == "status" else value)
            if len(self.series) < _MAX_SERIES and other not in self.series:
                self.series[other] = self._new_series()
        return found

    def _new_series(self) -> Series:
        bounds = self._bounds
        return Series(Histogram(bounds.duration), Histogram(bounds.first_chunk), Histogram(bounds.cost))

    def dump(self, position: str) -> bytes:
        """Return the counters and the position of their follower as JSON."""
        return orjson.dumps(
            {
                "version": 1,
                "position": position,
                "bounds": [self._bounds.duration, self._bounds.first_chunk, self._bounds.cost],
                "missed_bytes": self.missed_bytes,
                "losses": [[*key, count] for key, count in self.losses.items()],
                "events": self.events.dump(),
                "series": [
                    [
                        labels,
                        [getattr(one, name) for name in _PLAIN],
                        [[getattr(one, name).bins, getattr(one, name).sum] for name in _HISTOGRAMS],
                        one.cache_hits,
                    ]
                    for labels, one in self.series.items()
                ],
            }
        )

    def load(self, content: bytes) -> str:
        """Take over what `dump` returned; return the position.

        Raises:
            ValueError: It is something else.
        """
        try:
            found: Mapping[str, Any] = orjson.loads(content)
            bounds = [*found["bounds"], TOKENS, TOKENS]
            for labels, plain, histograms, hits in found["series"]:
                for at, value in enumerate(labels):
                    if value and value != OTHER:
                        self._known[at].add(value)
                series = self._series_of(tuple(labels))
                for name, value in zip(_PLAIN, plain, strict=True):
                    setattr(series, name, getattr(series, name) + value)
                for name, own, (bins, total) in zip(_HISTOGRAMS, bounds, histograms, strict=True):
                    getattr(series, name).load(own, bins, total)
                series.cache_hits.update(hits)
            self.losses.update({(what, reason): count for what, reason, count in found["losses"]})
            self.missed_bytes += int(found["missed_bytes"])
            self.events.load(found["events"])
            return str(found["position"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a file of counters") from error


def _with(labels: Labels, change: Callable[[str, str], str]) -> Labels:
    return tuple(change(name, value) for name, value in zip(LABELS, labels, strict=True))


def _loaded(line: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None  # torn
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None  # another program may have written it
    return value
