"""The parts of a report that count calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmops_sdk._documents import Cell
from llmops_sdk.monitoring.reports._estimates import MIN_CLUSTERS, MIN_ROWS
from llmops_sdk.monitoring.reports._period import Period
from llmops_sdk.monitoring.reports._plots import step_plots
from llmops_sdk.monitoring.reports._sections import Section, Table
from llmops_sdk.monitoring.reports._words import (
    Direction,
    count,
    ms,
    name,
    percent,
    points,
    relative,
    signed,
    trace_ids,
    usd,
    verdict,
    verdict_cell,
    with_interval,
)

__all__ = ["call_sections"]

_UNITS = {"user": "a user", "session": "a session", "trace": "a trace"}
_LONGEST_CONTENT = 600


def call_sections(figures: Mapping[str, Any], period: Period, *, users: bool, content: bool) -> list[Section]:
    """Return the parts on traffic, movers, errors, cache, guards, scores and single traces.

    Args:
        figures: The figures.
        period: The period.
        users: Whether ids of users may be shown.
        content: Whether the figures have prompts and answers.
    """
    compared = period.previous is not None
    return [
        _traffic(figures, period, compared=compared),
        _movers(figures["movers"], users=users, compared=compared),
        _errors(figures["errors_seen"], compared=compared),
        _scores(figures["scores"], compared=compared),
        _guards(figures["guards"], compared=compared),
        _cache(figures["cache"], figures["totals"], compared=compared),
        _traces(figures, content=content),
    ]


def _number(text: str) -> Cell:
    return Cell(text, "n")


def _traffic(figures: Mapping[str, Any], period: Period, *, compared: bool) -> Section:
    totals, latency = figures["totals"], figures["latency"]
    rows = [
        _total_row("Calls", figures["calls"], count, compared=compared),
        _row("Share of errors", figures["errors"], percent, points, "up_is_bad", compared=compared),
        _row("Latency, median", latency["p50"], ms, signed(ms), "up_is_bad", compared=compared),
        _row("Latency, 95 % quantile", latency["p95"], ms, signed(ms), "up_is_bad", compared=compared),
    ]
    if "slow" in latency:
        title = f"Share of calls above {ms(latency['slow']['above_ms'])}"
        rows.append(_row(title, latency["slow"], percent, points, "up_is_bad", compared=compared))
    rows += [
        _total_row("Cost", figures["cost"], usd, compared=compared)
        if totals["current"]["cost"] is not None or totals["previous"]["cost"] is not None
        else ["Cost", _number("unknown"), *([_number("–"), _number("–"), "–"] if compared else [])],
        _row("Cost a call of known price", figures["cost_per_call"], usd, signed(usd), "up_is_bad", compared=compared),
        _row("Share of calls of unknown price", figures["unpriced"], percent, points, "neutral", compared=compared),
    ]
    rows += [_plain_row(title, totals, key, compared=compared) for title, key in (
        ("Traces", "traces"), ("Users", "users"), ("Input tokens", "input_tokens"), ("Output tokens", "output_tokens"),
    )]  # fmt: skip
    unit = _UNITS[figures["unit"]]
    notes = [
        f"Intervals are 95 % intervals that count the calls of {unit} as one group.",
        f"A figure has none below {MIN_ROWS} calls or {MIN_CLUSTERS} groups.",
        "Latency covers all calls, answers of the cache included.",
    ]
    if "slow" in latency and not latency["slow"]["configured"]:
        notes.append("Without an objective for latency, calls are slow above the 95 % quantile of the period before.")
    if figures["simulated_left_out"]:
        notes.append(f"{count(figures['simulated_left_out'])} simulated calls are left out; --simulated adds them.")
    header = ["figure", "this period"] + (["period before", "change", "verdict"] if compared else [])
    plots = step_plots(figures["steps"], period)
    return Section(title="Traffic", notes=notes, plots=plots,
                   tables=[Table(caption="Calls, errors, latency and cost", header=header, rows=rows)])  # fmt: skip


def _row(
    title: str,
    figure: Mapping[str, Any],
    text: Callable[[float | None], str],
    change_text: Callable[[float | None], str],
    direction: Direction,
    *,
    compared: bool,
) -> list[object]:
    row: list[object] = [title, _number(with_interval(figure["current"], text))]
    if compared:
        change = figure["change"]
        row += [_number(with_interval(figure["previous"], text)), _number(with_interval(change, change_text)),
                verdict_cell(verdict(change, direction))]  # fmt: skip
    return row


def _total_row(
    title: str, figure: Mapping[str, Any], text: Callable[[float | None], str], *, compared: bool
) -> list[object]:
    row: list[object] = [title, _number(text(figure["current"]))]
    if compared:
        row += [_number(text(figure["previous"])), _number(with_interval(figure["change"], relative)),
                verdict_cell(verdict(figure["change"], "neutral"))]  # fmt: skip
    return row


def _plain_row(title: str, totals: Mapping[str, Any], key: str, *, compared: bool) -> list[object]:
    row: list[object] = [title, _number(count(totals["current"][key]))]
    return [*row, _number(count(totals["previous"][key])), _number("–"), "–"] if compared else row


def _movers(movers: Mapping[str, Any], *, users: bool, compared: bool) -> Section:
    tables: list[Table] = []
    titles = (("model", "models"), ("prompt", "prompts"), ("user", "users"))
    for key, several in titles:
        rows = movers[key]["rows"]
        shown: list[list[object]] = []
        for row in rows:
            cells: list[object] = [name(row["key"])]
            for text, figure in ((usd, "cost"), (count, "calls"), (count, "errors")):
                cells.append(_number(text(row[figure])))
                if compared:
                    cells.append(_number(text(row[f"{figure}_before"])))
            shown.append([*cells, trace_ids([row["trace_id"]])])
        header = [key]
        for title in ("cost", "calls", "errors"):
            header += [title, f"{title} before"] if compared else [title]
        tables.append(Table(caption=f"{len(rows)} of {count(movers[key]['keys'])} {several}",
                            header=[*header, "a trace"], rows=shown))  # fmt: skip
    notes = (
        ["The largest changes of cost, then of calls, come first."] if compared else ["The largest cost comes first."]
    )
    if not users and movers["user"]["rows"]:
        notes.append("Ids of users are hidden; --users shows them. The trace leads to the user in the store.")
    return Section(title="Who and what moved", notes=notes, tables=tables)


def _errors(rows: Sequence[Mapping[str, Any]], *, compared: bool) -> Section:
    shown: list[list[object]] = []
    for row in rows:
        new = Cell("new", "bad") if row["is_new"] else "seen before"
        cells: list[object] = [name(row["error_type"]), new, _number(count(row["errors"]))]
        if compared:
            cells.append(_number(count(row["previous"] or 0)))
        shown.append([*cells, name(row["first_time"]), trace_ids([row["trace_id"]])])
    header = ["type", "known", "calls"] + (["calls before"] if compared else []) + ["first in this period", "a trace"]
    notes = (
        ["A type is new if no call in the store failed with it before this period."] if rows else ["No call failed."]
    )
    return Section(title="Errors", notes=notes, tables=[Table(caption="Types of error", header=header, rows=shown)])


def _scores(rows: Sequence[Mapping[str, Any]], *, compared: bool) -> Section:
    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    shown: list[list[object]] = []
    for row in rows:
        cells: list[object] = [name(row["name"]), name(row["source"]), _number(count(row["n"])),
                               _number(with_interval(row["current"], text))]  # fmt: skip
        if compared:
            # Whether more is better, only the scorer knows.
            cells += [_number(count(row["n_before"])), _number(with_interval(row["previous"], text)),
                      _number(with_interval(row["change"], signed(text))),
                      verdict_cell(verdict(row["change"], "neutral"))]  # fmt: skip
        shown.append(cells)
    header = ["score", "source", "scores", "mean"]
    header += ["scores before", "mean before", "change", "verdict"] if compared else []
    notes = ["Scores of traces that have calls in the period, whenever they were given."] if rows else [
        "No trace of the period has a score."]  # fmt: skip
    return Section(title="Quality", notes=notes, tables=[Table(caption="Mean scores", header=header, rows=shown)])


def _guards(rows: Sequence[Mapping[str, Any]], *, compared: bool) -> Section:
    shown = [
        [name(row["guard"]), name(row["rail"]), name(row["action"]), _number(count(row["verdicts"])),
         *([_number(count(row["previous"]))] if compared else [])]
        for row in rows
    ]  # fmt: skip
    header = ["guard", "rail", "action", "verdicts"] + (["verdicts before"] if compared else [])
    notes = () if rows else ("No guard gave a verdict.",)
    return Section(title="Guards", notes=notes, tables=[Table(caption="Verdicts", header=header, rows=shown)])


def _cache(cache: Mapping[str, Any], totals: Mapping[str, Any], *, compared: bool) -> Section:
    header = ["figure", "this period"] + (["period before", "change", "verdict"] if compared else [])
    rows = [_row("Share of calls that the cache answered", cache["hits"], percent, points, "up_is_good",
                 compared=compared)]  # fmt: skip
    saved: list[object] = ["Saved", _number(usd(totals["current"]["saved_cost"]))]
    rows.append([*saved, _number(usd(totals["previous"]["saved_cost"])), _number("–"), "–"] if compared else saved)
    tiers = [
        [name(row["tier"]), _number(count(row["hits"])), _number(usd(row["saved_cost"]))] for row in cache["tiers"]
    ]
    before = cache["hits"]["previous"]["value"] if compared else 0
    if not tiers and not before:
        return Section(title="Cache", notes=("The cache answered no call.",))
    return Section(title="Cache", tables=[
        Table(caption="Hits and savings", header=header, rows=rows),
        Table(caption="By tier", header=("tier", "answers", "saved"), rows=tiers),
    ])  # fmt: skip


def _traces(figures: Mapping[str, Any], *, content: bool) -> Section:
    more = ("prompt", "answer") if content else ()
    slow = [
        [trace_ids([row["trace_id"]]), name(row["model"]), _number(ms(row["duration_ms"])),
         "error" if row["failed"] else "ok", *_content(row, content=content)]
        for row in figures["slowest"]
    ]  # fmt: skip
    costly = [
        [trace_ids([row["trace_id"]]), _number(count(row["calls"])), _number(usd(row["cost"])),
         *_content(row, content=content)]
        for row in figures["costliest"]
    ]  # fmt: skip
    notes = ["`llmops show TRACE` shows a trace."] if slow else ["There are none."]
    return Section(title="Slowest calls and costliest traces", notes=notes, tables=[
        Table(caption="Slowest calls", header=("trace", "model", "latency", "status", *more), rows=slow),
        Table(caption="Costliest traces", header=("trace", "calls", "cost", *more), rows=costly),
    ])  # fmt: skip


def _content(row: Mapping[str, Any], *, content: bool) -> list[object]:
    return [name(row[key], _LONGEST_CONTENT) for key in ("input", "output")] if content else []
