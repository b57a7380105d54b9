"""A dashboard for Grafana over the metrics of `/metrics`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["grafana_dashboard"]

_VARIABLES = ("service", "model", "prompt_name")
_CHOSEN = ", ".join(f'{name}=~"$${name}"' for name in _VARIABLES).replace("$$", "$")
_RATE = "[$__rate_interval]"
_CALLS = f"llmops_calls_total{{{_CHOSEN}}}"
_WIDTH, _HEIGHT = 8, 8


@dataclass(frozen=True, slots=True)
class _Panel:
    """A panel of lines.

    Attributes:
        title: The title.
        unit: Grafana's name of the unit.
        queries: Expressions in PromQL, each with its legend.
        doc: The description.
    """

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    doc: str = ""


def _quantiles(metric: str, *quantiles: float) -> tuple[tuple[str, str], ...]:
    buckets = f"sum by (le) (rate({metric}_bucket{{{_CHOSEN}}}{_RATE}))"
    return tuple((f"histogram_quantile({one}, {buckets})", f"p{one * 100:g}") for one in quantiles)


_DURATION, _FIRST = "llmops_call_duration_seconds", "llmops_time_to_first_chunk_seconds"
_COST = f"llmops_cost_usd_total{{{_CHOSEN}}}"
_TOKENS = 'llmops_call_tokens_sum{service=~"$service", model=~"$model"}'
_ERRORS = f'llmops_calls_total{{{_CHOSEN}, status="error"}}'
_PANELS = (
    _Panel("Calls", "reqps", ((f"sum by (model) (rate({_CALLS}{_RATE}))", "{{model}}"),)),
    _Panel("Share of failed calls", "percentunit", (
        (f"(sum(rate({_ERRORS}{_RATE})) or vector(0)) / sum(rate({_CALLS}{_RATE}))", "failed"),
    )),
    _Panel("Duration of calls", "s", _quantiles(_DURATION, 0.5, 0.95, 0.99)),
    _Panel("Time to the first chunk", "s", _quantiles(_FIRST, 0.5, 0.95)),
    _Panel("Cost an hour", "currencyUSD", ((f"sum by (model) (rate({_COST}{_RATE})) * 3600", "{{model}}"),)),
    _Panel("Share of calls without a known cost", "percentunit", (
        (f"sum(rate(llmops_cost_unknown_calls_total{{{_CHOSEN}}}{_RATE})) / sum(rate({_CALLS}{_RATE}))", "unknown"),
    ), "The cost beside this is that of the other calls."),
    _Panel("Tokens", "short", ((f"sum by (type) (rate({_TOKENS}{_RATE}))", "{{type}} a second"),)),
    _Panel("Share of calls that the cache answered", "percentunit", (
        (f"(sum(rate(llmops_cache_hits_total{{{_CHOSEN}}}{_RATE})) or vector(0)) / sum(rate({_CALLS}{_RATE}))", "hits"),
    )),
    _Panel("Tries for each call", "short", (
        (f"sum(rate(llmops_attempts_total{{{_CHOSEN}}}{_RATE})) / sum(rate({_CALLS}{_RATE}))", "tries"),
    )),
    _Panel("Verdicts of guards that did not pass", "short", (
        (f'sum by (guard, action) (increase(llmops_guard_verdicts_total{{action!="pass"}}{_RATE}))',
         "{{guard}} {{action}}"),
    )),
    _Panel("Mean scores", "short", (
        (f"sum by (score) (rate(llmops_score_sum{_RATE})) / sum by (score) (rate(llmops_score_count{_RATE}))",
         "{{score}}"),
    )),
    _Panel("Calls that waited or were refused", "short", (
        (f"sum by (policy, decision) (increase(llmops_traffic_decisions_total{_RATE}))", "{{policy}} {{decision}}"),
    )),
    _Panel("Budget of objectives that is left", "percentunit", (("llmops_slo_budget_remaining_ratio", "{{slo}}"),)),
    _Panel("Burn rate", "short", (("llmops_slo_burn_rate", "{{slo}} {{window_seconds}} s"),),
           "1 uses up the budget of an objective within its period."),
    _Panel("Alerts that fire", "short", (("llmops_alert_firing", "{{rule}} {{severity}} {{group}}"),)),
    _Panel("Losses", "short", (
        (f"sum by (what, reason) (increase(llmops_losses_total{_RATE}))", "{{what}} {{reason}}"),
    )),
    _Panel("Notifications that wait", "short", (("llmops_notifications_waiting", "{{notifier}}"),)),
    _Panel("Age of the last evaluation", "s", (("time() - llmops_watch_last_evaluation_timestamp_seconds", "age"),)),
)  # fmt: skip


def grafana_dashboard() -> str:
    """Return the dashboard as JSON, for "Import" in Grafana 10 or later.

    Example:
        >>> import json
        >>> json.loads(grafana_dashboard())["title"]
        'LLM calls'
    """
    dashboard: dict[str, Any] = {
        "title": "LLM calls",
        "uid": "llmops-sdk",
        "tags": ["llmops"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source(), *map(_variable, _VARIABLES)]},
        "panels": [_panel(number, panel) for number, panel in enumerate(_PANELS)],
    }
    return json.dumps(dashboard, indent=2) + "\n"


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _variable(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": {"query": f"label_values(llmops_calls_total, {name})", "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, panel: _Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    across = 24 // _WIDTH
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.doc,
        "datasource": source,
        "gridPos": {
            "x": number % across * _WIDTH, "y": number // across * _HEIGHT, "w": _WIDTH, "h": _HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": source, "expr": expr, "legendFormat": legend}
            for at, (expr, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip
