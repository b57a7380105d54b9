"""The parts of a report that say what rules, objectives, checks and canaries found, and what was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmops_sdk._documents import Cell
from llmops_sdk.monitoring.reports._plots import budget_plot
from llmops_sdk.monitoring.reports._sections import Section, Table
from llmops_sdk.monitoring.reports._words import count, name, percent, read_labels, trace_ids, usd

__all__ = ["loss_section", "state_sections"]

_LONGEST_REASON = 300
_STATES = {"drifted": "drifted", "ours": "changed by us", "steady": "steady", "not_enough_data": "not enough data"}


def state_sections(figures: Mapping[str, Any]) -> list[Section]:
    """Return the parts on objectives, alerts, drift and canaries.

    Args:
        figures: The figures.
    """
    return [
        _objectives(figures["slos"]),
        _alerts(figures["alerts"]),
        _drift(figures["drift"], figures["drift_states"]),
        _canaries(figures["canaries"]),
    ]


def loss_section(rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return the part on what was dropped, cut or redacted.

    Args:
        rows: The losses.
    """
    shown = [[name(row["what"]), name(row["reason"]), _number(count(int(row["count"] or 0))),
              _number(count(int(row["bytes"] or 0)))] for row in rows]  # fmt: skip
    notes = ("Nothing was dropped, cut or redacted.",) if not rows else ()
    header = ("what", "reason", "count", "bytes")
    return Section(title="Losses", notes=notes, tables=[Table(caption="What, and why", header=header, rows=shown)])


def _number(text: str) -> Cell:
    return Cell(text, "n")


def _objectives(rows: Sequence[Mapping[str, Any]]) -> Section:
    shown: list[list[object]] = []
    for row in rows:
        start: list[object] = [name(row["name"]), name(row["sli"]), _number(percent(row["objective"])),
                               _number(f"{row['period_s'] / 86_400:g} d")]  # fmt: skip
        if "budget_used" not in row:
            shown.append([*start, _number("–"), _number(count(row.get("calls"))), _number("–"), row["reason"]])
            continue
        used = row["budget_used"]
        state = Cell("used up", "bad") if used >= 1 else Cell("within", "good")
        shown.append([*start, _number(percent(row["good"])), _number(f"{count(row['bad'])} of {count(row['known'])}"),
                      _number(percent(used)), state])  # fmt: skip
    header = ("objective", "of", "target", "period", "good", "failures", "budget used", "state")
    notes = ["The period of an objective ends with that of this report. Conditions of the report do not apply to it."]
    plot = budget_plot([(name(row["name"]), row["budget_used"]) for row in rows if "budget_used" in row])
    return Section(
        title="Objectives",
        notes=notes if rows else ["No objective is configured in [slo]."],
        tables=[Table(caption="Error budgets", header=header, rows=shown)],
        plots=[plot] if plot else [],
    )


def _alerts(rows: Sequence[Mapping[str, Any]]) -> Section:
    shown: list[list[object]] = []
    for row in rows:
        labels, reason = _labels(row["labels"]), name(row["reason"], _LONGEST_REASON)
        state = Cell("fires", "bad") if row["resolved"] is None else f"resolved {row['resolved']}"
        shown.append([name(row["rule"]), name(row["severity"]), labels, name(row["firing_since"]), state, reason,
                      trace_ids(row["trace_ids"])])  # fmt: skip
    header = ("rule", "severity", "about", "since", "state", "reason", "traces")
    notes = [f"{len(rows)} of {count(rows[0]['alerts'])} alerts."] if rows else ["No alert fired."]
    return Section(title="Alerts", notes=notes, tables=[Table(caption="Alerts", header=header, rows=shown)])


def _drift(rows: Sequence[Mapping[str, Any]], states: Sequence[Mapping[str, Any]]) -> Section:
    shown: list[list[object]] = []
    for row in rows:
        labels, reason = _labels(row["slice"]), name(row["reason"], _LONGEST_REASON)
        kind = "bad" if row["status"] == "drifted" else ""
        shown.append([name(row["signal"]), name(row["kind"]), name(row["name"]), labels,
                      Cell(_STATES.get(row["status"], name(row["status"])), kind), name(row["cause"]), reason,
                      trace_ids(row["trace_ids"])])  # fmt: skip
    summary = ", ".join(f"{_STATES.get(row['status'], name(row['status']))}: {count(row['signals'])}" for row in states)
    header = ("signal", "kind", "check", "slice", "state", "cause", "reason", "traces")
    notes = [f"Signals by their latest check in the period: {summary}."] if states else ["No check for drift ran."]
    return Section(title="Drift", notes=notes, tables=[Table(caption="What changed", header=header, rows=shown)])


def _canaries(rows: Sequence[Mapping[str, Any]]) -> Section:
    shown = [
        [name(row["canary"]), name(row["kind"]), name(row["request_model"]), _number(count(row["runs"])),
         _number(count(row["answers"])), _number(count(row["errors"])), _number(count(row["served"])),
         _number("–" if row["score"] is None else f"{row['score']:.3f}"), _number(usd(row["cost"])),
         name(row["latest"])]
        for row in rows
    ]  # fmt: skip
    header = ("canary", "kind", "model", "runs", "answers", "errors", "models served", "mean score", "cost", "latest")
    notes = () if rows else ("No canary ran.",)
    return Section(title="Canaries", notes=notes, tables=[Table(caption="Runs", header=header, rows=shown)])


def _labels(text: str | None) -> str:
    return name(", ".join(f"{key} = {value}" for key, value in read_labels(text).items()) or "everything")
