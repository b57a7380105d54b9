"""Read the figures of a report from the store, and turn them into plain values."""
# ruff: noqa: S608 - statements are put together from constants and quoted ids

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

from llmops_sdk.config import SloSettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.monitoring.reports._calls_sql import GRID, call_parts, call_tables
from llmops_sdk.monitoring.reports._estimates import (
    ClusterSums,
    Estimate,
    difference,
    has_enough,
    mean,
    quantile,
    relative_change,
    share,
)
from llmops_sdk.monitoring.reports._period import Period
from llmops_sdk.monitoring.reports._reader import Reader, Rows
from llmops_sdk.monitoring.reports._records_sql import record_parts
from llmops_sdk.monitoring.rollup._series import totals_sql
from llmops_sdk.monitoring.slo._indicator import slo_series

__all__ = ["Figures", "read_figures"]

Figures: TypeAlias = dict[str, Any]

_LONGEST_TEXT = 2_000  # characters of content


def read_figures(
    period: Period,
    *,
    where: str | None,
    simulated: bool,
    slos: Mapping[str, SloSettings],
    content: bool,
    path: Path | None,
) -> Figures:
    """Return the figures of a period as values that JSON can hold.

    Args:
        period: The period.
        where: A condition on `llm_calls`.
        simulated: Whether simulated calls count.
        slos: The objectives, by name.
        content: Whether to read prompts and answers of the slowest and costliest calls.
        path: The store's folder, or None for the configured one.

    Raises:
        QueryError: A condition is not valid SQL.
        StoreError: The store cannot be read.
    """
    with Reader(path) as reader:
        return _read(reader, period, where=where, simulated=simulated, slos=slos, content=content)


def _read(
    reader: Reader,
    period: Period,
    *,
    where: str | None,
    simulated: bool,
    slos: Mapping[str, SloSettings],
    content: bool,
) -> Figures:
    if where is not None:
        reader.check(where, "where")
    slow_ms = _slow_ms(slos)
    for name, sql in call_tables(period, where=where, simulated=simulated, slow_ms=slow_ms).items():
        reader.run(f"CREATE TEMP TABLE {name} AS {sql}", "where")
    parts = {name: reader.run(sql) for name, sql in call_parts(period, simulated=simulated).items()}
    compared = period.previous is not None
    figures: Figures = {
        "unit": parts["units"][0]["unit"] or "trace",
        "simulated_left_out": parts["left_out"][0]["simulated"],
        "totals": _totals(parts["totals"]),
        **_changes(parts, compared=compared),
        "latency": _latency(parts, slow_ms, compared=compared),
        "cache": _cache(parts, compared=compared),
        "steps": parts["steps"],
        "errors_seen": parts["errors_seen"],
        "movers": {name: _movers(parts[f"movers_{name}"]) for name in ("model", "prompt", "user")},
        "scores": _scores(parts["scores"]),
        "guards": parts["guards"],
        "slos": [_slo(reader, name, slo, period, simulated=simulated) for name, slo in sorted(slos.items())],
        **{name: reader.run(sql) for name, sql in record_parts(period).items()},
        "slowest": parts["slowest"],
        "costliest": parts["costliest"],
    }
    if content:
        _add_content(reader, figures)
    return figures


def _by_period(rows: Rows) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of the period and of the one before."""
    found = {row["period"]: row for row in rows}
    return found.get(1, {}), found.get(0, {})


def _sums(row: Mapping[str, Any]) -> ClusterSums:
    return ClusterSums(*(row.get(name) or 0 for name in ClusterSums._fields)) if row else ClusterSums()


def _pair(parts: Mapping[str, Rows], name: str) -> tuple[ClusterSums, ClusterSums]:
    new, old = _by_period(parts[f"sums_{name}"])
    return _sums(new), _sums(old)


def _totals(rows: Rows) -> Figures:
    names = ("stored", "calls", "traces", "users", "cost", "saved_cost", "input_tokens", "output_tokens")
    whole = {"input_tokens", "output_tokens"}
    new, old = (
        {name: int(row[name]) if name in whole and row.get(name) is not None else row.get(name) for name in names}
        for row in _by_period(rows)
    )
    for row in (new, old):
        row["calls"], row["stored"] = row["calls"] or 0, row["stored"] or 0
    return {"current": new, "previous": old}


def _compared(new: Estimate, old: Estimate, *, compared: bool) -> Figures:
    found: Figures = {"current": new._asdict()}
    if compared:
        found |= {"previous": old._asdict(), "change": difference(new, old)._asdict()}
    return found


def _changes(parts: Mapping[str, Rows], *, compared: bool) -> Figures:
    found: Figures = {}
    for name in ("calls", "cost"):
        new, old = _pair(parts, name)
        change = relative_change(new, old) if compared else Estimate(None)
        found[name] = {"current": new.y, "previous": old.y if compared else None, "change": change._asdict(),
                       "enough": has_enough(new) and (not compared or has_enough(old))}  # fmt: skip
    for name, estimate in (("errors", share), ("cost_per_call", mean), ("unpriced", share)):
        new, old = _pair(parts, name)
        found[name] = _compared(estimate(new), estimate(old), compared=compared)
    return found


def _latency(parts: Mapping[str, Rows], slow_ms: float | None, *, compared: bool) -> Figures:
    new_row, old_row = _by_period(parts["quantiles"])
    found: Figures = {}
    for name, part in (("p50", 0.5), ("p95", 0.95)):
        both = [
            quantile(sums, part, list(zip(GRID, row["grid"], strict=True)) if row.get("grid") else [])
            for row, sums in zip((new_row, old_row), _pair(parts, f"below_{name}"), strict=True)
        ]
        found[name] = _compared(*both, compared=compared)
    slow = [share(sums) for sums in _pair(parts, "slow")]
    limit = old_row.get("p95") if slow_ms is None else slow_ms
    if limit is not None:
        found["slow"] = {"above_ms": limit, "configured": slow_ms is not None} | _compared(*slow, compared=compared)
    return found


def _slow_ms(slos: Mapping[str, SloSettings]) -> float | None:
    """Return the least threshold of an objective for latency, or None."""
    limits = [slo.threshold for slo in slos.values() if slo.sli == "latency" and slo.threshold is not None]
    return min(limits, default=None)


def _cache(parts: Mapping[str, Rows], *, compared: bool) -> Figures:
    new, old = _pair(parts, "cache_hits")
    tiers = [row for row in parts["tiers"] if row["period"] == 1]
    return {"hits": _compared(share(new), share(old), compared=compared), "tiers": tiers}


def _movers(rows: Rows) -> Figures:
    keys = rows[0]["keys"] if rows else 0
    return {"keys": keys, "rows": [{name: value for name, value in row.items() if name != "keys"} for row in rows]}


def _scores(rows: Rows) -> Rows:
    names = sorted({(row["name"], row["source"] or "") for row in rows})
    found: Rows = []
    for name, source in names:
        new, old = _by_period([row for row in rows if (row["name"], row["source"] or "") == (name, source)])
        pair = mean(_sums(new)), mean(_sums(old))
        found.append({"name": name, "source": source, "n": _sums(new).n, "n_before": _sums(old).n}
                     | _compared(*pair, compared=True))  # fmt: skip
    return found


def _slo(reader: Reader, name: str, slo: SloSettings, period: Period, *, simulated: bool) -> Figures:
    found: Figures = {"name": name, "sli": slo.sli, "objective": slo.objective, "period_s": slo.period}
    try:
        series = slo_series(name, slo, simulated)
    except ConfigError:
        return found | {"reason": "its settings do not say what a good call is"}
    if slo.where is not None:
        reader.check(slo.where, f"slo.{name}.where")
    within = {"since": period.until - timedelta(seconds=slo.period), "until": period.until}
    known, bad, unknown = reader.run(totals_sql(series), f"slo.{name}", within)[0].values()
    found |= {"calls": known + unknown, "known": known, "bad": bad}
    if not known:
        return found | {"reason": "there are no such calls"}
    return found | {"good": 1 - bad / known, "budget_used": bad / known / (1 - slo.objective)}


def _add_content(reader: Reader, figures: Figures) -> None:
    rows: Sequence[dict[str, Any]] = [*figures["slowest"], *figures["costliest"]]
    for row in rows:
        # By the time, too: it says which part of a file to read.
        found = reader.run(
            f"""SELECT left(input::VARCHAR, {_LONGEST_TEXT}) AS input, left(output::VARCHAR, {_LONGEST_TEXT}) AS output
            FROM llm_calls WHERE start_time = make_timestamp({int(row["start_us"])})
                AND span_id = '{row["span_id"].replace("'", "''")}' ORDER BY ALL LIMIT 1"""
        )
        row.update(found[0] if found else {"input": None, "output": None})
