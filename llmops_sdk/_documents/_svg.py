"""Pieces of plots, as SVG without scripts."""

from __future__ import annotations

from html import escape

__all__ = ["svg", "svg_line", "svg_rect", "svg_text"]


def svg(width: float, height: float, title: str, parts: str) -> str:
    """Return a picture that assistive technology reads as its title.

    Args:
        width: In units of the picture.
        height: In units of the picture.
        title: What it shows.
        parts: Its content.
    """
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}"><title>{escape(title)}'
        f"</title>{parts}</svg>"
    )


def svg_text(x: float, y: float, text: str, anchor: str) -> str:
    """Return a text.

    Args:
        x: Where it stands.
        y: Its base line.
        text: The text.
        anchor: "start", "middle" or "end": which part of it is at `x`.
    """
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def svg_line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Return a line.

    Args:
        x1: Where it begins.
        y1: Where it begins.
        x2: Where it ends.
        y2: Where it ends.
        kind: Its class in the style sheet.
    """
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{escape(kind)}"/>'


def svg_rect(x: float, y: float, width: float, height: float, kind: str, title: str) -> str:
    """Return a bar.

    Args:
        x: Its left edge.
        y: Its upper edge.
        width: Its width.
        height: Its height.
        kind: Its class in the style sheet.
        title: What it stands for.
    """
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{escape(kind)}">'
        f"<title>{escape(title)}</title></rect>"
    )
