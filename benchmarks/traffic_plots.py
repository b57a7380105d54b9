"""Draw curves as SVG: so few and so simple that a plotting library would be the larger part."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

Curve = list[tuple[float, float]]

_WIDTH, _HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 44, 44
_COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98")


def draw(path: Path, title: str, curves: Mapping[str, Curve], axes: tuple[str, str]) -> None:
    """Write a plot.

    Args:
        path: The file.
        title: The text above.
        curves: The points of each curve by its name.
        axes: What the axes show.
    """
    points = [point for curve in curves.values() for point in curve]
    right = _round_up(max(x for x, _ in points))
    top = _round_up(max(y for _, y in points))
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="16" font-size="13" fill="#222222">{escape(title)}</text>',
    ]
    for step in range(5):
        x, y = right * step / 4, top * step / 4
        at_x, at_y = _place(x, 0.0, right, top)[0], _place(0.0, y, right, top)[1]
        parts += [
            f'<line x1="{_LEFT}" y1="{at_y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at_y:.1f}" stroke="#dddddd"/>',
            f'<text x="{_LEFT - 6}" y="{at_y + 4:.1f}" text-anchor="end" fill="#444444">{y:g}</text>',
            f'<text x="{at_x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle" fill="#444444">{x:g}</text>',
        ]
    parts += [
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" text-anchor="end" fill="#444444">{escape(axes[0])}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 10}" fill="#444444">{escape(axes[1])}</text>',
    ]
    at = _LEFT
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(*point, right, top) for point in curve))
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
            f'<rect x="{at}" y="26" width="10" height="10" fill="{colour}"/>',
            f'<text x="{at + 15}" y="35" fill="#222222">{escape(name)}</text>',
        ]
        at += 30 + 7 * len(name)
    path.write_text("\n".join([*parts, "</svg>", ""]), "utf-8")


def _place(x: float, y: float, right: float, top: float) -> tuple[float, float]:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    return _LEFT + x / right * width, _HEIGHT - _BOTTOM - y / top * height


def _round_up(value: float) -> float:
    """Return the next number with one of the digits 1, 2, 4, 6 or 8, and zeros."""
    unit = 1.0
    while unit > value:
        unit /= 10
    while unit * 10 <= value:
        unit *= 10
    return next((unit * digit for digit in (1, 2, 4, 6, 8) if value <= unit * digit), unit * 10)
