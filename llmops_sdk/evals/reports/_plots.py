"""Plots of the HTML report, as SVG without scripts."""

from __future__ import annotations

from collections.abc import Sequence

from llmops_sdk._documents import svg, svg_line, svg_rect, svg_text
from llmops_sdk.evals.reports._numbers import change_text, number
from llmops_sdk.stats import Interval

__all__ = ["difference_plot", "score_histogram"]

_WIDTH, _LABELS, _ROW = 860, 260, 26
_RIGHT = 150
_BINS = 20


def difference_plot(rows: Sequence[tuple[str, float, Interval | None, str]]) -> str:
    """Return the differences with their intervals around a line at zero.

    Args:
        rows: Title, difference, interval and verdict of each row.
    """
    if not rows:
        return ""
    reach = max(abs(end) for _, value, interval, _ in rows for end in (value, *(interval or ()))) or 1.0
    middle = _LABELS + (_WIDTH - _LABELS - _RIGHT) / 2
    scale = (_WIDTH - _LABELS - _RIGHT) / 2 / reach * 0.95
    height = _ROW * len(rows) + 30
    parts = [svg_line(middle, 4, middle, height - 24, "zero")]
    for place, (title, value, interval, verdict) in enumerate(rows):
        y = _ROW * place + 18
        parts.append(svg_text(_LABELS - 10, y + 4, title[:44], "end"))
        if interval is not None:
            parts.append(svg_line(middle + interval.low * scale, y, middle + interval.high * scale, y, verdict))
        parts.append(f'<circle cx="{middle + value * scale:.1f}" cy="{y}" r="4.5" class="{verdict}"/>')
        parts.append(svg_text(_WIDTH - _RIGHT + 10, y + 4, change_text(value, None), "start"))
    parts += [svg_text(middle + end * scale, height - 8, number(end), "middle") for end in (-reach, 0.0, reach)]
    return svg(_WIDTH, height, "Differences with their intervals", "".join(parts))


def score_histogram(old: Sequence[float], new: Sequence[float]) -> str:
    """Return how often each score occurred before and after, as two rows of bars.

    Args:
        old: The scores of the first experiment.
        new: Those of the second.
    """
    values = [*old, *new]
    if not values:
        return ""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = [_counted(each, low, high) for each in (old, new)]
    most = max(max(each) for each in counts) or 1
    width = (_WIDTH - 40) / _BINS
    parts: list[str] = []
    for each, base, name in zip(counts, (60, 130), ("before", "after"), strict=True):
        for place, count in enumerate(each):
            tall = 48 * count / most
            parts.append(svg_rect(20 + place * width, base - tall, width - 2, tall, name, str(count)))
        parts.append(svg_text(20, base - 52, name, "start"))
    parts += [svg_text(20, 146, number(low), "start"), svg_text(_WIDTH - 20, 146, number(high), "end")]
    return svg(_WIDTH, 150, "Scores before and after", "".join(parts))


def _counted(values: Sequence[float], low: float, high: float) -> list[int]:
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += 1
    return counts
