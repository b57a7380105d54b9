"""The metrics that a rule may name: which events count, and what is computed from them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from llmops_sdk.config import AlertSettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.monitoring.rollup._series import Series

__all__ = ["METRICS", "Metric", "Shape", "metric_of", "named_series"]

Shape: TypeAlias = Literal["sum", "share", "mean", "quantile"]
_REQUESTED = "cache IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric.

    Attributes:
        shape: A sum over events, the share of bad events, a mean, or a quantile.
        series: What to count.
        counts: Whether a sum counts things: its spread is that of a count.
        unit: What the figure is, after the number.
        bad: What a bad event is, for the reason.
    """

    shape: Shape
    series: Series
    counts: bool = False
    unit: str = ""
    bad: str = ""


def _quantile(column: str, quantile: float) -> Metric:
    return Metric(
        shape="quantile", unit=" ms", series=Series(events=f"{column} IS NOT NULL", value=column, quantile=quantile)
    )


METRICS: dict[str, Metric] = {
    "calls": Metric(shape="sum", counts=True, unit=" calls", series=Series(value="1")),
    "cost": Metric(shape="sum", unit=" USD", series=Series(value="coalesce(cost, 0)", unknown="cost IS NULL")),
    "cost_per_call": Metric(
        shape="mean", unit=" USD a call", series=Series(events="cost IS NOT NULL", value="cost", unknown="cost IS NULL")
    ),
    "errors": Metric(shape="share", bad="failed", series=Series(bad="status = 'error'")),
    "error_count": Metric(
        shape="sum", counts=True, unit=" failed calls", series=Series(value="(status = 'error')::INT")
    ),
    "latency_p50": _quantile("duration_ms", 0.5),
    "latency_p95": _quantile("duration_ms", 0.95),
    "latency_p99": _quantile("duration_ms", 0.99),
    "ttft_p50": _quantile("ttft_ms", 0.5),
    "ttft_p95": _quantile("ttft_ms", 0.95),
    "ttft_p99": _quantile("ttft_ms", 0.99),
    "input_tokens": Metric(
        shape="sum", unit=" tokens", series=Series(value="coalesce(input_tokens, 0)", unknown="input_tokens IS NULL")
    ),
    "output_tokens": Metric(
        shape="sum", unit=" tokens", series=Series(value="coalesce(output_tokens, 0)", unknown="output_tokens IS NULL")
    ),
    "cache_hit_rate": Metric(shape="share", bad="were answered by the cache", series=Series(bad="cache IS NOT NULL")),
    "guard_blocks": Metric(
        shape="sum", counts=True, unit=" blocks", series=Series(source="guard", value="(x_action = 'block')::INT")
    ),
    "budget": Metric(
        shape="sum", counts=True, unit=" refusals",
        series=Series(source="budget", value="(x_action IN ('refused', 'exceeded'))::INT"),
    ),
}  # fmt: skip
"""The metrics by name. `score:NAME` and `guard:NAME` come to them."""


def metric_of(rule: AlertSettings, simulated: bool) -> Metric:
    """Return the metric of a rule, with the rule's conditions and groups.

    Args:
        rule: A rule with a metric.
        simulated: Whether simulated calls count.

    Raises:
        ConfigError: There is no such metric, or a rule with a threshold for a quantile has none.
    """
    name = rule.metric or ""
    metric = METRICS.get(name) or _named(name)
    if metric is None:
        near = difflib.get_close_matches(name, [*METRICS, "score:NAME", "guard:NAME"], n=1, cutoff=0.5)
        raise ConfigError(
            f"alerts.{rule.name}.metric: there is no metric {name!r}; "
            + (f"did you mean {near[0]}? " if near else "")
            + f"The metrics are {', '.join(METRICS)}, score:NAME and guard:NAME",
            key=f"alerts.{rule.name}.metric", value=name,
        )  # fmt: skip
    series = named_series(metric.series, rule.where, rule.group_by, simulated)
    if rule.anomaly is not None:
        grain = 60 if metric.shape == "share" else 300
        return replace(metric, series=replace(series, grain=grain))
    if metric.shape == "quantile" and series.quantile is not None and rule.threshold is not None:
        # p95 is above the threshold exactly when more than 5 % of the calls take longer; shares add up over minutes.
        bad = f"{series.value} > {float(rule.threshold)!r}"
        return replace(metric, series=replace(series, bad=bad, value="", quantile=None))
    return replace(metric, series=series)


def named_series(series: Series, where: str | None, group_by: tuple[str, ...], simulated: bool) -> Series:
    """Return a series with the conditions and groups of the configuration."""
    return replace(series, where=(where or "").strip(), group_by=group_by, simulated=simulated)


def _named(name: str) -> Metric | None:
    kind, _, own = name.partition(":")
    if not own:
        return None
    if kind == "score":
        return Metric(shape="mean", series=Series(source="score", name=own, value="x_score"))
    if kind == "guard":
        series = Series(source="guard", name=own, bad="x_action = 'block'")
        return Metric(shape="share", bad="were blocked", series=series)
    return None
