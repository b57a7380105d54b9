"""Plots of the HTML report, as SVG without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

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
    parts = [_open(height, "Differences with their intervals"), _line(middle, 4, middle, height - 24, "zero")]
    for place, (title, value, interval, verdict) in enumerate(rows):
        y = _ROW * place + 18
        parts.append(_text(_LABELS - 10, y + 4, title[:44], "end"))
        if interval is not None:
            parts.append(_line(middle + interval.low * scale, y, middle + interval.high * scale, y, verdict))
        parts.append(f'<circle cx="{middle + value * scale:.1f}" cy="{y}" r="4.5" class="{verdict}"/>')
        parts.append(_text(_WIDTH - _RIGHT + 10, y + 4, change_text(value, None), "start"))
    parts += [_text(middle + end * scale, height - 8, number(end), "middle") for end in (-reach, 0.0, reach)]
    return "".join([*parts, "</svg>"])


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
    parts = [_open(150, "Scores before and after")]
    for each, base, name in zip(counts, (60, 130), ("before", "after"), strict=True):
        for place, count in enumerate(each):
            tall = 48 * count / most
            parts.append(
                f'<rect x="{20 + place * width:.1f}" y="{base - tall:.1f}" width="{width - 2:.1f}" height="{tall:.1f}" '
                f'class="{name}"><title>{count}</title></rect>'
            )
        parts.append(_text(20, base - 52, name, "start"))
    parts += [_text(20, 146, number(low), "start"), _text(_WIDTH - 20, 146, number(high), "end"), "</svg>"]
    return "".join(parts)


def _counted(values: Sequence[float], low: float, high: float) -> list[int]:
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += 1
    return counts


def _open(height: int, title: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{title}">'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}" class="{kind}"/>'
