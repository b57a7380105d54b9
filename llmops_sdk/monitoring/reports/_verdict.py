"""The verdict of a report, in five lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from llmops_sdk.monitoring.reports._words import (
    Direction,
    Verdict,
    count,
    ms,
    name,
    percent,
    points,
    relative,
    several,
    signed,
    usd,
    verdict,
    with_interval,
)

__all__ = ["Status", "VerdictLine", "report_status", "verdict_lines"]

Status: TypeAlias = Literal["worse", "better", "steady", "not_enough_data"]
VerdictLine: TypeAlias = tuple[str, str, Verdict | None]
"""What it is about, the sentence, and the verdict."""


def verdict_lines(figures: Mapping[str, Any], *, compared: bool) -> list[VerdictLine]:
    """Return the lines: traffic, errors, latency, cost, and what else needs attention.

    Args:
        figures: The figures.
        compared: Whether there is a period before.
    """
    totals = figures["totals"]["current"]
    traffic = f"{several(totals['calls'], 'call', 'calls')} in {several(totals['traces'], 'trace', 'traces')}"
    traffic += f" of {several(totals['users'], 'user', 'users')}" if totals["users"] else ""
    if not totals["calls"]:
        note = _left_out(figures)
        return [("Traffic", f"There are no calls in this period.{note}", None), _attention(figures)]
    errors, p95 = figures["errors"], figures["latency"]["p95"]
    cost = usd(totals["cost"])
    unknown = figures["unpriced"]["current"]["value"] or 0
    if totals["cost"] is None:
        cost = "unknown: no call has a price"
    elif unknown:
        cost += f" without the {percent(unknown)} of calls whose price is unknown"
    per_call = figures["cost_per_call"]
    if per_call["current"]["value"] is not None:
        cost += f", {usd(per_call['current']['value'])} a call"
    return [
        _line("Traffic", traffic, figures["calls"].get("change"), relative, "neutral", compared=compared),
        _line("Errors", f"{percent(errors['current']['value'])} of calls", errors.get("change"), points, "up_is_bad",
              compared=compared),
        _line("Latency", f"95 % of calls end within {ms(p95['current']['value'])}", p95.get("change"), signed(ms),
              "up_is_bad", compared=compared),
        _line("Cost", cost, per_call.get("change"), signed(usd), "up_is_bad", compared=compared),
        _attention(figures),
    ]  # fmt: skip


def report_status(lines: list[VerdictLine], figures: Mapping[str, Any]) -> Status:
    """Return the status of the whole: worse if anything is worse, fires, drifted, or has used up its budget.

    Args:
        lines: The verdict.
        figures: The figures.
    """
    found = {kind for _, _, kind in lines if kind is not None}
    if "worse" in found or figures["alerts"] or _spent(figures) or _drifted(figures):
        return "worse"
    if "better" in found:
        return "better"
    return "steady" if found - {"not enough data"} else "not_enough_data"


def _line(
    title: str, text: str, change: Mapping[str, Any] | None, write: Any, direction: Direction, *, compared: bool
) -> VerdictLine:
    if not compared:
        return title, f"{text}.", None
    found = verdict(change, direction)
    said = (
        f"; {with_interval(change, write)} against the period before" if change and change["value"] is not None else ""
    )
    return title, f"{text}{said}.", found


def _attention(figures: Mapping[str, Any]) -> VerdictLine:
    alerts = figures["alerts"]
    firing = sum(row["resolved"] is None for row in alerts)
    said = (
        [f"{several(alerts[0]['alerts'], 'alert', 'alerts')} fired, {firing} of those shown still firing"]
        if alerts
        else []
    )
    said += [f"the error budget of {name(row['name'])} is used up ({percent(row['budget_used'])})"
             for row in _spent(figures)]  # fmt: skip
    drifted = _drifted(figures)
    if drifted:
        said.append(f"{several(drifted, 'signal', 'signals')} drifted")
    new = [row for row in figures["errors_seen"] if row["is_new"]]
    if new:
        said.append(several(len(new), "type of error is new", "types of error are new"))
    budgets = "no error budget is used up" if figures["slos"] else "no objective is configured"
    checks = "no check found drift" if figures["drift_states"] else "no check for drift is stored"
    text = "; ".join(said) or f"No alert fired, {budgets}, and {checks}"
    return "Attention", f"{text[0].upper()}{text[1:]}.", "worse" if said else None


def _spent(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in figures["slos"] if row.get("budget_used", 0) >= 1]


def _drifted(figures: Mapping[str, Any]) -> int:
    return next((row["signals"] for row in figures["drift_states"] if row["status"] == "drifted"), 0)


def _left_out(figures: Mapping[str, Any]) -> str:
    left_out = figures["simulated_left_out"]
    return f" {count(left_out)} simulated calls are left out; --simulated adds them." if left_out else ""
