"""The metrics of `/metrics`, made anew from the counters for each scrape.

The only module that loads prometheus-client.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk.monitoring.prometheus._counters import LABELS, TOKENS, Histogram, Series, label_text
from llmops_sdk.monitoring.prometheus._reader import CallReader
from llmops_sdk.monitoring.prometheus._source import FiringAlert, MonitorState

__all__ = ["MetricsText"]

_SCRAPE_SECONDS = 0.1
"""Seconds for reading new lines in a scrape; the background reads the rest."""


@dataclass(frozen=True, slots=True)
class _Counter:
    name: str
    doc: str
    value: Callable[[Series], float]


_COUNTERS = (
    _Counter("llmops_calls", "Calls to models that have ended.", lambda one: one.calls),
    _Counter("llmops_attempts", "Tries at providers, retries included.", lambda one: one.attempts),
    _Counter("llmops_cost_usd", "Cost of the calls whose cost is known, in USD.", lambda one: one.cost),
    _Counter("llmops_cost_unknown_calls", "Calls whose cost is not known.", lambda one: one.unknown_cost),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[Series], Histogram]], ...] = (
    ("llmops_call_duration_seconds", "Duration of calls to models.", lambda one: one.duration),
    ("llmops_time_to_first_chunk_seconds", "Time to the first chunk of a stream.", lambda one: one.first_chunk),
)
_PERSONAL = frozenset({"session_id", "user_id"})
_TOKEN_LABELS = ("service", "operation", "provider", "model")


class MetricsText:
    """Makes the text of `/metrics`. Threads may share it.

    Args:
        reader: The counters of calls.
        state: The state of the watcher.

    Raises:
        MissingDependencyError: prometheus-client is not installed.
    """

    def __init__(self, reader: CallReader, state: MonitorState) -> None:
        self._reader = reader
        self._state = state
        core: Any = require("prometheus_client.core", extra="metrics", purpose="/metrics")
        self._counter: Any = core.CounterMetricFamily
        self._histogram: Any = core.HistogramMetricFamily
        self._gauge: Any = core.GaugeMetricFamily
        self._registry: Any = core.CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._exposition: Any = require("prometheus_client.exposition", extra="metrics", purpose="/metrics")
        utils: Any = require("prometheus_client.utils", extra="metrics", purpose="/metrics")
        self._number: Callable[[float], str] = utils.floatToGoString

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text and its content type.

        Args:
            accept: The header `Accept` of the request.

        Raises:
            StoreError: The store cannot be read, or the counters cannot be saved.
        """
        self._reader.update(_SCRAPE_SECONDS)
        encoder, content_type = self._exposition.choose_encoder(accept)
        return encoder(self._registry), content_type

    def collect(self) -> Iterator[Any]:
        """Yield the metrics; prometheus-client calls this."""
        # All at once: a scrape that is read slowly holds up no counting.
        with self._reader.lock:
            found = [*self._calls(), *self._others()]
        return iter([*found, *self._monitoring()])

    def _calls(self) -> Iterator[Any]:
        series = self._reader.counters.series
        for counter in _COUNTERS:
            family = self._counter(counter.name, counter.doc, labels=LABELS)
            for labels, one in series.items():
                family.add_metric(labels, counter.value(one))
            yield family
        for name, doc, histogram_of in _HISTOGRAMS:
            family = self._histogram(name, doc, labels=LABELS)
            for labels, one in series.items():
                self._add(family, labels, histogram_of(one))
            yield family
        if any(one.cost_bins.bounds for one in series.values()):
            family = self._histogram("llmops_call_cost_usd", "Cost of a call, in USD.", labels=LABELS)
            for labels, one in series.items():
                self._add(family, labels, one.cost_bins)
            yield family
        family = self._counter("llmops_cache_hits", "Calls that our cache answered.", labels=(*LABELS, "tier"))
        for labels, one in series.items():
            for tier, count in one.cache_hits.items():
                family.add_metric((*labels, tier), count)
        yield family
        yield self._tokens()

    def _tokens(self) -> Any:
        """Return the tokens of calls with fewer labels: the histograms have many buckets."""
        sums: dict[tuple[str, ...], Histogram] = {}
        for labels, one in self._reader.counters.series.items():
            few = tuple(value for name, value in zip(LABELS, labels, strict=True) if name in _TOKEN_LABELS)
            for kind, histogram in (("input", one.input_tokens), ("output", one.output_tokens)):
                sums.setdefault((*few, kind), Histogram(TOKENS)).load(TOKENS, histogram.bins, histogram.sum)
        family = self._histogram("llmops_call_tokens", "Tokens of a call.", labels=(*_TOKEN_LABELS, "type"))
        for labels, histogram in sums.items():
            self._add(family, labels, histogram)
        return family

    def _add(self, family: Any, labels: Sequence[str], histogram: Histogram) -> None:
        counts = histogram.cumulative()
        if counts[-1]:
            names = [self._number(bound) for bound in (*histogram.bounds, math.inf)]
            family.add_metric(labels, list(zip(names, counts, strict=True)), histogram.sum)

    def _others(self) -> Iterator[Any]:
        counters = self._reader.counters
        family = self._counter("llmops_losses", "What was dropped, cut or redacted.", labels=("what", "reason"))
        for key, count in counters.losses.items():
            family.add_metric(key, count)
        yield family
        text = "Bytes of lines that compaction took before they were counted here."
        yield self._counter("llmops_metrics_missed_bytes", text, value=counters.missed_bytes)

    def _monitoring(self) -> Iterator[Any]:
        text = "How many alerts of a rule fire, by the group that they are about."
        family = self._gauge("llmops_alert_firing", text, labels=("rule", "severity", "group"))
        for labels, count in Counter(map(_alert_labels, self._state.firing())).items():
            family.add_metric(labels, count)
        yield family
        budgets = self._state.budgets()
        left = self._gauge(
            "llmops_slo_budget_remaining_ratio", "Share of the allowed failures that is left.", labels=("slo",)
        )
        goal = self._gauge("llmops_slo_objective_ratio", "Share of good calls to keep.", labels=("slo",))
        burn = self._gauge("llmops_slo_burn_rate", "How fast the budget is used up.", labels=("slo", "window_seconds"))
        for budget in budgets:
            left.add_metric((label_text(budget.slo),), budget.remaining)
            goal.add_metric((label_text(budget.slo),), budget.objective)
            for window, rate in budget.burn_rates.items():
                burn.add_metric((label_text(budget.slo), f"{window:g}"), rate)
        yield from (left, goal, burn)
        family = self._gauge("llmops_notifications_waiting", "Notifications that wait.", labels=("notifier",))
        for name, count in self._state.waiting().items():
            family.add_metric((label_text(name),), count)
        yield family
        last = self._state.last_evaluation()
        if last is not None:
            text = "When the rules were last evaluated, in seconds since the epoch."
            yield self._gauge("llmops_watch_last_evaluation_timestamp_seconds", text, value=last)


def _alert_labels(alert: FiringAlert) -> tuple[str, str, str]:
    """Return rule, severity and group; groups that differ in persons and sessions alone are one."""
    group = (f"{name}={value}" for name, value in sorted(alert.labels.items()) if name not in _PERSONAL)
    return label_text(alert.rule), label_text(alert.severity), label_text(", ".join(group))
