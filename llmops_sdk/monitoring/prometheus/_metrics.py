"""The metrics of `/metrics`, made anew from the counters for each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from llmops_sdk.monitoring.prometheus._counters import LABELS, TOKENS, Labels, Series
from llmops_sdk.monitoring.prometheus._histogram import Histogram
from llmops_sdk.monitoring.prometheus._label_text import label_text
from llmops_sdk.monitoring.prometheus._reader import CallReader
from llmops_sdk.monitoring.prometheus._source import FiringAlert, MonitorState
from llmops_sdk.monitoring.prometheus._text import Family, bound_text, label_pairs

__all__ = ["MetricsText"]

_SCRAPE_SECONDS = 0.1
"""Seconds for reading new lines in a scrape; the background reads the rest."""
_COUNTERS: tuple[tuple[str, str, Callable[[Series], float]], ...] = (
    ("llmops_calls_total", "Calls to models that have ended.", lambda one: one.calls),
    ("llmops_attempts_total", "Tries at providers, retries included.", lambda one: one.attempts),
    ("llmops_cost_usd_total", "Cost of the calls whose cost is known, in USD.", lambda one: one.cost),
    ("llmops_cost_unknown_calls_total", "Calls whose cost is not known.", lambda one: one.unknown_cost),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[Series], Histogram]], ...] = (
    ("llmops_call_duration_seconds", "Duration of calls to models.", lambda one: one.duration),
    ("llmops_time_to_first_chunk_seconds", "Time to the first chunk of a stream.", lambda one: one.first_chunk),
    ("llmops_call_cost_usd", "Cost of a call whose cost is known, in USD.", lambda one: one.cost_bins),
)
_TOKEN_LABELS = ("service", "operation", "provider", "model")
_PERSONAL = frozenset({"session_id", "user_id"})
_BUDGETS = (
    ("llmops_slo_budget_remaining_ratio", "Share of the allowed failures that is left."),
    ("llmops_slo_objective_ratio", "Share of good calls to keep."),
    ("llmops_slo_burn_rate", "How fast the allowed failures are used up: 1 uses them up within the period."),
)


class MetricsText:
    """Makes the text of `/metrics`. Threads may share it.

    Args:
        reader: The counters of calls.
        state: The state of the watcher.
    """

    def __init__(self, reader: CallReader, state: MonitorState) -> None:
        self._reader = reader
        self._state = state
        self._pairs: dict[Labels, str] = {}

    def render(self) -> bytes:
        """Return the text.

        Raises:
            StoreError: The store cannot be read, or the counters cannot be saved.
        """
        self._reader.update(_SCRAPE_SECONDS)
        with self._reader.lock:
            families = [*self._calls(), self._tokens(), *self._events(), *self._others()]
        return "".join(family.text() for family in (*families, *self._monitoring())).encode()

    def _calls(self) -> Iterator[Family]:
        series = self._reader.counters.series
        for labels in series.keys() - self._pairs.keys():
            self._pairs[labels] = label_pairs(LABELS, labels)
        for name, doc, value_of in _COUNTERS:
            family = Family(name, "counter", doc)
            for labels, one in series.items():
                family.add(self._pairs[labels], value_of(one))
            yield family
        for name, doc, histogram_of in _HISTOGRAMS:
            family = Family(name, "histogram", doc)
            for labels, one in series.items():
                _add(family, self._pairs[labels], histogram_of(one))
            yield family
        family = Family("llmops_cache_hits_total", "counter", "Calls that our cache answered.")
        for labels, one in series.items():
            for tier, count in one.cache_hits.items():
                family.add(f'{self._pairs[labels]},tier="{tier}"'.removeprefix(","), count)
        yield family

    def _tokens(self) -> Family:
        """Return the tokens of calls with fewer labels: the histograms have many buckets."""
        sums: dict[Labels, Histogram] = {}
        for labels, one in self._reader.counters.series.items():
            few = tuple(value for name, value in zip(LABELS, labels, strict=True) if name in _TOKEN_LABELS)
            for direction, histogram in (("input", one.input_tokens), ("output", one.output_tokens)):
                sums.setdefault((*few, direction), Histogram(TOKENS)).load(TOKENS, histogram.bins, histogram.sum)
        family = Family("llmops_call_tokens", "histogram", "Tokens of a call.")
        for labels, histogram in sums.items():
            _add(family, label_pairs((*_TOKEN_LABELS, "type"), labels), histogram)
        return family

    def _events(self) -> Iterator[Family]:
        events = self._reader.counters.events
        for name, doc, labels, counter in (
            ("guard_verdicts", "Verdicts of guards on calls.", ("guard", "rail", "action"), events.verdicts),
            ("traffic_decisions", "Calls that waited or were refused.", ("policy", "decision"), events.decisions),
        ):
            family = Family(f"llmops_{name}_total", "counter", doc)
            for key, count in counter.counts.items():
                family.add(label_pairs(labels, key), count)
            yield family
        family = Family("llmops_score", "histogram", "Scores of traces and spans, those of simulated calls included.")
        for name, histogram in events.scores.items():
            _add(family, label_pairs(["score"], [name]), histogram)
        yield family

    def _others(self) -> Iterator[Family]:
        counters = self._reader.counters
        family = Family("llmops_losses_total", "counter", "What was dropped, cut or redacted.")
        for key, count in counters.losses.items():
            family.add(label_pairs(("what", "reason"), key), count)
        yield family
        text = "Bytes of lines that compaction took before they were counted here."
        family = Family("llmops_metrics_missed_bytes_total", "counter", text)
        family.add("", counters.missed_bytes)
        yield family

    def _monitoring(self) -> Iterator[Family]:
        text = "How many alerts of a rule fire, by the group that they are about."
        family = Family("llmops_alert_firing", "gauge", text)
        for labels, count in Counter(map(_alert_labels, self._state.firing())).items():
            family.add(labels, count)
        yield family
        left, goal, burn = (Family(name, "gauge", doc) for name, doc in _BUDGETS)
        for budget in self._state.budgets():
            name = label_text(budget.slo)
            left.add(label_pairs(["slo"], [name]), budget.remaining)
            goal.add(label_pairs(["slo"], [name]), budget.objective)
            for window, rate in budget.burn_rates.items():
                burn.add(label_pairs(("slo", "window_seconds"), (name, f"{window:.0f}")), rate)
        yield from (left, goal, burn)
        family = Family("llmops_notifications_waiting", "gauge", "Notifications that wait for their receiver.")
        for name, count in self._state.waiting().items():
            family.add(label_pairs(["notifier"], [label_text(name)]), count)
        yield family
        last = self._state.last_evaluation()
        text = "When the rules were last evaluated, in seconds since the epoch."
        family = Family("llmops_watch_last_evaluation_timestamp_seconds", "gauge", text)
        if last is not None:
            family.add("", last)
        yield family


def _add(family: Family, labels: str, histogram: Histogram) -> None:
    counts = histogram.cumulative()
    if counts[-1] and histogram.bounds:
        family.add_histogram(labels, [bound_text(bound) for bound in histogram.bounds], counts, histogram.sum)


def _alert_labels(alert: FiringAlert) -> str:
    """Return rule, severity and group; groups that differ in persons and sessions alone are one."""
    group = (f"{name}={value}" for name, value in sorted(alert.labels.items()) if name not in _PERSONAL)
    values = (label_text(alert.rule), label_text(alert.severity), label_text(", ".join(group)))
    return label_pairs(("rule", "severity", "group"), values)
