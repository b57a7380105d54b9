"""Plots of a report, as SVG without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from llmops_sdk._documents import svg, svg_line, svg_rect, svg_text
from llmops_sdk.monitoring.reports._period import Period
from llmops_sdk.monitoring.reports._words import count, ms, percent, usd

__all__ = ["budget_plot", "step_plots"]

_WIDTH, _HEIGHT = 860, 120
_TOP, _BASE = 18, 100
_ROW, _LABELS, _RIGHT = 26, 200, 90


def step_plots(steps: Sequence[dict[str, Any]], period: Period) -> list[str]:
    """Return the plots of calls and errors, of cost, and of latency over the period.

    Args:
        steps: The figures of each step that has calls.
        period: The period.
    """
    if not steps:
        return []
    rows = {int(row["step"]): row for row in steps}
    number = -(-int((period.until - period.since).total_seconds()) // period.step)
    calls = [(float(row["calls"]), float(row["errors"]), f"{count(row['calls'])} calls, {count(row['errors'])} errors")
             if (row := rows.get(step)) else (0.0, 0.0, "no calls") for step in range(number)]  # fmt: skip
    cost = [(float(row["cost"] or 0), 0.0, usd(row["cost"])) if (row := rows.get(step)) else (0.0, 0.0, "no calls")
            for step in range(number)]  # fmt: skip
    slow = [(float(row["p95"] or 0), 0.0, ms(row["p95"])) if (row := rows.get(step)) else (0.0, 0.0, "no calls")
            for step in range(number)]  # fmt: skip
    plots = [_bars("Calls, and errors among them", calls, period, count)]
    if any(value for value, *_ in cost):
        plots.append(_bars("Cost", cost, period, usd))
    return [*plots, _bars("Latency, 95 % quantile", slow, period, ms)]


def _bars(title: str, bars: Sequence[tuple[float, float, str]], period: Period, text: Any) -> str:
    most = max(value for value, *_ in bars) or 1.0
    width = (_WIDTH - 20) / len(bars)
    parts = [
        svg_text(10, 12, f"{title}; highest bar: {text(most)}", "start"),
        svg_line(10, _BASE, _WIDTH - 10, _BASE, "axis"),
    ]
    for place, (value, bad, said) in enumerate(bars):
        if not value:
            continue
        begin = period.since + timedelta(seconds=place * period.step)
        where, wide = 10 + place * width, max(width - 2, 1.0)
        note = f"{begin:%Y-%m-%d %H:%M}: {said}"
        for height, kind in ((value, "bar"), (bad, "bad")):
            if height:
                tall = max((_BASE - _TOP) * height / most, 1.0)
                parts.append(svg_rect(where, _BASE - tall, wide, tall, kind, note))
    parts.append(svg_text(10, _HEIGHT - 4, f"{period.since:%Y-%m-%d %H:%M}", "start"))
    parts.append(svg_text(_WIDTH - 10, _HEIGHT - 4, f"{period.until:%Y-%m-%d %H:%M}", "end"))
    return svg(_WIDTH, _HEIGHT, title, "".join(parts))


def budget_plot(rows: Sequence[tuple[str, float]]) -> str:
    """Return how much of each error budget is used.

    Args:
        rows: The objective's name and the part of its budget that is used.
    """
    if not rows:
        return ""
    # Beyond twice the budget the bar ends; the figure beside it says how much.
    scale = (_WIDTH - _LABELS - _RIGHT) / 2
    height = _ROW * len(rows) + 8
    parts: list[str] = []
    for place, (name, used) in enumerate(rows):
        y = _ROW * place + 6
        kind = "bad" if used >= 1 else "bar"
        parts.append(svg_text(_LABELS - 10, y + 14, name[:28], "end"))
        parts.append(svg_rect(_LABELS, y, max(min(used, 2.0) * scale, 1.0), 18, kind, f"{name}: {percent(used)}"))
        parts.append(svg_text(_WIDTH - _RIGHT + 8, y + 14, percent(used), "start"))
    parts.append(svg_line(_LABELS + scale, 2, _LABELS + scale, height - 4, "limit"))
    return svg(_WIDTH, height, "Part of each error budget that is used; the line is all of it", "".join(parts))
