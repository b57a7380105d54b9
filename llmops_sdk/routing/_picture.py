"""Draw quality over cost as an SVG picture: the router's curve, the point in force, and each model by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from llmops_sdk.routing._report import RouterReport

__all__ = ["curve_svg"]

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 40, 56
_LONGEST = 40
_FONT = 'font-family="sans-serif" font-size="12"'


def curve_svg(report: RouterReport) -> str:
    """Return the picture.

    Args:
        report: Of a router.
    """
    curve = [(one.cost, one.quality) for one in report.curve]
    models = [
        (one.model, one.cost, one.quality)
        for one in report.rows
        if not one.kind and one.cost is not None and one.quality is not None
    ]
    chosen = report.chosen
    costs = [cost for cost, _ in curve] + [cost for _, cost, _ in models]
    scores = [score for _, score in curve] + [score for _, _, score in models]
    x, y = _Axis(costs, _LEFT, _WIDTH - _RIGHT, logarithmic=True), _Axis(scores, _HEIGHT - _BOTTOM, _TOP)
    unit = "mean cost in USD" if models else "mean cost, relative"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">Mean score over mean cost, on prompts of other folds</text>',
        *_grid(x, y),
        f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 12}" text-anchor="middle">{unit} (logarithmic)</text>',
        _line(curve, x, y),
    ]
    for name, cost, score in models:
        label = escape(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…")
        anchor = "end" if x.place(cost) > _WIDTH * 0.7 else "start"
        shift = -8 if anchor == "end" else 8
        parts.append(f'<circle cx="{x.place(cost):.1f}" cy="{y.place(score):.1f}" r="5" fill="#b35900"/>')
        parts.append(
            f'<text x="{x.place(cost) + shift:.1f}" y="{y.place(score) + 16:.1f}" text-anchor="{anchor}">{label}</text>'
        )
    if chosen is not None:
        parts.append(
            f'<circle cx="{x.place(chosen.cost):.1f}" cy="{y.place(chosen.quality):.1f}" r="7" fill="none" '
            'stroke="#0b5394" stroke-width="3"><title>in force</title></circle>'
        )
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """Places values on an axis, with a margin around them."""

    def __init__(self, values: Sequence[float], begin: float, end: float, *, logarithmic: bool = False) -> None:
        self._begin, self._end = begin, end
        self.logarithmic = logarithmic and min(values) > 0
        scaled = [math.log10(one) for one in values] if self.logarithmic else list(values)
        margin = (max(scaled) - min(scaled)) * 0.08 or 0.05
        self.low, self.high = min(scaled) - margin, max(scaled) + margin

    def place(self, value: float) -> float:
        """Return where a value is, in the picture's units."""
        scaled = math.log10(value) if self.logarithmic else value
        return self._begin + (self._end - self._begin) * (scaled - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return five values with equal distances."""
        steps = [self.low + (self.high - self.low) * step / 4 for step in range(5)]
        return [10**one if self.logarithmic else one for one in steps]


def _grid(x: _Axis, y: _Axis) -> list[str]:
    found: list[str] = []
    for value in y.ticks():
        at = y.place(value)
        found.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>')
        found.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:.3f}</text>')
    for value in x.ticks():
        at = x.place(value)
        found.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="#eeeeee"/>')
        found.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:.2g}</text>')
    return found


def _line(points: Sequence[tuple[float, float]], x: _Axis, y: _Axis) -> str:
    placed = " ".join(f"{x.place(cost):.1f},{y.place(score):.1f}" for cost, score in points)
    return f'<polyline points="{placed}" fill="none" stroke="#0b5394" stroke-width="2"/>'
