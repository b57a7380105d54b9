"""Write our conditions, metrics and indicators in PromQL, as far as `/metrics` has what they need."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from llmops_sdk.config import AlertSettings, SloSettings
from llmops_sdk.monitoring.prometheus._counters import LABELS
from llmops_sdk.monitoring.prometheus._label_text import label_text
from llmops_sdk.monitoring.prometheus._text import bound_text
from llmops_sdk.monitoring.slo._indicator import score_bound

__all__ = ["NotInMetrics", "alert_counts_calls", "alert_terms", "duration_text", "matchers", "sli_terms"]

_CONDITION = re.compile(
    r"\s*(?P<column>[a-z_]{1,64})\s*(?P<operator>=|<>|!=|[Ii][Nn]\b)\s*"
    r"(?P<values>'(?:[^']|'')*+'|\(\s*'(?:[^']|'')*+'(?:\s*,\s*'(?:[^']|'')*+')*+\s*\))\s*"
)
_VALUE = re.compile(r"'((?:[^']|'')*+)'")
_AND = re.compile(r"[Aa][Nn][Dd]\b")
_TOKEN_LABELS = frozenset({"service", "operation", "provider", "model"})
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_SECONDS = {"latency": "llmops_call_duration_seconds", "ttft": "llmops_time_to_first_chunk_seconds"}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


class NotInMetrics(Exception):  # noqa: N818 - no error: the export goes on without this rule
    """A rule needs what `/metrics` does not have; the text says what."""


def duration_text(seconds: float) -> str:
    """Return a duration as Prometheus writes it.

    Example:
        >>> duration_text(259_200), duration_text(300), duration_text(90)
        ('3d', '5m', '90s')
    """
    whole = max(round(seconds), 1)
    for unit, letter in _UNITS:
        if whole % unit == 0:
            return f"{whole // unit}{letter}"
    return f"{whole}s"


def matchers(where: str | None) -> list[str]:
    r"""Return a condition in SQL as matchers of labels.

    Args:
        where: Comparisons of columns with texts, joined by AND; None for no condition.

    Raises:
        NotInMetrics: It is another condition, or names a column that is no label.

    Example:
        >>> matchers("prompt_name = 'support' AND provider IN ('a', 'b.c')")
        ['prompt_name="support"', 'provider=~"a|b\\\\.c"']
    """
    text = (where or "").strip()
    found: list[str] = []
    at = 0
    while at < len(text):
        condition = _CONDITION.match(text, at)
        if condition is None:
            raise NotInMetrics("its condition is not a comparison of labels with texts")
        found += _matcher(condition)
        at = condition.end()
        if at < len(text):
            joined = _AND.match(text, at)
            if joined is None:
                raise NotInMetrics("its condition is not a comparison of labels with texts")
            at = joined.end()
            if at == len(text):
                raise NotInMetrics("its condition is not a comparison of labels with texts")
    return found


def _matcher(condition: re.Match[str]) -> list[str]:
    column, operator = condition["column"], condition["operator"].lower()
    if column not in LABELS:
        raise NotInMetrics(f"/metrics has no label {column}")
    values = [value.replace("''", "'") for value in _VALUE.findall(condition["values"])]
    if operator == "in":
        return [f"{column}=~{_quoted('|'.join(map(re.escape, values)))}"]
    if len(values) != 1 or condition["values"].startswith("("):
        raise NotInMetrics("its condition is not a comparison of labels with texts")
    if operator == "=":
        return [f"{column}={_quoted(values[0])}"]
    return [f"{column}!={_quoted(values[0])}", f'{column}!=""']  # in SQL, NULL <> 'x' is not true


def _quoted(text: str) -> str:
    # PromQL has Go's escapes, which JSON's are a part of.
    return json.dumps(text, ensure_ascii=True)


class _Terms:
    """Makes sums over a window of a rule's calls.

    Args:
        where: The rule's condition.
        group_by: Labels to group by.
    """

    def __init__(self, where: str | None, group_by: Sequence[str]) -> None:
        self._matchers = matchers(where)
        self._by = f" by ({', '.join(group_by)})" if group_by else ""
        self._used = {re.split(r"[=!]", one, maxsplit=1)[0] for one in self._matchers} | set(group_by)
        if unknown := set(group_by) - set(LABELS):
            raise NotInMetrics(f"/metrics has no label {min(unknown)}")

    def sum(self, name: str, window: str, *more: str) -> str:
        """Return the increase of a counter in a window, over all series that match."""
        if name.startswith("llmops_call_tokens") and (missing := self._used - _TOKEN_LABELS):
            raise NotInMetrics(f"the tokens in /metrics have no label {min(missing)}")
        return f"sum{self._by}(increase({name}{{{', '.join((*self._matchers, *more))}}}[{window}]))"

    def of_events(self, name: str, window: str, *own: str) -> str:
        """Return the increase of a counter that knows nothing of the calls."""
        if self._used:
            raise NotInMetrics(f"{name} in /metrics has no label {min(self._used)}")
        return f"sum(increase({name}{{{', '.join(own)}}}[{window}]))"

    def zero_if_absent(self, part: str, whole: str) -> str:
        """Return a part of a whole, 0 where no series of it exists yet."""
        return f"({part} or 0 * {whole})"


def sli_terms(slo: SloSettings, window: str) -> tuple[str, str]:
    """Return the bad calls and all calls of an objective in a window.

    Args:
        slo: The objective.
        window: The window, as in "1h".

    Raises:
        NotInMetrics: `/metrics` has no such indicator.
    """
    terms = _Terms(slo.where, ())
    kind, _, own = slo.sli.partition(":")
    if kind == "guard" and own:
        total = terms.of_events("llmops_guard_verdicts_total", window, f"guard={_quoted(label_text(own))}")
        bad = terms.of_events(
            "llmops_guard_verdicts_total", window, f"guard={_quoted(label_text(own))}", 'action="block"'
        )
        return terms.zero_if_absent(bad, total), total
    if kind == "score" and own:
        named = f"score={_quoted(label_text(own))}"
        bound = f'le="{bound_text(score_bound(slo))}"'
        total = terms.of_events("llmops_score_count", window, named)
        return terms.of_events("llmops_score_bucket", window, named, bound), total
    if slo.sli == "errors":
        total = terms.sum("llmops_calls_total", window)
        return terms.zero_if_absent(terms.sum("llmops_calls_total", window, 'status="error"'), total), total
    if slo.sli == "cache":
        total = terms.sum("llmops_calls_total", window)
        return f"({total} - {terms.zero_if_absent(terms.sum('llmops_cache_hits_total', window), total)})", total
    if slo.threshold is not None and slo.threshold > 0 and slo.sli in {"latency", "ttft", "cost"}:
        name, bound = _SECONDS.get(slo.sli, "llmops_call_cost_usd"), slo.threshold
        bound = bound if slo.sli == "cost" else bound / 1e3
        more = ('status!="error"',) if slo.sli == "latency" else ()
        return _above(terms, name, bound, window, *more)
    raise NotInMetrics(f"/metrics has no {slo.sli}")


def _above(terms: _Terms, name: str, bound: float, window: str, *more: str) -> tuple[str, str]:
    total = terms.sum(f"{name}_count", window, *more)
    within = terms.sum(f"{name}_bucket", window, *more, f'le="{bound_text(bound)}"')
    return f"({total} - {within})", total


def alert_terms(rule: AlertSettings) -> tuple[str, float]:
    """Return the figure of a rule in PromQL, and what to compare it with.

    Args:
        rule: The rule.

    Raises:
        NotInMetrics: `/metrics` does not have what it needs.
    """
    if rule.sql is not None or rule.metric is None:
        raise NotInMetrics("it is SQL")
    if rule.threshold is None:
        raise NotInMetrics("it compares with what is usual")
    terms, window = _Terms(rule.where, rule.group_by), duration_text(rule.window)
    kind, _, quantile = rule.metric.partition("_")
    calls = terms.sum("llmops_calls_total", window)
    errors = terms.zero_if_absent(terms.sum("llmops_calls_total", window, 'status="error"'), calls)
    if kind in _SECONDS and quantile in _QUANTILES:
        # A quantile is above the threshold exactly when more calls than the rest take longer.
        slow, total = _above(terms, _SECONDS[kind], rule.threshold / 1e3, window)
        return f"{slow} / {total}", 1 - _QUANTILES[quantile]
    figures = {
        "calls": lambda: calls,
        "errors": lambda: f"{errors} / {calls}",
        "error_count": lambda: errors,
        "cost": lambda: terms.sum("llmops_cost_usd_total", window),
        "cost_per_call": lambda: "{} / ({} - {})".format(
            terms.sum("llmops_cost_usd_total", window), calls, terms.sum("llmops_cost_unknown_calls_total", window)
        ),
        "cache_hit_rate": lambda: "{} / {}".format(
            terms.zero_if_absent(terms.sum("llmops_cache_hits_total", window), calls), calls
        ),
        "guard_blocks": lambda: terms.of_events("llmops_guard_verdicts_total", window, 'action="block"'),
        "budget": lambda: terms.of_events(
            "llmops_traffic_decisions_total", window, 'policy="budget"', 'decision=~"refused|exceeded"'
        ),
        "input_tokens": lambda: terms.sum("llmops_call_tokens_sum", window, 'type="input"'),
        "output_tokens": lambda: terms.sum("llmops_call_tokens_sum", window, 'type="output"'),
    }
    if ":" in rule.metric:
        return _named(rule.metric, terms, window), rule.threshold
    if rule.metric not in figures:
        raise NotInMetrics(f"/metrics has no {rule.metric}")
    return figures[rule.metric](), rule.threshold


def alert_counts_calls(rule: AlertSettings) -> bool:
    """Return whether the events of a rule's metric are calls: others are verdicts, decisions or scores."""
    return ":" not in (rule.metric or "") and rule.metric not in ("guard_blocks", "budget")


def _named(metric: str, terms: _Terms, window: str) -> str:
    kind, _, own = metric.partition(":")
    if kind == "score":
        named = f"score={_quoted(label_text(own))}"
        total = terms.of_events("llmops_score_sum", window, named)
        return f"{total} / {terms.of_events('llmops_score_count', window, named)}"
    if kind == "guard":
        named = f"guard={_quoted(label_text(own))}"
        total = terms.of_events("llmops_guard_verdicts_total", window, named)
        blocked = terms.of_events("llmops_guard_verdicts_total", window, named, 'action="block"')
        return f"{terms.zero_if_absent(blocked, total)} / {total}"
    raise NotInMetrics(f"/metrics has no {metric}")
