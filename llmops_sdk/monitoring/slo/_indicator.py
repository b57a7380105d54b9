"""What an objective counts, and when an event is bad: for the watcher, reports and exports alike."""

from __future__ import annotations

import math
from dataclasses import replace

from llmops_sdk.config import SloSettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.monitoring.rollup._series import Series

__all__ = ["is_score", "score_bound", "score_threshold", "slo_series"]


def slo_series(name: str, slo: SloSettings, simulated: bool) -> Series:
    """Return what to count for an objective.

    Args:
        name: The objective's name.
        slo: Its settings.
        simulated: Whether simulated calls count.

    Raises:
        ConfigError: The SLI does not exist, or needs a threshold or SQL.
    """
    kind, _, own = slo.sli.partition(":")
    key = f"slo.{name}"
    limit = slo.threshold
    if kind in ("latency", "ttft", "cost") and limit is None:
        unit = "USD" if kind == "cost" else "milliseconds"
        raise ConfigError(f"{key}: sli = {slo.sli!r} needs a threshold in {unit}: a good call has at most so many",
                          key=f"{key}.threshold")  # fmt: skip
    series: dict[str, Series] = {
        "errors": Series(bad="status = 'error'"),
        # A call that failed at once is not fast.
        "latency": Series(events="status <> 'error'", bad=f"duration_ms > {limit!r}"),
        "ttft": Series(events="ttft_ms IS NOT NULL", bad=f"ttft_ms > {limit!r}"),
        "cost": Series(events="cost IS NOT NULL", bad=f"cost > {limit!r}", unknown="cost IS NULL"),
        "cache": Series(bad="cache IS NULL"),
    }
    if slo.sli in series:
        found = series[slo.sli]
    elif kind == "score" and own:
        found = Series(source="score", name=own, bad=f"x_score < {score_threshold(slo)!r}")
    elif kind == "guard" and own:
        found = Series(source="guard", name=own, bad="x_action = 'block'")
    elif slo.sli == "sql" and slo.sql:
        return Series(source="sql", sql=slo.sql.strip().rstrip(";"))
    elif slo.sli == "sql":
        raise ConfigError(f'{key}: sli = "sql" needs the key sql', key=f"{key}.sql")
    else:
        raise ConfigError(
            f"{key}.sli: there is no indicator {slo.sli!r}: use errors, latency, ttft, cost, score:NAME, guard:NAME, "
            "cache or sql",
            key=f"{key}.sli", value=slo.sli,
        )  # fmt: skip
    return replace(found, where=(slo.where or "").strip(), simulated=simulated)


def is_score(slo: SloSettings) -> bool:
    """Return whether an objective is about a score."""
    return slo.sli.startswith("score:")


def score_threshold(slo: SloSettings) -> float:
    """Return the least good score of an objective."""
    return 0.5 if slo.threshold is None else float(slo.threshold)


def score_bound(slo: SloSettings) -> float:
    """Return the largest bad score of an objective, as the upper bound of a bucket: a bucket holds its bound."""
    return math.nextafter(score_threshold(slo), -math.inf)
